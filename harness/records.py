"""The data contracts: what passes between the stages. Words as in docs/design.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A prompt and an answer for training. ``flaw`` is ``good`` or the kind of flaw the answer was given."""

    language: str
    family: str
    flaw: str
    prompt: str
    answer: str
