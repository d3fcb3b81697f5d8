"""Could the sign of the difference be chance? Sign flips of items, or of whole clusters of translations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .clusters import ROUNDING, ClusterSums, Grouping
from .inputs import Array, Labels, Values, check_kind, check_level, check_resamples, float_values
from .results import Test

CHUNK = 2**21


def sign_flip_permutation(
    differences: Values,
    clusters: Labels | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Test:
    """Two-sided test that paired differences are centred on 0, by flipping signs.

    ``differences``: one per item, None and NaN unscored. ``clusters``: items with the same label (translations of one
    source item) are flipped together; sizes may differ. Under the null hypothesis a cluster's sum is as likely to be
    -s as s; the test is then exact, however small or tied the sample.

    Clusters whose sum is 0 change nothing. If all sign patterns of the others, 2^k, number at most ``n_resamples``,
    all of them are counted and p is the share with a mean at least as far from 0 as the observed one, which is among
    them (method ``...-exact``; as ``scipy.stats.permutation_test(permutation_type="samples")``; for differences of
    binary values equal to the exact McNemar test). Otherwise p = (c + 1) / (n_resamples + 1) for c such random
    patterns. ``statistic`` and ``effect`` are the mean over items.

    The interval inverts the one-sided test: a difference d is inside if flipping the signs of values - d does not
    reject at (1 - level) / 2 on either side. Its ends are order statistics of the means of random subsets of clusters
    (Hartigan 1969, J. Am. Stat. Assoc. 64:1303). They are NaN if there are too few clusters for the level
    (fewer than 6 at 0.95). Values that all agree give a width of 0: on a bounded scale take ``paired_bootstrap``'s
    interval.

    No items: NaN. All differences 0: p = 1. One cluster: p = 1. The result for a seed is the same for any order of the
    rows. Raises ValueError for infinite values and another number of labels than items.
    """
    x = float_values(differences, "differences")
    return sign_flip_permutation_many(x[None, :], clusters, n_resamples, seed, level)[0]


def sign_flip_permutation_many(
    differences: Array,
    clusters: Labels | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Test]:
    """``sign_flip_permutation`` of many systems; ``differences``: shape (systems, items), NaN unscored.

    Each test equals what ``sign_flip_permutation`` gives for that system alone.
    """
    check_level(level)
    check_resamples(n_resamples)
    x = check_kind(np.asarray(differences, dtype=float), "differences", "continuous")
    if x.ndim != 2:
        raise ValueError(f"differences must have the shape (systems, items), not {x.shape}")
    grouping = Grouping.of(x.shape[1], clusters)
    groups = [_by_distance(grouping.sums(row)) for row in x]
    sampled = [group for group in groups if 2.0**group.count > n_resamples]
    drawn = zip(*_sampled_flips(sampled, n_resamples, seed), strict=True)
    return [
        _test(group, *(next(drawn) if 2.0**group.count > n_resamples else (0, None)), n_resamples, level)
        for group in groups
    ]


def _by_distance(group: ClusterSums) -> ClusterSums:
    """The clusters with the largest sums first, so that swapping candidate and reference leaves p as it is."""
    order = np.lexsort((group.sums, group.sizes, -np.abs(group.sums)))
    return ClusterSums(group.sums[order], group.sizes[order], group.strata)


def _test(group: ClusterSums, beyond: int, means: Array | None, n_resamples: int, level: float) -> Test:
    """From random flips: how many gave a mean as far from 0, and the flipped subsets' means. None: all are counted."""
    if group.count == 0:
        return Test.nothing()
    name = "cluster-sign-flip" if group.is_clustered else "sign-flip"
    moving = group.sums[group.sums != 0]
    if 2.0 ** len(moving) <= n_resamples:
        p_value, name = _share_beyond(moving), f"{name}-exact"
    else:
        p_value = (beyond + 1) / (n_resamples + 1)
    if means is None:
        low, high = _subset_interval(_all_subset_means(group), 2**group.count, level)
    else:
        low, high = _subset_interval(means, n_resamples + 1, level)
    return Test(p_value, group.mean, group.mean, low, high, group.n, name)


def _all_subsets(count: int) -> Array:
    """Every subset of ``count`` clusters as a column of 0 and 1, the empty one first: shape (count, 2^count)."""
    return ((np.arange(2**count) >> np.arange(count)[:, None]) & 1).astype(float)


def _share_beyond(sums: Array) -> float:
    """The share of all sign patterns whose total is at least as far from 0 as the observed one."""
    totals = np.abs(sums.sum() - 2 * sums @ _all_subsets(len(sums)))
    return float((totals >= totals[0] - ROUNDING * np.abs(sums).sum()).mean())


def _all_subset_means(group: ClusterSums) -> Array:
    subsets = _all_subsets(group.count)[:, 1:]
    return (group.sums @ subsets) / (group.sizes @ subsets)


def _sampled_flips(groups: Sequence[ClusterSums], n_resamples: int, seed: int) -> tuple[list[int], Array]:
    """Per group: how many random flips give a total at least as far from 0, and the mean of each flipped subset.

    An empty subset has no mean (NaN).
    """
    if not groups:
        return [], np.empty((0, n_resamples))
    count = max(x.count for x in groups)
    sums, sizes = np.zeros((len(groups), count)), np.zeros((len(groups), count))
    for row, group in enumerate(groups):
        sums[row, : group.count], sizes[row, : group.count] = group.sums, group.sizes
    distances = np.abs(sums)
    farthest = distances.sum(axis=1, keepdims=True)
    bar = np.abs(sums.sum(axis=1, keepdims=True)) - ROUNDING * farthest
    beyond, means = np.zeros(len(groups), dtype=int), np.full((len(groups), n_resamples), np.nan)
    for columns, subsets in _random_subsets(count, n_resamples, np.random.default_rng(seed)):
        flipped, n = sums @ subsets, sizes @ subsets
        beyond += (np.abs(farthest - 2 * (distances @ subsets)) >= bar).sum(axis=1)
        np.divide(flipped, n, out=means[:, columns], where=n > 0)
    return beyond.tolist(), means


def _random_subsets(count: int, n_resamples: int, rng: np.random.Generator) -> Iterator[tuple[slice, Array]]:
    """Chunks of random subsets: (columns, shape (count, columns)). The first k rows are the same for any ``count``."""
    width = -(-n_resamples // 8)
    bits = np.frombuffer(rng.bytes(count * width), dtype=np.uint8).reshape(count, width)
    step = max(1, CHUNK // (8 * count))
    for begin in range(0, width, step):
        columns = slice(8 * begin, min(8 * (begin + step), n_resamples))
        flips = np.unpackbits(bits[:, begin : begin + step], axis=1)
        yield columns, flips[:, : columns.stop - columns.start].astype(float)


def _subset_interval(means: Array, patterns: int, level: float) -> tuple[float, float]:
    """The k-th smallest and k-th largest subset mean for the k that the level allows; an empty subset is beyond both.

    ``patterns`` counts the observed one too: of that many, k may lie beyond an end before the one-sided test rejects.
    """
    known = np.sort(means[~np.isnan(means)])
    rank = int((1 - level) / 2 * patterns + 1e-9) - (len(means) - len(known))
    if not 0 < rank <= len(known):
        return np.nan, np.nan
    return float(known[rank - 1]), float(known[-rank])
