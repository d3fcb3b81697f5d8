"""How sure is a mean? Intervals for means of item values, with or without clusters of translations."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri, stdtrit

from .inputs import Kind, Labels, Values, float_values, sorted_codes
from .results import Estimate


def mean_interval(
    values: Values,
    clusters: Labels | None = None,
    kind: Kind = "continuous",
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
    x = float_values(values, kind=kind)
    scored = ~np.isnan(x)
    unscored = int((~scored).sum())
    labels = None if clusters is None else np.asarray(clusters)
    if labels is not None and len(labels) != len(x):
        raise ValueError(f"{len(x)} values but {len(labels)} cluster labels")
    x = x[scored]
    n = len(x)
    if n == 0:
        return Estimate.nothing(unscored)
    mean = float(x.mean())
    if labels is not None:
        groups = sorted_codes(labels[scored])
        if groups.max() + 1 < n:
            return _clustered(x, groups, mean, kind, level, unscored)
    if kind == "binary" or (kind == "bounded" and n > 1 and x.min() == x.max()):
        return _wilson(mean, n, n, level, unscored)
    se = float(x.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return _student(mean, se, n - 1, n, unscored, "t", kind, level)


def _wilson(mean: float, draws: int, n: int, level: float, unscored: int) -> Estimate:
    """Wilson's interval for ``draws`` independent draws; ``n`` items stand behind them."""
    z = float(ndtri(0.5 + level / 2))
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
    half = float(stdtrit(df, 0.5 + level / 2)) * se
    low, high = mean - half, mean + half
    if kind != "continuous":
        low, high = max(0.0, low), min(1.0, high)
    return Estimate(mean, low, high, se, n, unscored, method)
