"""What a corpus gives: texts that models are trained on, made from the same sources as a suite."""

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
