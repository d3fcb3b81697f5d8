"""Pairing: chosen and rejected of each pool, from candidates and one of their rewards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...harness.fingerprint import digest
from ...harness.langid import is_in_language
from ..config import PairConfig
from ..pairs.rule import REASONS, Outcome, Picks, pick_pairs
from ..records import Candidate, Pair, Prompt, Reward
from .folder import Stage


@dataclass(frozen=True)
class PairSummary:
    """What came out for a language of chosen answers. Gaps are means of chosen less rejected (``length_gap`` in
    characters); off-target rates are shares of answers in another language, those that can't be told left out."""

    language: str
    pairs: int
    reward_gap: float
    length_gap: float
    chosen_off_target: float
    rejected_off_target: float


def pair(
    settings: PairConfig,
    prompts: Sequence[Prompt],
    candidates: Sequence[Candidate],
    rewards: Sequence[Reward],
    stage: Stage,
    made_from: dict[str, Any],
    seed: int,
) -> list[PairSummary]:
    """Writes the pairs and gives their summary by language. ``made_from`` identifies candidates and rewards."""
    fingerprint = {**settings.model_dump(mode="json"), "seed": seed, "made_from": digest(made_from)}
    if stage.enter(fingerprint):
        return [PairSummary(**x) for x in stage.seal_info()["summary"]]
    pairs, skips = select_pairs(settings, prompts, candidates, rewards, seed)
    summary = summarise(pairs)
    info = {"skips": dict(skips), "summary": [x.__dict__ for x in summary]}
    stage.finish(Pair, pairs, info)
    return summary


def select_pairs(
    settings: PairConfig,
    prompts: Sequence[Prompt],
    candidates: Sequence[Candidate],
    rewards: Sequence[Reward],
    seed: int,
) -> tuple[list[Pair], Counter[str]]:
    """The pairs in the order of source prompts, and pools and candidates that gave none, by reason."""
    skips: Counter[str] = Counter()
    values = np.array([np.nan if x.reward is None else x.reward for x in rewards], dtype=float)
    skips.update(f"candidate: {x.unscored}" for x in rewards if x.reward is None)
    is_gold = np.array([x.kind == "gold" for x in candidates], dtype=bool)
    empty = np.array([not x.answer for x in candidates], dtype=bool)
    skips["candidate: empty answer"] += int((empty & ~np.isnan(values)).sum())
    values[empty] = np.nan
    if settings.members == "generations":
        values[is_gold] = np.nan
    pools = _pools(settings.pool, candidates)
    picks = pick_pairs(values, pools, settings.reject_target, settings.chosen_target)
    if settings.members == "gold-chosen":
        picks = _with_gold_chosen(settings, candidates, values, pools, is_gold)
    for outcome, count in Counter(picks.outcomes.tolist()).items():
        if outcome != Outcome.PAIR:
            skips[f"pool: {REASONS[Outcome(outcome)]}"] += count
    made = zip(*(x[picks.has_pair].tolist() for x in (picks.chosen, picks.rejected, picks.sizes)), strict=True)
    asked = _Wordings(prompts, seed)
    found = [_pair(settings, asked, candidates, values, *x) for x in made]
    return found, Counter({k: n for k, n in skips.items() if n})


def _pools(pool: str, candidates: Sequence[Candidate]) -> np.ndarray:
    """A number for each candidate's pool, in the order in which pools first appear."""
    names: dict[tuple[str, ...], int] = {}
    keys = [(x.source_id,) if pool == "all" else (x.source_id, x.language) for x in candidates]
    return np.array([names.setdefault(x, len(names)) for x in keys], dtype=int)


def _with_gold_chosen(
    settings: PairConfig, candidates: Sequence[Candidate], values: np.ndarray, pools: np.ndarray, is_gold: np.ndarray
) -> Picks:
    """The gold answer is chosen; rejected is the generation nearest to the target, whatever the gold's reward."""
    own = np.where(is_gold, np.nan, values)
    scale = float(np.nanmax(np.abs(own))) + 1 if np.isfinite(own).any() else 1.0
    targets = pick_pairs(own, pools, settings.reject_target, "max")
    lifted = np.where(is_gold & np.array([bool(x.answer) for x in candidates]), 2 * scale, own)
    picks = pick_pairs(lifted, pools, settings.reject_target)
    for i in np.flatnonzero(picks.has_pair):
        members = np.flatnonzero((pools == picks.pools[i]) & np.isfinite(own))
        if not is_gold[picks.chosen[i]]:
            picks.outcomes[i] = Outcome.ONE_CANDIDATE
        elif targets.has_pair[i]:
            picks.rejected[i] = targets.rejected[i]
        else:
            picks.rejected[i] = members[0]
    return picks


class _Wordings:
    """Prompts by source and language."""

    def __init__(self, prompts: Sequence[Prompt], seed: int) -> None:
        self._by_source: dict[str, dict[str, Prompt]] = {}
        for x in prompts:
            self._by_source.setdefault(x.source_id, {})[x.language] = x
        self._rng = np.random.default_rng(seed)

    def pick(self, source_id: str, language: str | None) -> Prompt:
        """The prompt in a language, or in one drawn from those it exists in."""
        known = self._by_source[source_id]
        if language is None:
            language = sorted(known)[int(self._rng.integers(len(known)))]
        return known[language]


def _pair(
    settings: PairConfig, asked: _Wordings, candidates: Sequence[Candidate], values: np.ndarray,
    chosen: int, rejected: int, size: int,
) -> Pair:  # fmt: skip
    best, worse = candidates[chosen], candidates[rejected]
    wanted = {"chosen": best.language, "rejected": worse.language, "random": None}[settings.prompt_source]
    prompt = asked.pick(best.source_id, best.language if settings.pool == "language" else wanted)
    return Pair(
        source_id=best.source_id,
        prompt=prompt.prompt,
        prompt_language=prompt.language,
        chosen=best.answer,
        rejected=worse.answer,
        chosen_score=float(values[chosen]),
        rejected_score=float(values[rejected]),
        chosen_language=best.language,
        rejected_language=worse.language,
        pool_size=size,
    )


def summarise(pairs: Sequence[Pair]) -> list[PairSummary]:
    """Numbers of the pairs by the language of chosen, in alphabetical order."""
    languages = sorted({x.chosen_language for x in pairs})
    return [_summary(code, [x for x in pairs if x.chosen_language == code]) for code in languages]


def _summary(language: str, pairs: Sequence[Pair]) -> PairSummary:
    return PairSummary(
        language=language,
        pairs=len(pairs),
        reward_gap=float(np.mean([x.chosen_score - x.rejected_score for x in pairs])),
        length_gap=float(np.mean([len(x.chosen) - len(x.rejected) for x in pairs])),
        chosen_off_target=_off_target([(x.chosen, x.prompt_language) for x in pairs]),
        rejected_off_target=_off_target([(x.rejected, x.prompt_language) for x in pairs]),
    )


def _off_target(answers: Sequence[tuple[str, str]]) -> float:
    told = [x for x in (is_in_language(text, language) for text, language in answers) if x is not None]
    return 1 - sum(told) / len(told) if told else float("nan")
