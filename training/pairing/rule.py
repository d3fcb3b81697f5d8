"""Which two candidates of a pool become chosen and rejected? Numbers in, row numbers out; no text, no file.

The study's rule (arXiv 2605.26293, its scripts): chosen is the highest reward; rejected is the candidate whose reward
is nearest to mean - 2 x population standard deviation of the pool (chosen included), strictly below chosen. The other
targets are the points of arXiv 2502.16825.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias, get_args

import numpy as np

from ...harness.config.strict import Strict

Array: TypeAlias = np.ndarray
Target: TypeAlias = Literal[
    "mean_minus_2sigma", "q1", "min", "mean_minus_sigma", "mean", "mean_plus_sigma", "mean_plus_2sigma", "max"
]
TARGETS: tuple[str, ...] = get_args(Target)
"""Points of a pool's rewards. ``q1``: the lower quartile, interpolated as ``numpy.quantile``."""

Pool: TypeAlias = Literal["language", "all"]
POOLS: tuple[Pool, ...] = get_args(Pool)
PromptSource: TypeAlias = Literal["chosen", "rejected", "random"]
PROMPT_SOURCES: tuple[PromptSource, ...] = get_args(PromptSource)
Members: TypeAlias = Literal["generations", "generations+gold", "gold-chosen"]


class PairRule(Strict):
    """How pairs are made. ``pool``: candidates of one prompt in one language, or in all. ``members``: with
    ``gold-chosen`` the gold answer is chosen whatever its reward."""

    pool: Pool = "language"
    reject_target: Target = "mean_minus_2sigma"
    chosen_target: Target = "max"
    prompt_source: PromptSource = "chosen"
    members: Members = "generations"


_SIGMAS = {
    "mean_minus_2sigma": -2.0,
    "mean_minus_sigma": -1.0,
    "mean": 0.0,
    "mean_plus_sigma": 1.0,
    "mean_plus_2sigma": 2.0,
}


class Outcome(IntEnum):
    """What became of a pool."""

    PAIR = 0
    ONE_CANDIDATE = 1
    ALL_EQUAL = 2
    NO_CANDIDATE = 3
    NO_GOLD = 4
    SAME_TEXT = 5
    NO_PROMPT = 6


REASONS = {
    Outcome.ONE_CANDIDATE: "only one scored candidate",
    Outcome.ALL_EQUAL: "no candidate below the chosen one",
    Outcome.NO_CANDIDATE: "no scored candidate",
    Outcome.NO_GOLD: "no gold answer",
    Outcome.SAME_TEXT: "chosen and rejected are the same text",
    Outcome.NO_PROMPT: "no prompt in this language",
}


@dataclass(frozen=True)
class PoolPairs:
    """Per pool, in the order of ``pools``: rows of the chosen and the rejected candidate (-1 without a pair), the
    number of scored candidates, and the outcome."""

    pools: Array
    chosen: Array
    rejected: Array
    sizes: Array
    outcomes: Array

    @property
    def has_pair(self) -> Array:
        return self.outcomes == Outcome.PAIR

    def skips(self) -> Counter[str]:
        """How many pools have no pair, by reason."""
        counts = np.bincount(self.outcomes, minlength=len(Outcome)).tolist()
        return Counter({REASONS[x]: counts[x] for x in REASONS if counts[x]})


def pick_pairs(
    rewards: Sequence[float] | Array,
    pools: Sequence[int] | Array,
    rejected: Target = "mean_minus_2sigma",
    chosen: Target = "max",
) -> PoolPairs:
    """Chosen and rejected row of each pool.

    ``rewards``: one per candidate; NaN and infinite ones are left out. ``pools``: one integer per candidate. Chosen is
    the candidate nearest to its target (by default the highest), rejected the one nearest to its target among those
    strictly below chosen; among equals the first row counts. A pool without two different rewards gives no pair.
    Pools come in ascending order. Raises ValueError for lengths that differ and unknown targets.
    """
    for target in (rejected, chosen):
        if target not in TARGETS:
            raise ValueError(f"unknown target {target!r}; known: {', '.join(TARGETS)}")
    values, keys = np.asarray(rewards, dtype=np.float64), np.asarray(pools)
    if len(values) != len(keys):
        raise ValueError(f"{len(values)} rewards but {len(keys)} pools")
    order = _order(keys)
    names, _ = _runs(keys[order])
    rows = order[np.isfinite(values[order])]
    present, starts = _runs(keys[rows])
    segments = _Segments(values[rows], starts)
    top = segments.nearest(segments.target(chosen), np.ones(len(rows), dtype=bool))
    below = segments.values < segments.spread(segments.values[top])
    low = segments.nearest(segments.target(rejected), below)
    place = np.searchsorted(names, present)
    result = PoolPairs(
        names, *(np.full(len(names), -1) for _ in range(2)), *(np.zeros(len(names), int) for _ in range(2))
    )
    result.sizes[place] = segments.sizes
    result.outcomes[:] = Outcome.NO_CANDIDATE
    paired = low >= 0
    result.outcomes[place] = np.where(
        paired, Outcome.PAIR, np.where(segments.sizes == 1, Outcome.ONE_CANDIDATE, Outcome.ALL_EQUAL)
    )
    result.chosen[place[paired]] = rows[top[paired]]
    result.rejected[place[paired]] = rows[low[paired]]
    return result


def best_candidates(rewards: Sequence[float] | Array, pools: Sequence[int] | Array) -> tuple[Array, Array]:
    """(pools with a scored candidate, ascending; row of the highest reward in each, the first among equals)."""
    values, keys = np.asarray(rewards, dtype=np.float64), np.asarray(pools)
    order = _order(keys)
    rows = order[np.isfinite(values[order])]
    present, starts = _runs(keys[rows])
    segments = _Segments(values[rows], starts)
    return present, rows[segments.nearest(segments.target("max"), np.ones(len(rows), dtype=bool))]


def _order(keys: Array) -> Array:
    """Row numbers in the order of the keys, equal ones in input order."""
    if (keys[1:] >= keys[:-1]).all():
        return np.arange(len(keys))
    return np.argsort(keys, kind="stable")


def _runs(keys: Array) -> tuple[Array, Array]:
    """The different keys of an ascending array, and where each begins."""
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    return keys[starts], starts


class _Segments:
    """Rewards of all pools one after the other; all sums and minima are taken pool by pool at once."""

    def __init__(self, values: Array, starts: Array) -> None:
        self.values, self.starts = values, starts
        self.sizes = np.diff(starts, append=len(values))

    def spread(self, per_pool: Array) -> Array:
        """One number per pool as one per candidate."""
        return np.repeat(per_pool, self.sizes)

    def target(self, name: str) -> Array:
        """The reward that is aimed at, per pool."""
        if not len(self.starts):
            return np.zeros(0)
        if name == "max":
            return np.maximum.reduceat(self.values, self.starts)
        if name == "min":
            return np.minimum.reduceat(self.values, self.starts)
        if name == "q1":
            return self._quantile(0.25)
        mean = np.add.reduceat(self.values, self.starts) / self.sizes
        squares = np.add.reduceat((self.values - self.spread(mean)) ** 2, self.starts)
        return mean + _SIGMAS[name] * np.sqrt(squares / self.sizes)

    def _quantile(self, q: float) -> Array:
        pool = self.spread(np.arange(len(self.starts)))
        ordered = self.values[np.lexsort((self.values, pool))]
        place = q * (self.sizes - 1)
        left = np.floor(place).astype(int)
        right = np.minimum(left + 1, self.sizes - 1)
        low, high = ordered[self.starts + left], ordered[self.starts + right]
        return low + (high - low) * (place - left)

    def nearest(self, targets: Array, allowed: Array) -> Array:
        """Place of the first allowed candidate nearest to its pool's target, -1 where none is allowed."""
        if not len(self.starts):
            return np.zeros(0, dtype=int)
        distance = np.where(allowed, np.abs(self.values - self.spread(targets)), np.inf)
        smallest = np.minimum.reduceat(distance, self.starts)
        hits = np.flatnonzero(distance == self.spread(smallest))
        first = hits[np.searchsorted(hits, self.starts)]
        return np.where(np.isfinite(smallest), first, -1)
