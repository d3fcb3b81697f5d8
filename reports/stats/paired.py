"""How far apart are two systems on the items both have? Paired differences with bootstrap intervals."""

from __future__ import annotations

import numpy as np

from .bootstrap import bootstrap_intervals
from .clusters import Grouping
from .inputs import Array, Kind, Labels, Values, check_kind, check_level, check_resamples, float_values
from .results import Estimate


def paired_bootstrap(
    candidate: Values,
    reference: Values,
    clusters: Labels | None = None,
    strata: Labels | None = None,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    kind: Kind = "continuous",
) -> Estimate:
    """Mean of candidate - reference over the items both have, with a bootstrap interval.

    ``candidate``, ``reference``: one value per item, None and NaN unscored; an item unscored on either side is left out
    and counted. ``clusters``: items with the same label (translations of one source item) are drawn as a whole; sizes
    may differ. ``strata``: clusters are drawn within each stratum (language); strata that share clusters are joined,
    strata of a single cluster are drawn as one. ``kind``: the metric's declared type, which bounds the differences.

    The interval takes percentiles of the means of resampled clusters, moved outwards until they reach as far as
    Student's t with G - 1 degrees of freedom would (Hesterberg 2015, Am. Stat. 69:371, "expanded
    percentile"). Its simulated coverage at level 0.95 is 93 to 97% from 30 clusters on for binary, tied, normal,
    heavy-tailed and clustered values; more (up to 99.9%) where fewer than 5 pairs are expected to differ, and 92 to 93%
    for strongly skewed values (exponential) at 30 items.
    Below 20 clusters: Student's t over clusters (method ``t``, ``cluster-t``), cut to the scale. Differences that all
    agree have no spread to estimate from: on a bounded scale the interval allows for the share of unlike items that
    could have gone unseen (``no-spread``), a continuous scale gives a width of 0. One cluster: NaN ends. No items: NaN.
    ``se`` is the cluster-robust standard error (as ``mean_interval`` of the differences without strata).

    The result for a seed is the same for any order of the rows. Raises ValueError for lengths that differ, infinite
    values and values that ``kind`` forbids.
    """
    ours = float_values(candidate, "candidate values", kind)
    theirs = float_values(reference, "reference values", kind)
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} candidate values but {len(theirs)} reference values")
    return paired_bootstrap_many(ours[None, :], theirs, clusters, strata, n_resamples, level, seed, kind)[0]


def paired_bootstrap_many(
    candidates: Array,
    reference: Values,
    clusters: Labels | None = None,
    strata: Labels | None = None,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    kind: Kind = "continuous",
) -> list[Estimate]:
    """``paired_bootstrap`` of many systems against one reference; ``candidates``: shape (systems, items), NaN unscored.

    Each estimate equals what ``paired_bootstrap`` gives for that system alone: adding a system changes no other one.
    Systems share the resampling counts, so that one matrix product serves them all; memory stays below 200 MB.
    """
    check_level(level)
    check_resamples(n_resamples)
    theirs = float_values(reference, "reference values", kind)
    ours = check_kind(np.asarray(candidates, dtype=float), "candidate values", kind)
    if ours.ndim != 2 or ours.shape[1] != len(theirs):
        raise ValueError(f"candidate values of shape {ours.shape} but {len(theirs)} reference values")
    differences = ours - theirs
    grouping = Grouping.of(len(theirs), clusters, strata)
    groups = [grouping.sums(x) for x in differences]
    unscored = [int(x) for x in np.isnan(differences).sum(axis=1)]
    scale = None if kind == "continuous" else (-1.0, 1.0)
    return bootstrap_intervals(groups, unscored, n_resamples, level, seed, scale)
