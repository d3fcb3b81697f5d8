"""Scorer ``reference``: known answers, no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...harness.config.strict import Strict, parse_options
from ...judges.reference import VERSION, assess
from .base import Outcome, Outcomes, Rated

_BATCH = 256


class ReferenceScorer:
    """The share of known facts that an answer states, in the right language and without repetition.

    Answers of equal quality have equal rewards.
    """

    def __init__(self, **options: Any) -> None:
        parse_options(Strict, options, "scorer 'reference'")

    @property
    def identity(self) -> dict[str, Any]:
        return {"scorer": "reference", "version": VERSION}

    def score(self, rows: Sequence[Rated], done: int = 0) -> Outcomes:
        """The quality of each answer, between 0 and 1; prompts without known facts are unscored."""
        for start in range(done, len(rows), _BATCH):
            yield [_assess(x) for x in rows[start : start + _BATCH]]

    def close(self) -> None:
        """There is nothing to free."""


def _assess(row: Rated) -> Outcome:
    metadata = json.loads(row.prompt.metadata)
    if not metadata.get("facts"):
        return None, "the prompt has no known facts"
    ordered = bool(metadata.get("ordered"))
    return assess(row.candidate.answer, metadata["facts"], ordered, row.candidate.language).quality, None
