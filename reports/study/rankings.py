"""Does a reward model of English preferences rank answers in other languages? Language by language, one family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ...harness.text.languages import LANGUAGES
from ..records.rules import Rules
from ..records.run_data import Frame
from ..stats.results import Estimate
from ..tables.reward_ranking import ranking_quality
from .claims import Answer

CHANCE = 0.5


@dataclass(frozen=True)
class LanguageRanking:
    """``accuracy``: share of pairs of one prompt in the right order, with the interval of the family."""

    language: str
    accuracy: Estimate


def language_rankings(candidates: Frame | None, rules: Rules) -> list[LanguageRanking]:
    """Each language's, English last. ``candidates``: ``language``, ``prompt_id``, ``reward`` and known ``score``.

    The languages but English are one family: their intervals are at 1 - alpha / k for k of them (Bonferroni).
    """
    if candidates is None:
        return []
    found = [x for x in LANGUAGES if x in set(candidates["language"]) and x != "en"]
    level = 1 - rules.alpha / max(1, len(found))
    there = ["en"] if "en" in set(candidates["language"]) else []
    return [_ranking(x, candidates, level if x != "en" else 1 - rules.alpha, rules) for x in [*found, *there]]


def _ranking(language: str, candidates: Frame, level: float, rules: Rules) -> LanguageRanking:
    part = candidates[candidates["language"].eq(language)]
    prompts = pd.factorize(part["prompt_id"])[0]
    quality = ranking_quality(
        part["reward"], part["score"], prompts, n_resamples=rules.n_resamples, level=level, seed=rules.seed
    )
    return LanguageRanking(language, quality.accuracy)


def rankings_answer(rankings: Sequence[LanguageRanking]) -> Answer:
    """HOLDS if all languages but English are above chance, FAILS if one is below."""
    others = [x.accuracy for x in rankings if x.language != "en"]
    if others and all(x.ci_low > CHANCE for x in others):
        return Answer.HOLDS
    return Answer.FAILS if any(x.ci_high < CHANCE for x in others) else Answer.OPEN
