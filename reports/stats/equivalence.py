"""Is the candidate no worse, or the same, within a margin? "Matched" is a claim, and these are its tests."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from .clusters import ClusterSums, Grouping
from .inputs import Kind, Labels, Values, check_level, paired_differences
from .proportions import tango_interval, tango_score
from .results import Test

HALF_STEP = 0.5
FEW_CLUSTERS = 50
"""Below this number of clusters the unseen one is taken from the end of the scale."""


def noninferiority(
    candidate: Values,
    reference: Values,
    margin: float,
    *,
    kind: Kind,
    clusters: Labels | None = None,
    alpha: float = 0.05,
) -> Test:
    """One-sided test of H0: mean(candidate - reference) <= -margin, so a small p says "not worse by as much as margin".

    ``candidate``, ``reference``: one value per item, None and NaN unscored; an item unscored on either side is left
    out. ``margin`` > 0, in the values' units. ``clusters``: items with the same label (translations of one source
    item) count as one draw. ``kind``, the metric's declared type, picks the method:

    - binary, no two items of one cluster: Tango's score test at the margin (1998, Stat. Med. 17:891), with a
      continuity correction of one half (method ``tango``). Its exact size at alpha 0.05 is at most 0.049 (5 to 1,000
      pairs, margins 0.005 to 0.2) unless the two systems differ on every single pair: then up to 0.06.
    - bounded, or binary in clusters: Student's t over cluster sums to which one unseen cluster of average size is
      added: as bad as the worst one seen, and with at least one item lost; below 50 clusters, lost as a whole
      (``unseen-t``, ``unseen-cluster-t``). Rare losses would else hide from the standard error: at the margin, with
      1% of items lost and none won, plain t over 50 clusters says "not worse" 8 to 60% of the time, by how losses
      cluster. Simulated false positives at alpha 0.05: at most 0.05; up to 0.08 at 50 to 100 clusters where nothing is
      won and losses come in clusters.
    - continuous: Student's t over items (as ``scipy.stats.ttest_1samp``) or cluster sums (``t``, ``cluster-t``).

    ``statistic`` is the test's, ``effect`` the mean difference. The interval has level 1 - 2 alpha and lies above
    -margin exactly if p < alpha. p is NaN without items, for a single cluster (but not for ``tango``) and for
    continuous values without spread. Raises ValueError for a margin that is not positive (or, for values in [0, 1],
    not below 1), lengths that differ, infinite values and values that ``kind`` forbids.
    """
    low, high, group = _both_sides(candidate, reference, margin, kind, clusters, alpha)
    return _joined(low, low, high, group)


def tost(
    candidate: Values,
    reference: Values,
    margin: float,
    *,
    kind: Kind,
    clusters: Labels | None = None,
    alpha: float = 0.05,
) -> Test:
    """Two one-sided tests of H0: the mean difference lies at or beyond -margin or margin; a small p says "the same".

    p is the larger of the two one-sided p-values, ``statistic`` the one it comes from. Arguments, methods and
    refusals are those of ``noninferiority``; the interval, of level 1 - 2 alpha, lies within (-margin, margin)
    exactly if p < alpha.
    """
    low, high, group = _both_sides(candidate, reference, margin, kind, clusters, alpha)
    return _joined(low if not low.p_value < high.p_value else high, low, high, group)


@dataclass(frozen=True)
class _Side:
    """One one-sided test, and the end of the interval on its side (as seen from below)."""

    p_value: float
    statistic: float
    end: float
    method: str


def _both_sides(
    candidate: Values, reference: Values, margin: float, kind: Kind, clusters: Labels | None, alpha: float
) -> tuple[_Side, _Side, ClusterSums]:
    """The tests against -margin and, on swapped sides, against margin."""
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin must be a positive number, not {margin}")
    if kind != "continuous" and margin >= 1:
        raise ValueError(f"margin must be below 1 for values in [0, 1], not {margin}")
    check_level(2 * alpha, "2 * alpha")
    differences = paired_differences(candidate, reference, kind)
    group = Grouping.of(len(differences), clusters).sums(differences)
    swapped = replace(group, sums=-group.sums)
    test = _score_side if kind == "binary" and not group.is_clustered else _t_side
    return test(group, margin, kind, alpha), test(swapped, margin, kind, alpha), group


def _joined(decisive: _Side, low: _Side, high: _Side, group: ClusterSums) -> Test:
    if group.count == 0:
        return Test.nothing()
    return Test(decisive.p_value, decisive.statistic, group.mean, low.end, -high.end, group.n, decisive.method)


def _score_side(group: ClusterSums, margin: float, kind: Kind, alpha: float) -> _Side:
    wins, losses = int((group.sums == 1).sum()), int((group.sums == -1).sum())
    if group.count == 0:
        return _Side(math.nan, math.nan, math.nan, "tango")
    statistic = tango_score(wins, losses, group.count, -margin, HALF_STEP)
    end = tango_interval(wins, losses, group.count, 1 - 2 * alpha, HALF_STEP)[0]
    return _Side(float(ndtr(-statistic)), statistic, end, "tango")


def _t_side(group: ClusterSums, margin: float, kind: Kind, alpha: float) -> _Side:
    name = "cluster-t" if group.is_clustered else "t"
    if group.count < 2:
        return _Side(math.nan, math.nan, math.nan, name)
    if kind != "continuous":
        group, name = _with_an_unseen_cluster(group), f"unseen-{name}"
    if not group.has_spread:
        return _Side(math.nan if kind == "continuous" else 1.0, math.nan, group.mean, name)
    mean, se = group.mean, group.se()
    statistic = (mean + margin) / se
    end = mean - float(stdtrit(group.df, 1 - alpha)) * se
    return _Side(float(stdtr(group.df, -statistic)), statistic, end if kind == "continuous" else max(end, -1.0), name)


def _with_an_unseen_cluster(group: ClusterSums) -> ClusterSums:
    size = group.n / group.count
    worst = -1.0 if group.count < FEW_CLUSTERS else min(float((group.sums / group.sizes).min()), -1 / size)
    return ClusterSums(
        np.append(group.sums, worst * size), np.append(group.sizes, size), np.append(group.strata, group.strata[0])
    )
