"""Do judges say the same? Agreement beyond chance of two raters, or of many, with intervals by clusters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from .bootstrap import resample_counts
from .inputs import Array, Labels, check_level, check_resamples, label_codes
from .results import Estimate

Categories: TypeAlias = Sequence[str | None] | Array
"""One category per item; None where there is none."""


def cohen_kappa(
    first: Categories,
    second: Categories,
    clusters: Labels | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Cohen's kappa (1960, doi:10.1177/001316446002000104), unweighted, of two raters' categories.

    ``first``, ``second``: one category per item; an item that one of them left out (None) is unscored. ``clusters``:
    items with the same label are drawn together. The value is that of ``sklearn.metrics.cohen_kappa_score``; NaN if
    both raters gave one and the same category throughout, when chance alone explains all. The interval is the
    percentile bootstrap's over clusters, ``se`` its standard deviation; both are NaN with one cluster, without spread,
    and where kappa is undefined in a resample. Raises ValueError for lengths that differ.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} categories of the first rater but {len(second)} of the second")
    codes, count = _codes([first, second])
    scored = np.asarray((codes >= 0).all(axis=0))
    a, b = codes[:, scored]
    tables = np.zeros((len(a), count, count))
    tables[np.arange(len(a)), a, b] = 1
    return _estimate(tables, _kappa, scored, clusters, n_resamples, level, seed)


def krippendorff_alpha(
    ratings: Sequence[Categories] | Array,
    clusters: Labels | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Krippendorff's alpha for nominal categories (Krippendorff 2018, Content Analysis, chapter 12), with gaps.

    ``ratings``: shape (raters, items), None where a rater left an item out; an item with fewer than two ratings is
    unscored. The value is that of ``evalica.alpha``, but NaN if all ratings are the same, for which Krippendorff leaves
    alpha undefined. ``clusters``, interval and ``se`` as for ``cohen_kappa``. Raises ValueError for raters with
    different numbers of items.
    """
    if len({len(x) for x in ratings}) > 1:
        raise ValueError(f"raters have different numbers of items: {', '.join(str(len(x)) for x in ratings)}")
    codes, count = _codes(ratings)
    votes = (codes[:, :, None] == np.arange(count)).sum(axis=0).astype(float)
    scored = votes.sum(axis=1) > 1
    votes = votes[scored]
    same = votes[:, :, None] * np.eye(count)
    coincidences = (votes[:, :, None] * votes[:, None, :] - same) / (votes.sum(axis=1) - 1)[:, None, None]
    return _estimate(coincidences, _alpha, scored, clusters, n_resamples, level, seed)


def _codes(ratings: Sequence[Categories] | Array) -> tuple[Array, int]:
    """Categories as 0, 1, ... (-1 where there is none), shape (raters, items), and how many there are."""
    names = {x: i for i, x in enumerate(sorted({y for row in ratings for y in row if y is not None}))}
    width = len(ratings[0]) if len(ratings) else 0
    codes = np.array([[-1 if x is None else names[x] for x in row] for row in ratings], dtype=np.intp)
    return codes.reshape(len(ratings), width), len(names)


def _estimate(
    tables: Array,
    statistic: Callable[[Array], Array],
    scored: Array,
    clusters: Labels | None,
    n_resamples: int,
    level: float,
    seed: int,
) -> Estimate:
    """The statistic of the sum of the items' tables, with an interval from clusters drawn again with replacement."""
    check_level(level)
    check_resamples(n_resamples)
    groups = label_codes(clusters, len(scored), "cluster")[scored]
    n, unscored = len(tables), int((~scored).sum())
    if not n:
        return Estimate.nothing(unscored)
    size = tables.shape[1]
    groups = np.unique(groups, return_inverse=True)[1]
    sums = np.zeros((int(groups.max()) + 1, size * size))
    np.add.at(sums, groups, tables.reshape(n, -1))
    sums = sums[np.lexsort(sums.T)]
    value = float(statistic(sums.sum(axis=0).reshape(1, size, size))[0])
    drawn = resample_counts(np.array([len(sums)]), n_resamples, np.random.default_rng(seed))
    spread = np.concatenate([statistic((counts @ sums).reshape(-1, size, size)) for _, counts in drawn])
    name = "cluster-bootstrap" if len(sums) < n else "bootstrap"
    if len(sums) < 2 or np.isnan(spread).any() or np.ptp(spread) == 0:
        return Estimate(value, math.nan, math.nan, math.nan, n, unscored, name)
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), float(spread.std(ddof=1)), n, unscored, name)


def _kappa(tables: Array) -> Array:
    """Of contingency tables, shape (tables, categories, categories)."""
    n = tables.sum(axis=(1, 2))
    agreed = np.trace(tables, axis1=1, axis2=2)
    by_chance = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1)
    return _ratio(agreed * n - by_chance, n * n - by_chance)


def _alpha(coincidences: Array) -> Array:
    """Of coincidence matrices, shape (matrices, categories, categories)."""
    n = coincidences.sum(axis=(1, 2))
    unlike = n - np.trace(coincidences, axis1=1, axis2=2)
    by_chance = n * n - (coincidences.sum(axis=2) ** 2).sum(axis=1)
    return 1 - _ratio(unlike * (n - 1), by_chance)


def _ratio(over: Array, under: Array) -> Array:
    return np.divide(over, under, out=np.full(len(over), np.nan), where=under > 1e-9)
