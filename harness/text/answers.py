"""A system's answer as a reader sees it: without reasoning, with its language, length and repetition."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from .langid import Identification, identify

_GRAM = 4
_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_BLOCK = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)


def strip_reasoning(text: str, everywhere: bool = False) -> str:
    """The text without the ``<think>...</think>`` it begins with; a block that was cut off goes on to the end.

    Some chat templates put the opening tag into the prompt: then all up to the first closing tag is reasoning.
    Further on, such tags are left alone, for an answer may be about them; unless they are to go ``everywhere``.
    """
    rest = text
    while _OPEN.match(rest.lstrip()):
        rest = _BLOCK.sub("", rest, count=1)
    close, opened = _CLOSE.search(rest), _OPEN.search(rest)
    if close and not (opened and opened.start() < close.start()):
        rest = rest[close.end() :]
    if everywhere:
        rest = _BLOCK.sub("", rest)
    return text if rest == text else rest.strip()


def visible_from(text: str, begun: bool = False) -> int | None:
    """Where in a text the visible answer begins; None while its reasoning isn't over.

    ``begun``: the prompt has opened the reasoning. The blank after reasoning is none of the answer's.
    """
    place = 0
    if begun and not _OPEN.match(text.lstrip()):
        close = _CLOSE.search(text)
        if close is None:
            return None
        place = _after_blank(text, close.end())
    while opened := _OPEN.match(text, _after_blank(text, place)):
        close = _CLOSE.search(text, opened.end())
        if close is None:
            return None
        place = _after_blank(text, close.end())
    close, opened = _CLOSE.search(text, place), _OPEN.search(text, place)
    if close and not begun and not (opened and opened.start() < close.start()):
        place = _after_blank(text, close.end())
    return place


def opens_reasoning(prompt: str) -> bool:
    """Whether a prompt ends with the mark that opens reasoning, as some chat templates write it."""
    end = prompt.rstrip()
    return any(x.end() == len(end) for x in _OPEN.finditer(end, max(0, len(end) - 20)))


def is_reasoning_mark(text: str) -> bool:
    """Whether a text is one of the marks that reasoning stands between."""
    return bool(_OPEN.fullmatch(text) or _CLOSE.fullmatch(text))


def _after_blank(text: str, place: int) -> int:
    return len(text) - len(text[place:].lstrip())


def repetition(text: str) -> float:
    """Share of the text's word 4-grams that stood in it before; 0 for a text of fewer than four words.

    Upper and lower case are told apart: fold the text first where they shouldn't be.
    """
    words = re.findall(r"\w+", text)
    grams = list(zip(*(words[i:] for i in range(_GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


@dataclass(frozen=True)
class Answer:
    """A system's answer to an item. ``text`` is what the model wrote, ``visible`` what a reader sees of it; everything
    that is measured is measured on what is visible, once."""

    item_id: str
    text: str
    finish_reason: str | None = None

    @cached_property
    def visible(self) -> str:
        """The text without reasoning."""
        return strip_reasoning(self.text)

    @cached_property
    def identification(self) -> Identification:
        """What is known of its language."""
        return identify(self.visible)

    @property
    def language(self) -> str:
        """The most likely language of the registry, or ``other``; ``is_in`` says what is certain."""
        return self.identification.language

    def is_in(self, language: str) -> bool | None:
        """Whether it is in a language; None where that can't be told."""
        return self.identification.is_in(language)

    @property
    def length(self) -> int:
        """Characters."""
        return len(self.visible)

    @cached_property
    def repetition(self) -> float:
        """Share of its word 4-grams that stood in it before, upper and lower case being the same."""
        return repetition(self.visible.casefold())

    @property
    def cut_off(self) -> bool:
        """Whether it ended at the token limit."""
        return self.finish_reason == "length"


class Generated(Protocol):
    """A record of a generation, or a row with the same columns."""

    @property
    def item_id(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def text(self) -> str | None: ...
    @property
    def finish_reason(self) -> str | None: ...


def answers_of(generations: Iterable[Generated]) -> dict[str, Answer]:
    """Item id -> its answer: the generation with the lowest index that has a text. Items without one are left out."""
    first: dict[str, Generated] = {}
    for x in generations:
        if x.text is not None and (x.item_id not in first or x.index < first[x.item_id].index):
            first[x.item_id] = x
    return {name: Answer(name, x.text, x.finish_reason) for name, x in first.items() if x.text is not None}
