"""Which translations are kept, and why the others are not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...harness.api.records import Response
from ...harness.text.answers import strip_reasoning
from ...harness.text.langid import is_in_language
from .protected import first_difference, without_protected

VERSION = "1"
"""Of the checks: it changes when they would keep other translations."""

_SLACK = 20
_REFUSAL = re.compile(
    r"\W*(i(['’]m| am) (sorry|unable|not able)|sorry,? (but )?i|i can(['’]t|not| not)|i won['’]t|as an ai\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Limits:
    """Characters of a translation per character of its source, give or take 20 characters."""

    min_ratio: float
    max_ratio: float


@dataclass(frozen=True)
class Checked:
    """A translator's answer: ``text`` is what it said, without reasoning; ``dropped`` why that is not kept.

    ``in_language`` is None where that can't be told, or was not looked at.
    """

    text: str | None
    dropped: str | None
    in_language: bool | None = None


def check(source: str, response: Response, language: str, limits: Limits) -> Checked:
    """Looks for what makes an answer no translation, the plainest reason first.

    The language is that of the text outside its protected parts; where it can't be told the translation is kept.
    """
    if response.text is None:
        return Checked(None, f"no answer ({response.finish_reason})")
    text = strip_reasoning(response.text).strip()
    dropped = _fault(source, text, response.finish_reason, limits)
    if dropped:
        return Checked(text, dropped)
    in_language = is_in_language(without_protected(text), language)
    return Checked(text, "in another language" if in_language is False else None, in_language)


def _fault(source: str, text: str, finish_reason: str | None, limits: Limits) -> str | None:
    if finish_reason == "length":
        return "cut off"
    if finish_reason == "content_filter" or (_REFUSAL.match(text) and not _REFUSAL.match(source)):
        return "refused"
    if not text:
        return "empty answer"
    if difference := first_difference(source, text):
        return difference
    if len(text) > limits.max_ratio * len(source) + _SLACK:
        return "too long for its source"
    if len(text) < limits.min_ratio * len(source) - _SLACK:
        return "too short for its source"
    return None
