"""How sure is a mean? Intervals for means of item values, with or without clusters of translations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A value with its two-sided interval. ``n`` counts scored items, ``n_unscored`` those left out.

    Where nothing can be said (no items; one cluster) ``value`` or the interval's ends are NaN.
    """

    value: float
    ci_low: float
    ci_high: float
    se: float
    n: int
    n_unscored: int
    method: str


def mean_interval(
    values: Sequence[float | None] | np.ndarray,
    clusters: Sequence[object] | np.ndarray | None = None,
    kind: Literal["binary", "bounded", "continuous"] = "continuous",
    level: float = 0.95,
) -> Estimate:
    """Mean of item values with an interval.

    ``values``: one per item; None and NaN are unscored. ``clusters``: one label per item; items with the same label
    (translations of one source item) count as one draw. ``level`` is the interval's coverage.

    Method: independent binary values: Wilson's score interval (as ``statsmodels.proportion_confint(method="wilson")``);
    other independent values: Student's t with n - 1 degrees of freedom; clusters: the standard error of a ratio of
    cluster sums with the factor G / (G - 1) and Student's t with G - 1 degrees of freedom (the CR1 sandwich of a
    regression on a constant). Bounded and binary intervals are cut to [0, 1]. Values in [0, 1] that all agree have no
    spread to estimate from: Wilson's interval with as many draws as there are clusters (or items), never a width of 0.
    Raises ValueError for values outside [0, 1] where the kind says so, infinite values, and lengths that differ.
    """
    x = np.array([np.nan if v is None else float(v) for v in values], dtype=float)
    if np.isinf(x).any():
        raise ValueError("item values must be finite")
    scored = ~np.isnan(x)
    unscored = int((~scored).sum())
    labels = None if clusters is None else np.asarray(clusters, dtype=object)
    if labels is not None and len(labels) != len(x):
        raise ValueError(f"{len(x)} values but {len(labels)} cluster labels")
    x = x[scored]
    if kind != "continuous" and ((x < 0) | (x > 1)).any():
        raise ValueError(f"{kind} values must lie in [0, 1]")
    if kind == "binary" and not np.isin(x, (0.0, 1.0)).all():
        raise ValueError("binary values must be 0 or 1")
    n = len(x)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0, unscored, "none")
    mean = float(x.mean())
    if labels is not None:
        groups = np.unique([str(v) for v in labels[scored]], return_inverse=True)[1]
        if groups.max() + 1 < n:
            return _clustered(x, groups, mean, kind, level, unscored)
    if kind == "binary" or (kind == "bounded" and n > 1 and x.min() == x.max()):
        return _wilson(mean, n, n, level, unscored)
    se = float(x.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return _student(mean, se, n - 1, n, unscored, "t", kind, level)


def _wilson(mean: float, draws: int, n: int, level: float, unscored: int) -> Estimate:
    """Wilson's interval for ``draws`` independent draws; ``n`` items stand behind them."""
    z = float(stats.norm.ppf(0.5 + level / 2))
    middle = (mean + z * z / (2 * draws)) / (1 + z * z / draws)
    half = z / (1 + z * z / draws) * math.sqrt(mean * (1 - mean) / draws + z * z / (4 * draws * draws))
    se = math.sqrt(mean * (1 - mean) / draws)
    return Estimate(mean, max(0.0, middle - half), min(1.0, middle + half), se, n, unscored, "wilson")


def _clustered(x: np.ndarray, groups: np.ndarray, mean: float, kind: str, level: float, unscored: int) -> Estimate:
    count = int(groups.max()) + 1
    if kind != "continuous" and count > 1 and x.min() == x.max():
        return _wilson(mean, count, len(x), level, unscored)
    sums = np.bincount(groups, weights=x - mean)
    se = math.sqrt(float((sums**2).sum()) * count / (count - 1)) / len(x) if count > 1 else math.nan
    return _student(mean, se, count - 1, len(x), unscored, "cluster-t", kind, level)


def _student(mean: float, se: float, df: int, n: int, unscored: int, method: str, kind: str, level: float) -> Estimate:
    if math.isnan(se):
        return Estimate(mean, math.nan, math.nan, se, n, unscored, method)
    half = float(stats.t.ppf(0.5 + level / 2, df)) * se
    low, high = mean - half, mean + half
    if kind != "continuous":
        low, high = max(0.0, low), min(1.0, high)
    return Estimate(mean, low, high, se, n, unscored, method)
