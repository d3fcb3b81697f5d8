"""How many items show how small a difference? Detectable effects and sample sizes, before a run or after it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import optimize, stats

from .inputs import check_level

SLACK = 1e-9
MANY_PAIRS = 10_000
MOST_CLUSTERS = 2**40


@dataclass(frozen=True)
class Design:
    """The noise of a comparison per item, and how items cluster.

    ``sd``: standard deviation of an item's difference when there is no effect. ``step``: the size of an item's
    difference where there is one (1 for right against wrong, 0.5 for a preference against 0.5), 0 for continuous
    values. ``cluster_size``: mean number of items per cluster (translations of one source item); ``icc``: correlation
    of two items of a cluster. Together they give the design effect 1 + (cluster_size - 1) icc. Raises ValueError for
    values without noise or out of range.
    """

    sd: float
    step: float = 0.0
    cluster_size: float = 1.0
    icc: float = 0.0

    def __post_init__(self) -> None:
        if not (self.sd > 0 and math.isfinite(self.sd)):
            raise ValueError(f"the standard deviation must be a positive number, not {self.sd}")
        if self.step < 0 or not self.cluster_size >= 1:
            raise ValueError(
                f"step must be at least 0 and cluster_size at least 1, not {self.step}, {self.cluster_size}"
            )
        if not (self.icc <= 1 and self.design_effect > 0):
            raise ValueError(f"the intra-cluster correlation must be at most 1 and leave some noise, not {self.icc}")

    @classmethod
    def paired_binary(cls, discordance: float, cluster_size: float = 1.0, icc: float = 0.0) -> Design:
        """Two systems, right or wrong: ``discordance`` is the share of items that one has right and the other wrong."""
        if not 0 < discordance <= 1:
            raise ValueError(f"discordance must be a share above 0, not {discordance}")
        return cls(math.sqrt(discordance), 1.0, cluster_size, icc)

    @classmethod
    def continuous(cls, sd: float, cluster_size: float = 1.0, icc: float = 0.0) -> Design:
        """Two systems with continuous scores: ``sd`` is the standard deviation of the paired differences."""
        return cls(sd, 0.0, cluster_size, icc)

    @classmethod
    def win_rate(cls, ties: float = 0.0, cluster_size: float = 1.0, icc: float = 0.0) -> Design:
        """Preferences of 0, 0.5 and 1 against 0.5: ``ties`` is the share of ties; the effect is the win rate - 0.5."""
        if not 0 <= ties < 1:
            raise ValueError(f"ties must be a share below 1, not {ties}")
        return cls(math.sqrt(1 - ties) / 2, 0.5, cluster_size, icc)

    @classmethod
    def from_se(cls, se: float, n_items: int, n_clusters: int | None = None) -> Design:
        """From a finished comparison: the (cluster-robust) standard error of its mean difference over ``n_items``.

        ``n_clusters`` defaults to ``n_items``. Items of a cluster count as copies of each other, with the spread of the
        clusters' means; more items means more clusters of the same size.
        """
        clusters = n_items if n_clusters is None else n_clusters
        if not 1 <= clusters <= n_items:
            raise ValueError(f"n_clusters must lie between 1 and {n_items}, not {clusters}")
        return cls(se * math.sqrt(clusters), 0.0, n_items / clusters, 1.0)

    @property
    def design_effect(self) -> float:
        return 1 + (self.cluster_size - 1) * self.icc

    @property
    def largest_effect(self) -> float:
        """What the mean difference is when every item that differs does so in the same direction."""
        return self.sd**2 / self.step if self.step else math.inf


def detection_power(effect: float, n_items: float, design: Design, alpha: float = 0.05) -> float:
    """Probability that a two-sided test at ``alpha`` over ``n_items`` finds a true mean difference of ``effect``.

    Binary items and preferences, not clustered: exact, over the number of items that differ and their directions, for
    the exact McNemar (sign) test; from 10,000 differing items on its normal approximation (Connor 1987). All else:
    Student's t over clusters with a noncentral t distribution (for independent continuous items as
    ``statsmodels.stats.power.TTestPower``), which the sign-flip test follows closely. 0 for fewer than two clusters.
    For a one-sided test (non-inferiority: ``effect`` is the distance from the margin) give twice its alpha. Raises
    ValueError for an effect that is not positive or larger than the design allows.
    """
    check_level(alpha, "alpha")
    if not 0 < effect <= design.largest_effect * (1 + SLACK):
        raise ValueError(f"effect must lie between 0 and {design.largest_effect:g} here, not {effect}")
    clusters = n_items / design.cluster_size
    if clusters < 2:
        return 0.0
    if design.step and design.cluster_size == 1:
        return _sign_test_power(effect, int(n_items), design, alpha)
    variance = design.sd**2 - (effect**2 if design.step else 0.0)
    se = math.sqrt(max(variance, 0.0) * design.design_effect / n_items)
    bar, shift = float(stats.t.isf(alpha / 2, clusters - 1)), effect / max(se, SLACK * effect)
    other_side = np.nan_to_num(stats.nct.cdf(-bar, clusters - 1, shift))  # NaN far out, where it is 0
    return float(stats.nct.sf(bar, clusters - 1, shift) + other_side)


def _sign_test_power(effect: float, n: int, design: Design, alpha: float) -> float:
    differing = (design.sd / design.step) ** 2
    won = min(1.0, 0.5 + effect / design.step / differing / 2)
    if n * differing > MANY_PAIRS:
        sum_sd = math.sqrt(max(n * differing * (1 - differing * (2 * won - 1) ** 2), SLACK))
        beyond = n * differing * (2 * won - 1) - 1 - stats.norm.isf(alpha / 2) * math.sqrt(n * differing)
        return float(stats.norm.cdf(beyond / sum_sd))
    likely = stats.binom.ppf([1e-12, 1 - 1e-12], n, differing).astype(int)
    pairs = np.arange(likely[0], likely[1] + 1)
    fewer = stats.binom.ppf(alpha / 2, pairs, 0.5)
    fewer -= stats.binom.cdf(fewer, pairs, 0.5) > alpha / 2
    found = stats.binom.cdf(fewer, pairs, won) + stats.binom.cdf(fewer, pairs, 1 - won)
    return float((stats.binom.pmf(pairs, n, differing) * found).sum())


def minimum_detectable_effect(n_items: float, design: Design, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true mean difference that ``n_items`` items show with probability ``power`` (``detection_power``).

    In the values' units (win rate: distance from 0.5). NaN where even the largest possible effect would be missed.
    Raises ValueError for a power or alpha outside (0, 1).
    """
    check_level(power, "power")
    check_level(alpha, "alpha")
    high = design.largest_effect
    if n_items < 2 * design.cluster_size:
        return math.nan
    if math.isinf(high):
        high = design.sd
        while detection_power(high, n_items, design, alpha) < power:
            high *= 2
    elif detection_power(high, n_items, design, alpha) < power:
        return math.nan
    found = optimize.root_scalar(
        lambda x: detection_power(x, n_items, design, alpha) - power, bracket=(SLACK * high, high), xtol=1e-14
    )
    return float(found.root)


def required_items(effect: float, design: Design, power: float = 0.8, alpha: float = 0.05) -> int:
    """The smallest number of items, in whole clusters, that shows ``effect`` with probability ``power``.

    Inverts ``minimum_detectable_effect``; for the exact test of binary items and preferences nearly so, as its power
    rises in small waves: one item fewer would not do, but a few more may fall short by a little again. Raises
    ValueError for an effect that is not positive or larger than the design allows, and a power or alpha outside (0,
    1).
    """
    check_level(power, "power")
    clusters = _first(lambda k: detection_power(effect, k * design.cluster_size, design, alpha) >= power - SLACK)
    return math.ceil(clusters * design.cluster_size - SLACK)


def _first(enough: Callable[[int], bool]) -> int:
    """The smallest whole number from 2 on that is enough."""
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST_CLUSTERS:
            raise ValueError(f"more than {MOST_CLUSTERS} clusters would be needed")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@lru_cache(maxsize=4096)
def detectable_binary(n_items: int, discordance: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true difference of two systems, right or wrong on ``n_items``, that is found with this power.

    ``discordance``: the share of items that only one of them has right. Where that share is too small for any
    difference to be found, a larger one is assumed: that of systems that differ in one direction only. NaN if
    ``n_items`` are too few even then. Raises ValueError for values out of range.
    """
    if discordance:
        mde = minimum_detectable_effect(n_items, Design.paired_binary(discordance), power, alpha)
        if not math.isnan(mde):
            return mde

    def surplus(effect: float) -> float:
        return detection_power(effect, n_items, Design.paired_binary(effect), alpha) - power

    if surplus(1.0) <= 0:
        return math.nan
    root: Any = optimize.brentq(surplus, max(discordance, SLACK), 1.0, xtol=1e-12)
    return float(root)


@lru_cache(maxsize=4096)
def detectable_in_errors(n_clusters: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The detectable difference in standard errors: it depends on the number of clusters (or single items) alone."""
    return minimum_detectable_effect(n_clusters, Design.from_se(1.0, n_clusters), power, alpha)
