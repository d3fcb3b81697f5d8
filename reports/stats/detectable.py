"""Which difference would a comparison have found? From the noise it showed."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from scipy import optimize

from .power import Design, detection_power, minimum_detectable_effect

_SMALLEST = 1e-9


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
    root: Any = optimize.brentq(surplus, max(discordance, _SMALLEST), 1.0, xtol=1e-12)
    return float(root)


@lru_cache(maxsize=4096)
def detectable_in_errors(n_clusters: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The detectable difference in standard errors: it depends on the number of clusters (or single items) alone."""
    return minimum_detectable_effect(n_clusters, Design.from_se(1.0, n_clusters), power, alpha)
