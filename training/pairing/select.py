"""From scored candidates to pairs: the rule, the members of a pool, and the prompt that goes with each pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ...harness.store.columns import characters, numbers, texts
from ..records import Prompt
from .candidates import Array, Candidates
from .rule import REASONS, Outcome, PairRule, PoolPairs, pick_pairs

_PAIRS_AT_ONCE = 4096


@dataclass(frozen=True)
class PairSummary:
    """The pairs of a language of chosen answers (``all``: of pools over all languages). Gaps are means of chosen less
    rejected (``length_gap`` in characters; without pairs there is no reward gap). Off-target rates are shares of
    answers that are not in the language they were asked for in, among those where it can be told, of which there are
    ``chosen_told`` and ``rejected_told``; None where there is none."""

    language: str
    pairs: int
    reward_gap: float | None
    length_gap: float
    chosen_off_target: float | None
    rejected_off_target: float | None
    chosen_told: int
    rejected_told: int

    def __str__(self) -> str:
        if not self.pairs:
            return "no pairs"
        gap = "no reward gap (unscored gold)" if self.reward_gap is None else f"reward gap {self.reward_gap:.3f}"
        chosen = _share(self.chosen_off_target, self.chosen_told)
        rejected = _share(self.rejected_off_target, self.rejected_told)
        lengths = f"length gap {self.length_gap:+.0f} characters"
        return f"{gap}, {lengths}, off target {chosen} chosen and {rejected} rejected"


def _share(rate: float | None, told: int) -> str:
    return "unknown for" if rate is None else f"{rate:.0%} of {told:,}"


def select_pairs(rule: PairRule, prompts: Sequence[Prompt], candidates: Candidates, seed: int) -> SelectedPairs:
    """The pairs in the order in which pools first appear, and what gave none, by reason."""
    skips = Counter({f"candidate: {k}": n for k, n in candidates.unusable.items()})
    values, pools = candidates.reward, candidates.pools(rule.pool)
    if rule.members == "gold-chosen":
        picks = _pick_below_gold(rule, candidates, values, pools)
    else:
        if rule.members == "generations":
            values = np.where(candidates.is_gold, np.nan, values)
        picks = pick_pairs(values, pools, rule.reject_target, rule.chosen_target)
    skips.update({f"pool: {reason}": n for reason, n in picks.skips().items()})
    chosen, rejected, sizes = (x[picks.has_pair] for x in (picks.chosen, picks.rejected, picks.sizes))
    asked = _prompts_shown(rule, prompts, candidates, chosen, rejected, seed)
    there = asked >= 0
    if not there.all():
        skips[f"pool: {REASONS[Outcome.NO_PROMPT]}"] += int((~there).sum())
    return SelectedPairs(candidates, prompts, chosen[there], rejected[there], sizes[there], asked[there], skips)


def _pick_below_gold(rule: PairRule, candidates: Candidates, values: Array, pools: Array) -> PoolPairs:
    """The gold answer is chosen; rejected is the generation nearest to the target, whatever the gold's reward.

    Where no generation is below the best one, the first of them is rejected.
    """
    own = np.where(candidates.is_gold, np.nan, values)
    gold = candidates.is_gold & ~candidates.is_empty
    finite = own[np.isfinite(own)]
    above_all = np.abs(finite).max() * 2 + 1 if len(finite) else 1.0
    picks = pick_pairs(np.where(gold, above_all, own), pools, rule.reject_target)
    below = pick_pairs(own, pools, rule.reject_target)
    first = pick_pairs(np.where(gold, above_all, np.where(np.isfinite(own), 0.0, np.nan)), pools, "max")
    has_gold = np.isin(picks.pools, pools[gold])
    picks.outcomes[~has_gold] = Outcome.NO_GOLD
    picks.rejected[:] = np.where(below.has_pair, below.rejected, first.rejected)
    return picks


def _prompts_shown(
    rule: PairRule, prompts: Sequence[Prompt], candidates: Candidates, chosen: Array, rejected: Array, seed: int
) -> Array:
    """Which prompt goes with each pair (its place in ``prompts``), -1 where it is not there."""
    places = {x: i for i, x in enumerate(candidates.sources)}
    known: list[dict[str, int]] = [{} for _ in places]
    for number, x in enumerate(prompts):
        if x.source_id in places:
            known[places[x.source_id]][x.language] = number
    sources = candidates.source[chosen].tolist()
    if rule.pool == "all" and rule.prompt_source == "random":
        rng = np.random.default_rng(seed)
        drawn = [sorted(known[x])[int(rng.integers(len(known[x])))] if known[x] else "" for x in sources]
    else:
        side = rejected if rule.pool == "all" and rule.prompt_source == "rejected" else chosen
        drawn = [candidates.languages[x] for x in candidates.language[side].tolist()]
    return np.array([known[x].get(y, -1) for x, y in zip(sources, drawn, strict=True)], dtype=np.int64)


class SelectedPairs:
    """Pairs as places of candidates, in their order; ``tables`` makes records of them, a few thousand at a time.

    ``chosen``, ``rejected`` and ``prompt`` are places in the candidates and the prompts; ``skips`` counts what gave no
    pair, by reason. Pairs whose two texts are the same are dropped when the texts are read, and counted.
    """

    def __init__(
        self, candidates: Candidates, prompts: Sequence[Prompt], chosen: Array, rejected: Array, sizes: Array,
        prompt: Array, skips: Counter[str],
    ) -> None:  # fmt: skip
        self._candidates, self._prompts = candidates, prompts
        self.chosen, self.rejected, self.sizes, self.prompt, self.skips = chosen, rejected, sizes, prompt, skips
        self._length_gap = np.zeros(len(chosen))
        self._kept = np.ones(len(chosen), dtype=bool)

    def tables(self) -> Iterator[pa.Table]:
        """The pairs as columns of ``Pair``."""
        for start in range(0, len(self.chosen), _PAIRS_AT_ONCE):
            yield self._table(slice(start, start + _PAIRS_AT_ONCE))
        dropped = int((~self._kept).sum())
        if dropped:
            self.skips[f"pool: {REASONS[Outcome.SAME_TEXT]}"] += dropped

    def _table(self, some: slice) -> pa.Table:
        these = self._candidates
        best, worse = self.chosen[some], self.rejected[some]
        chosen, rejected = these.answers(best), these.answers(worse)
        self._kept[some] = kept = np.array([x != y for x, y in zip(chosen, rejected, strict=True)], dtype=bool)
        self._length_gap[some] = np.subtract(characters(chosen), characters(rejected))
        asked = [self._prompts[x] for x in self.prompt[some].tolist()]
        columns = {
            "source_id": _named(these.sources, these.source[best]),
            "prompt": [x.prompt.encode() for x in asked],
            "prompt_language": [x.language.encode() for x in asked],
            "chosen": chosen,
            "rejected": rejected,
            "chosen_score": these.reward[best],
            "rejected_score": these.reward[worse],
            "chosen_language": _named(these.languages, these.language[best]),
            "rejected_language": _named(these.languages, these.language[worse]),
            "pool_size": self.sizes[some].astype(np.int64),
        }
        return pa.table({name: _kept(column, kept) for name, column in columns.items()})

    def summary(self) -> list[PairSummary]:
        """Numbers of the pairs by the language of chosen, in alphabetical order, once ``tables`` were made."""
        names = self._candidates.languages
        codes = self._candidates.language[self.chosen]
        groups = {x: np.flatnonzero(self._kept & (codes == i)) for i, x in enumerate(names)}
        return [self._summary(x, groups[x]) for x in sorted(names) if len(groups[x])]

    def _summary(self, language: str, these: Array) -> PairSummary:
        candidates, chosen, rejected = self._candidates, self.chosen[these], self.rejected[these]
        gaps = candidates.reward[chosen] - candidates.reward[rejected]
        told = [candidates.in_language[x][candidates.in_language[x] >= 0] for x in (chosen, rejected)]
        return PairSummary(
            language=language,
            pairs=len(these),
            reward_gap=_mean(gaps[~np.isnan(gaps)]),
            length_gap=float(self._length_gap[these].mean()),
            chosen_off_target=_mean(told[0] == 0),
            rejected_off_target=_mean(told[1] == 0),
            chosen_told=len(told[0]),
            rejected_told=len(told[1]),
        )


def _named(names: Sequence[str], codes: Array) -> list[bytes]:
    encoded = [x.encode() for x in names]
    return [encoded[x] for x in codes.tolist()]


def _kept(column: Array | list[bytes], kept: Array) -> pa.Array:
    if isinstance(column, list):
        return texts([x for x, keep in zip(column, kept, strict=True) if keep])
    return numbers(column[kept])


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None
