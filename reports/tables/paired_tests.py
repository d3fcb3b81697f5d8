"""One comparison of two systems: interval, test, non-inferiority, detectable effect, each picked by the metric's kind.

The test is exact McNemar for right-or-wrong items of one language, a sign-flip permutation of items for other values,
and a sign-flip of whole clusters as soon as items share a source. A win rate is tested against one half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..items.item_values import PairedValues
from ..records.comparison import Comparison
from ..records.rules import Rules
from ..stats.bootstrap import bootstrap_intervals
from ..stats.clusters import ROUNDING, ClusterSums, Grouping
from ..stats.equivalence import noninferiority
from ..stats.inputs import Array
from ..stats.permutation import sign_flip_permutation_many
from ..stats.power import detectable_binary, detectable_in_errors
from ..stats.proportions import mcnemar_exact
from ..stats.results import Estimate, Test


def paired_comparisons(named: Sequence[Comparison], paired: Sequence[PairedValues], rules: Rules) -> list[Comparison]:
    """The comparisons with their numbers, each from its pair's values; a NaN margin asks for no non-inferiority.

    Each is what the pair alone would give; those over the same items share their resamples. Raises ValueError for a
    margin of 1 or more (a win rate: 0.5) where values lie in [0, 1].
    """
    batches: dict[tuple[object, ...], list[int]] = {}
    for i, x in enumerate(paired):
        batches.setdefault((x.kind, x.against_half, x.clusters.tobytes(), x.languages.tobytes()), []).append(i)
    found: dict[int, Comparison] = {}
    for members in batches.values():
        of_batch = _batch([named[i] for i in members], [paired[i] for i in members], rules)
        found.update(zip(members, of_batch, strict=True))
    return [found[i] for i in range(len(named))]


def _batch(named: Sequence[Comparison], paired: Sequence[PairedValues], rules: Rules) -> list[Comparison]:
    first, pooled = paired[0], named[0].scope != "language"
    differences = np.stack([x.candidate - x.reference for x in paired])
    grouping = Grouping.of(differences.shape[1], first.clusters, first.languages if pooled else None)
    groups = [grouping.sums(x) for x in differences]
    unscored = [int(x) for x in np.isnan(differences).sum(axis=1)]
    intervals = bootstrap_intervals(groups, unscored, rules.n_resamples, rules.level, rules.seed, _scale(first))
    tests = _tests(paired, differences, pooled, rules)
    parts = zip(named, paired, differences, groups, intervals, tests, strict=True)
    return [_with_numbers(a, b, c, d, e, f, rules.alpha) for a, b, c, d, e, f in parts]


def _scale(paired: PairedValues) -> tuple[float, float] | None:
    if paired.kind == "continuous":
        return None
    return (-0.5, 0.5) if paired.against_half else (-1.0, 1.0)


def takes_mcnemar(paired: PairedValues, pooled: bool) -> bool:
    """Whether items are right or wrong and each is a draw of its own."""
    return paired.kind == "binary" and not pooled and not paired.has_shared_sources


def _tests(paired: Sequence[PairedValues], differences: Array, pooled: bool, rules: Rules) -> list[Test]:
    first = paired[0]
    if takes_mcnemar(first, pooled):
        return [mcnemar_exact(x.candidate, x.reference, rules.level) for x in paired]
    return sign_flip_permutation_many(differences, first.clusters, rules.n_resamples, rules.seed, rules.level)


def _with_numbers(
    named: Comparison,
    paired: PairedValues,
    difference: Array,
    group: ClusterSums,
    interval: Estimate,
    test: Test,
    alpha: float,
) -> Comparison:
    scored = ~np.isnan(difference)
    n = int(scored.sum())
    no_worse = None if math.isnan(named.margin) else _noninferiority(paired, named.margin, alpha)
    return replace(
        named,
        n=n,
        unscored_candidate=int(np.isnan(paired.candidate).sum()),
        unscored_reference=int(np.isnan(paired.reference).sum()),
        mean_candidate=float(paired.candidate[scored].mean()) if n else math.nan,
        mean_reference=float(paired.reference[scored].mean()) if n else math.nan,
        difference=interval.value,
        ci_low=interval.ci_low,
        ci_high=interval.ci_high,
        effect_size=_effect_size(difference[scored]),
        p_value=test.p_value,
        p_noninferior=no_worse.p_value if no_worse else math.nan,
        mde=detectable(paired, group, named.scope != "language", alpha),
        method="; ".join(x.method for x in (test, interval, no_worse) if x) if n else "none",
    )


def _noninferiority(paired: PairedValues, margin: float, alpha: float) -> Test:
    """A win rate w against one half is preferences against their opposites, w - (1 - w), at twice the margin: the same
    test on the whole scale from -1 to 1."""
    twice = paired.against_half
    if twice and margin >= 0.5:
        raise ValueError(f"the margin of a win rate must be below 0.5, not {margin}")
    theirs = 1 - paired.candidate if twice else paired.reference
    clusters = paired.clusters if paired.has_shared_sources else None
    units = 2 * margin if twice else margin
    return noninferiority(paired.candidate, theirs, units, kind=paired.kind, clusters=clusters, alpha=alpha)


def _effect_size(differences: Array) -> float:
    if len(differences) < 2:
        return math.nan
    sd = float(differences.std(ddof=1))
    mean = float(differences.mean())
    if sd <= ROUNDING * max(1.0, abs(mean)):
        return 0.0 if mean == 0 else math.nan
    return mean / sd


def detectable(paired: PairedValues, group: ClusterSums, pooled: bool, alpha: float, power: float = 0.8) -> float:
    """The true difference that the comparison's test finds with this power, from the noise that it showed; NaN if there
    is none, or if even the largest difference is missed. ``group``: the pair's differences."""
    if not group.count:
        return math.nan
    if takes_mcnemar(paired, pooled):
        return detectable_binary(group.n, np.count_nonzero(group.sums) / group.n, power, alpha)
    if not group.has_spread:
        return math.nan
    effect = group.se() * detectable_in_errors(group.count, power, alpha)
    scale = _scale(paired)
    return effect if scale is None or effect <= scale[1] else math.nan
