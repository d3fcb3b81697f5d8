"""One comparison of two systems: interval, test, non-inferiority, detectable effect, each picked by the metric's kind.

The test is exact McNemar for right-or-wrong items of one language, a sign-flip permutation of items for other values,
and a sign-flip of whole clusters as soon as items share a source. A win rate is tested against one half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..items.item_values import Sides
from ..stats.bootstrap import bootstrap_intervals
from ..stats.clusters import ROUNDING, ClusterSums, Grouping
from ..stats.detectable import detectable_binary, detectable_in_errors
from ..stats.equivalence import noninferiority
from ..stats.inputs import Array
from ..stats.permutation import sign_flip_permutation_many
from ..stats.proportions import mcnemar_exact
from ..stats.results import Estimate, Test


@dataclass(frozen=True)
class Settings:
    """How a comparison is made; ``margin`` is in the metric's units, None for no test of non-inferiority."""

    alpha: float
    margin: float | None
    level: float
    n_resamples: int
    seed: int


@dataclass(frozen=True)
class PairedResult:
    """Means and difference over the items that both systems have scored; NaN where nothing can be said.

    ``effect_size``: the difference over the standard deviation of the items' differences (Cohen's d for paired values).
    ``mde``: the true difference that a test at alpha, uncorrected, finds with a probability of 80%. ``method``: of the
    test, of the interval and of the test of non-inferiority.
    """

    n: int
    unscored_candidate: int
    unscored_reference: int
    mean_candidate: float
    mean_reference: float
    difference: float
    ci_low: float
    ci_high: float
    effect_size: float
    p_value: float
    p_noninferior: float
    mde: float
    method: str


def paired_results(sides: Sequence[Sides], pooled: bool, settings: Settings) -> list[PairedResult]:
    """A result for each pair of systems, ``pooled`` over languages or not.

    Each is what the pair alone would give; those over the same items share their resamples. Raises ValueError for a
    margin of 1 or more (a win rate: 0.5) where values lie in [0, 1].
    """
    batches: dict[tuple[object, ...], list[int]] = {}
    for i, x in enumerate(sides):
        batches.setdefault((x.kind, x.against_half, x.clusters.tobytes(), x.languages.tobytes()), []).append(i)
    results: dict[int, PairedResult] = {}
    for members in batches.values():
        results.update(zip(members, _batch([sides[i] for i in members], pooled, settings), strict=True))
    return [results[i] for i in range(len(sides))]


def _batch(sides: Sequence[Sides], pooled: bool, settings: Settings) -> list[PairedResult]:
    first = sides[0]
    differences = np.stack([x.candidate - x.reference for x in sides])
    grouping = Grouping.of(differences.shape[1], first.clusters, first.languages if pooled else None)
    groups = [grouping.sums(x) for x in differences]
    unscored = [int(x) for x in np.isnan(differences).sum(axis=1)]
    intervals = bootstrap_intervals(
        groups, unscored, settings.n_resamples, settings.level, settings.seed, _scale(first)
    )
    tests = _tests(sides, differences, pooled, settings)
    return [_result(*x, settings) for x in zip(sides, differences, groups, intervals, tests, strict=True)]


def _scale(sides: Sides) -> tuple[float, float] | None:
    if sides.kind == "continuous":
        return None
    return (-0.5, 0.5) if sides.against_half else (-1.0, 1.0)


def _tests(sides: Sequence[Sides], differences: Array, pooled: bool, settings: Settings) -> list[Test]:
    first = sides[0]
    if first.kind == "binary" and not pooled and not first.has_shared_sources:
        return [mcnemar_exact(x.candidate, x.reference, settings.level) for x in sides]
    return sign_flip_permutation_many(differences, first.clusters, settings.n_resamples, settings.seed, settings.level)


def _result(
    sides: Sides, difference: Array, group: ClusterSums, interval: Estimate, test: Test, settings: Settings
) -> PairedResult:
    scored = ~np.isnan(difference)
    n = int(scored.sum())
    no_worse = None if settings.margin is None else _noninferiority(sides, settings.margin, settings.alpha)
    return PairedResult(
        n=n,
        unscored_candidate=int(np.isnan(sides.candidate).sum()),
        unscored_reference=int(np.isnan(sides.reference).sum()),
        mean_candidate=float(sides.candidate[scored].mean()) if n else math.nan,
        mean_reference=float(sides.reference[scored].mean()) if n else math.nan,
        difference=interval.value,
        ci_low=interval.ci_low,
        ci_high=interval.ci_high,
        effect_size=_effect_size(difference[scored]),
        p_value=test.p_value,
        p_noninferior=no_worse.p_value if no_worse else math.nan,
        mde=_detectable(sides, group, test, settings.alpha) if n else math.nan,
        method="; ".join(x.method for x in (test, interval, no_worse) if x) if n else "none",
    )


def _noninferiority(sides: Sides, margin: float, alpha: float) -> Test:
    """A win rate w against one half is preferences against their opposites, w - (1 - w), at twice the margin: the same
    test on the whole scale from -1 to 1."""
    twice = sides.against_half
    if twice and margin >= 0.5:
        raise ValueError(f"the margin of a win rate must be below 0.5, not {margin}")
    theirs = 1 - sides.candidate if twice else sides.reference
    clusters = sides.clusters if sides.has_shared_sources else None
    units = 2 * margin if twice else margin
    return noninferiority(sides.candidate, theirs, units, kind=sides.kind, clusters=clusters, alpha=alpha)


def _effect_size(differences: Array) -> float:
    if len(differences) < 2:
        return math.nan
    sd = float(differences.std(ddof=1))
    mean = float(differences.mean())
    if sd <= ROUNDING * max(1.0, abs(mean)):
        return 0.0 if mean == 0 else math.nan
    return mean / sd


def _detectable(sides: Sides, group: ClusterSums, test: Test, alpha: float) -> float:
    """From the noise that the comparison showed; NaN if there is none, or if even the largest difference is missed."""
    if test.method == "mcnemar-exact":
        return detectable_binary(group.n, np.count_nonzero(group.sums) / group.n, alpha=alpha)
    if not group.has_spread:
        return math.nan
    effect = group.se() * detectable_in_errors(group.count, alpha=alpha)
    scale = _scale(sides)
    return effect if scale is None or effect <= scale[1] else math.nan
