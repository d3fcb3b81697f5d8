"""How many of these p-values would chance have given? Corrections for a family of tests."""

from __future__ import annotations

import numpy as np
from scipy import stats

from .inputs import Array, Values


def holm(p_values: Values) -> Array:
    """Holm's step-down adjusted p-values: rejecting those at or below alpha errs at all with probability alpha at most.

    NaN (no test was possible) stays NaN and is not counted. In the order given; equals ``statsmodels.stats.multitest.
    multipletests(method="holm")``. Raises ValueError for values outside [0, 1].
    """
    p = _family(p_values)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    stepped = p[order] * np.arange(len(order), 0, -1)
    p[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return p


def benjamini_hochberg(p_values: Values) -> Array:
    """Benjamini and Hochberg's adjusted p-values: of those at or below q, a share of q is expected to be false.

    For independent or positively dependent tests. NaN stays NaN and is not counted. In the order given; equals
    ``statsmodels.stats.multitest.multipletests(method="fdr_bh")``. Raises ValueError for values outside [0, 1].
    """
    p = _family(p_values)
    tested = ~np.isnan(p)
    if tested.any():
        p[tested] = stats.false_discovery_control(p[tested], method="bh")
    return p


def _family(p_values: Values) -> Array:
    p = np.array(p_values, dtype=float)
    if p.ndim != 1 or ((p < 0) | (p > 1)).any():
        raise ValueError("p-values must be a list of numbers in [0, 1]")
    return p
