"""What would the win rate be in equal style? Bradley-Terry with style features, as arena-hard-auto does."""

from __future__ import annotations

import re

import numpy as np

from .bootstrap import bootstrap_intervals
from .clusters import Grouping
from .inputs import Array, Labels, Values, check_level, float_values, label_codes
from .logistic import Fit, delta_interval
from .results import Estimate

STYLE_FEATURES = ("length", "headers", "lists", "bold")
CODE_BLOCK = re.compile(r"```[^`]*```")
HEADER = re.compile(r"^#{1,6}\s", re.MULTILINE)
LIST_ITEM = re.compile(r"^\s*(?:\d+\.|[-*+])\s", re.MULTILINE)
BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


def count_style(answer: str) -> tuple[int, int, int, int]:
    """Characters, Markdown headers, list items and bold passages of an answer; the last three outside code blocks."""
    prose = CODE_BLOCK.sub("", answer)
    return len(answer), *(len(x.findall(prose)) for x in (HEADER, LIST_ITEM, BOLD))  # pyright: ignore[reportReturnType]


def style_controlled_win_rate(
    preferences: Values,
    style_candidate: Array,
    style_reference: Array,
    clusters: Labels | None = None,
    ridge: float = 1.0,
    centred: bool = False,
    level: float = 0.95,
) -> Estimate:
    """Win rate of candidate over reference in answers of equal style.

    ``preferences``: in [0, 1] for the candidate, shape (items,). ``style_candidate``, ``style_reference``: shape
    (items, 4), the columns ``STYLE_FEATURES`` as ``count_style`` gives them; None and NaN anywhere leave the item
    unscored.

    logit p = theta + sum of beta_j z_j, fitted by log loss with the penalty ridge / 2 sum beta^2; the value is
    sigmoid(theta). Features as arena-hard-auto 2 builds them (``show_result.py``): length as (a - b) / (a + b), the
    others as counts per unit of length, (a - b) / (a + b + 1); each is divided by its standard deviation (ddof 1).
    Three differences from it. Each candidate has a fit of its own, so no other system changes its win rate. Length is
    in characters, not tokens. And z is not centred: arena-hard-auto subtracts the mean difference of all its systems,
    which for a single candidate would put the value at its own average style and undo the control (``centred=True``
    does it). ``ridge=0`` gives its unpenalised fit, which need not exist for few items.

    Interval: cluster-robust delta method, as for ``length_controlled_win_rate``; so are the special cases. Raises
    ValueError for shapes that differ, preferences outside [0, 1], negative features and a negative ridge.
    """
    check_level(level)
    if not ridge >= 0:
        raise ValueError(f"ridge must not be negative, but is {ridge}")
    y = float_values(preferences, "preferences", "bounded")
    z = _differences(_features(style_candidate, len(y)), _features(style_reference, len(y)))
    codes = label_codes(clusters, len(y), "cluster")
    scored = ~np.isnan(z.sum(axis=1) + y)
    order = np.flatnonzero(scored)[np.lexsort((*z[scored].T, y[scored]))]
    y, z, grouping = y[order], z[order], Grouping.of(len(order), codes[order])
    n_unscored = int((~scored).sum())
    if len(y) == 0 or np.ptp(y) == 0:
        found = bootstrap_intervals([grouping.sums(y)], [n_unscored], 1, level, 0, (0.0, 1.0))[0]
        return found.renamed("style-no-spread") if len(y) else found
    z = _scaled(z, centred)
    x = np.column_stack([np.ones(len(y)), z])
    fit = Fit.of(x, y, 0.0, np.array([0.0, *[ridge] * z.shape[1]]))
    found = fit.mean_prediction(x * [1.0, *[0.0] * z.shape[1]])
    return delta_interval(found, grouping, level, n_unscored, "style-bradley-terry")


def _features(style: Array, n: int) -> Array:
    features = np.array(style, dtype=float).reshape(-1, len(STYLE_FEATURES)) if n == 0 else np.array(style, dtype=float)
    if features.shape != (n, len(STYLE_FEATURES)):
        raise ValueError(f"style features must have the shape ({n}, {len(STYLE_FEATURES)}), not {features.shape}")
    if np.isinf(features).any() or (features < 0).any():
        raise ValueError("style features must be finite and not negative")
    return features


def _differences(ours: Array, theirs: Array) -> Array:
    """Relative differences; 0 where both answers are empty."""
    density = [x[:, 1:] / np.maximum(x[:, :1], 1) for x in (ours, theirs)]
    length = (ours[:, :1] - theirs[:, :1]) / np.maximum(ours[:, :1] + theirs[:, :1], 1)
    return np.hstack([length, (density[0] - density[1]) / (density[0] + density[1] + 1)])


def _scaled(z: Array, centred: bool) -> Array:
    """Over the standard deviation; a feature that never varies is left out."""
    spread = z.std(axis=0, ddof=1) if len(z) > 1 else np.zeros(z.shape[1])
    kept = spread > 1e-12
    return (z[:, kept] - (z[:, kept].mean(axis=0) if centred else 0.0)) / spread[kept]
