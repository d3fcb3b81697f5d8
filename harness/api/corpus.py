"""What a corpus is: texts that models are trained on, made from the same sources as a suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .records import Item


@dataclass(frozen=True)
class Document:
    """A prompt and an answer for training. ``flaw`` is ``good`` or the kind of flaw the answer was given."""

    language: str
    family: str
    flaw: str
    prompt: str
    answer: str


class Pair(Protocol):
    """A prompt with a chosen and a rejected answer."""

    @property
    def prompt(self) -> str: ...
    @property
    def chosen(self) -> str: ...
    @property
    def rejected(self) -> str: ...


class Corpus(Protocol):
    """A class without arguments, registered as an entry point in ``croco_eval.corpora``."""

    def base_documents(self, shares: dict[str, float], passes: int, seed: int) -> Iterator[Document]:
        """Text to pretrain on, drawn afresh in each pass; ``shares`` maps a language to the part of its documents that
        is kept."""
        ...

    def tuning_documents(self, languages: tuple[str, ...], seed: int) -> Iterator[Document]:
        """Good answers to prompts that no suite evaluates, for supervised fine-tuning."""
        ...

    def tuning_prompts(self, language: str, seed: int) -> Iterator[tuple[Item, str]]:
        """Open prompts that no suite evaluates, in the order of the seed, each with a good answer."""
        ...


@runtime_checkable
class HasPreferences(Protocol):
    """A corpus that also has pairs to train a reward model on."""

    def preferences(self, language: str, seed: int, *, passes: int = 1, flaws: tuple[str, ...] = ...) -> Iterator[Pair]:
        """Good answers preferred to flawed ones; ``flaws`` names the kinds of flaw; without it, all kinds."""
        ...
