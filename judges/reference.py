"""Judge ``reference``: no model, only known facts. Prefers the answer that states more of them.

Quality of an answer, in [0, 1]: the share of the item's facts that it states, times 1 minus its repetition, and 0 if
it is clearly in another language. The better quality wins; a difference under 0.02 is a tie. It is deterministic and
does not see the order of the answers.

What it can't see: whether anything else in the answer is true, helpful or well put; facts that are inflected
beyond the spellings CLDR lists; irony, negation ("not the euro"). It measures facts, not quality.
"""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..harness.api.judge import Case, Judge, Ruling, Rulings
from ..harness.api.records import AnswerPair, Judgment, Order, Verdict
from ..harness.errors import UserError
from ..harness.store.run_directory import RunDirectory
from ..harness.text.answers import Answer, repetition

VERSION = "3"
TIE_BAND = 0.02
_BATCH = 100


@dataclass(frozen=True)
class Assessment:
    """``facts``: share of facts stated; ``in_language`` None where it can't be told; ``repetition``: share of word
    4-grams that stood in the answer before; ``quality`` in [0, 1]."""

    facts: float
    in_language: bool | None
    repetition: float
    quality: float


class ReferenceJudge(Judge):
    """Judges items whose metadata hold ``facts``: a list of lists of accepted spellings."""

    description = "no model: prefers the answer that states more of the known facts, in the right language"

    def __init__(self, **options: Any) -> None:
        if options:
            raise UserError(f"judge 'reference' has no option {sorted(options)[0]!r}; it has none at all.")

    @property
    def identity(self) -> dict[str, Any]:
        return {"judge": "reference", "version": VERSION, "tie_band": TIE_BAND}

    def orders(self, pair: AnswerPair) -> tuple[Order, ...]:
        """One judgment without an order; items without facts are none of its business."""
        return ("unordered",) if json.loads(pair.item.metadata).get("facts") else ()

    def judge(self, cases: Iterable[Case], run: RunDirectory, tell: Callable[[str], None]) -> Rulings:
        """Some rulings at a time, in the order of the cases."""
        batch: list[Ruling] = []
        for case in cases:
            batch.append(Ruling(case, _judge(case.pair)))
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def _judge(pair: AnswerPair) -> Judgment:
    metadata = json.loads(pair.item.metadata)
    candidate, reference = (
        assess(x, metadata["facts"], bool(metadata.get("ordered")), pair.language)
        for x in (pair.candidate, pair.reference)
    )
    difference = candidate.quality - reference.quality
    verdict: Verdict = "tie" if abs(difference) < TIE_BAND else "candidate" if difference > 0 else "reference"
    details = json.dumps({"candidate": asdict(candidate), "reference": asdict(reference)})
    return Judgment(pair.item.item_id, pair.item.source_id, pair.item.task, "unordered", verdict, None, details)


def assess(answer: str, facts: Sequence[Sequence[str]], ordered: bool, language: str) -> Assessment:
    """How many of the facts an answer states, in which language, and how often it repeats itself.

    Reasoning before the answer (``<think>...</think>``) is no part of it.
    """
    shown = Answer("", answer)
    text = _fold(shown.visible)
    found = [_position(text, x) for x in facts]
    stated = _longest_rising([x for x in found if x is not None]) if ordered else sum(x is not None for x in found)
    share = stated / len(facts)
    in_language = shown.is_in(language)
    repeated = repetition(text)
    quality = 0.0 if in_language is False else share * (1 - repeated)
    return Assessment(round(share, 6), in_language, round(repeated, 6), round(quality, 6))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("’", "'")


def _position(text: str, spellings: Sequence[str]) -> int | None:
    """Where the first of the spellings stands in the text as whole words."""
    hits = [re.search(rf"(?<!\w){re.escape(_fold(x))}(?!\w)", text) for x in spellings]
    return min((x.start() for x in hits if x), default=None)


def _longest_rising(positions: Sequence[int]) -> int:
    """Length of the longest strictly rising subsequence: how many facts stand in their order."""
    tails: list[int] = []
    for x in positions:
        at = bisect_left(tails, x)
        tails[at : at + 1] = [x]
    return len(tails)
