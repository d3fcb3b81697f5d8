"""Penalised logistic regression of preferences, many fits at once, and cluster-robust intervals of what it predicts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

from .clusters import Grouping
from .inputs import Array
from .results import Estimate

TOLERANCE = 1e-10
STEPS = 200
SWEEPS = 200


def fit_logistic(x: Array, y: Array, weights: Array, l1: Array, l2: Array, start: Array | None = None) -> Array:
    """Coefficients that minimise sum of weights * log loss + sum l1 |b| + sum l2 b^2 / 2, one row per row of weights.

    ``x``: shape (rows, features), without an intercept of its own. ``y``: in [0, 1], shape (rows,). ``weights``:
    shape (fits, rows). ``l1``, ``l2``: shape (fits, features) or (features,). ``start``: where to look first. By
    proximal Newton steps with halving: exact to 1e-10, and the same on every run. Agrees with scikit-learn's
    liblinear (l1 = 1 / C) and lbfgs (l2 = 1 / C). Raises ValueError where there is no finite fit.
    """
    fits, features = len(weights), x.shape[1]
    l1, l2 = np.broadcast_to(l1, (fits, features)), np.broadcast_to(l2, (fits, features))
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    b = np.zeros((fits, features)) if start is None else start.copy()
    active = np.arange(fits)
    loss = _loss(x, y, weights, l1, l2, b)
    for _ in range(STEPS):
        w, now = weights[active], b[active]
        p = expit(now @ x.T)
        slope = (w * (p - y)) @ x + l2[active] * now
        bend = ((w * p * (1 - p)) @ products).reshape(-1, features, features)
        bend += l2[active][:, :, None] * np.eye(features) + 1e-12 * np.eye(features)
        step = _proximal_step(slope, bend, l1[active], now)
        b[active], loss[active] = _halved(x, y, w, l1[active], l2[active], now, step, loss[active])
        active = active[np.abs(b[active] - now).max(axis=1) > TOLERANCE]
        if not len(active):
            return b
    raise ValueError("the logistic regression has no finite fit: penalise it")


def _loss(x: Array, y: Array, weights: Array, l1: Array, l2: Array, b: Array) -> Array:
    eta = b @ x.T
    return (weights * (np.logaddexp(0, eta) - y * eta)).sum(axis=1) + (l1 * np.abs(b) + l2 * b**2 / 2).sum(axis=1)


def _proximal_step(slope: Array, bend: Array, l1: Array, b: Array) -> Array:
    """Minimises slope . d + d . bend . d / 2 + l1 |b + d| by coordinate descent."""
    if not l1.any():
        return np.linalg.solve(bend, -slope[:, :, None])[:, :, 0]
    step = np.zeros_like(slope)
    for _ in range(SWEEPS):
        before = step.copy()
        for j in range(slope.shape[1]):
            curve = bend[:, j, j]
            target = b[:, j] + step[:, j] - (slope[:, j] + (bend[:, j] * step).sum(axis=1)) / curve
            step[:, j] = np.sign(target) * np.maximum(np.abs(target) - l1[:, j] / curve, 0) - b[:, j]
        if np.abs(step - before).max() <= TOLERANCE * (1 + np.abs(step).max()):
            return step
    return np.array([_polished(*row) for row in zip(slope, bend, l1, b, step, strict=True)])


def _polished(slope: Array, bend: Array, l1: Array, b: Array, step: Array) -> Array:
    """The step solved exactly for the signs that coordinate descent found, which it nears slowly where features are
    nearly collinear; the step as it was where the exact one has other signs."""
    aim = b + step
    moving = aim != 0
    exact = -b.copy()
    pull = slope[moving] + l1[moving] * np.sign(aim[moving]) + bend[np.ix_(moving, ~moving)] @ exact[~moving]
    exact[moving] = np.linalg.solve(bend[np.ix_(moving, moving)], -pull)
    return exact if (np.sign(b + exact)[moving] == np.sign(aim[moving])).all() else step


def _halved(
    x: Array, y: Array, weights: Array, l1: Array, l2: Array, b: Array, step: Array, loss: Array
) -> tuple[Array, Array]:
    """b + step, with the step halved as long as the loss would rise; (coefficients, loss)."""
    size = np.ones((len(b), 1))
    while True:
        trial = b + size * step
        found = _loss(x, y, weights, l1, l2, trial)
        rises = found > loss + 1e-12 * (1 + np.abs(loss))
        if not rises.any():
            return trial, found
        size[rises] /= 2


@dataclass(frozen=True)
class Fit:
    """One logistic fit. ``x``, ``y``: the items it predicts; ``bend``: the loss's second derivative over all rows."""

    x: Array
    y: Array
    b: Array
    bend: Array

    @classmethod
    def of(cls, x: Array, y: Array, l1: float, l2: Array, extra: tuple[Array, Array, Array] | None = None) -> Fit:
        """Fits items (weight 1) and ``extra`` rows (x, y, weights) that are fixed: no draw of new items changes
        them."""
        rows, labels, weights = x, y, np.ones(len(y))
        if extra is not None:
            rows, labels = np.concatenate([x, extra[0]]), np.concatenate([y, extra[1]])
            weights = np.concatenate([weights, extra[2]])
        b = fit_logistic(rows, labels, weights[None, :], np.full(x.shape[1], l1), l2)[0]
        p = expit(rows @ b)
        return cls(x, y, b, (rows * (weights * p * (1 - p))[:, None]).T @ rows + np.diag(l2))

    def mean_prediction(self, at: Array) -> tuple[float, Array]:
        """The mean predicted probability over rows ``at`` (one per item), and how each item moves it (its influence).

        A coefficient that an L1 penalty holds at 0 counts as free to move: its uncertainty is that of the data.
        """
        p = expit(at @ self.b)
        pull = np.linalg.pinv(self.bend, hermitian=True) @ ((p * (1 - p)) @ at / len(p))
        residuals = self.y - expit(self.x @ self.b)
        return float(p.mean()), (p - p.mean()) / len(p) + residuals * (self.x @ pull)


def delta_interval(
    value: float, influence: Array, grouping: Grouping, level: float, n_unscored: int, method: str
) -> Estimate:
    """Interval of a rate from the items' influence on it: cluster-robust delta method (infinitesimal jackknife).

    Student's t with G - 1 degrees of freedom on the logit scale, so the ends stay within (0, 1). One cluster: NaN ends.
    """
    group = grouping.sums(influence * len(influence))
    se = group.se()
    if math.isnan(se):
        return Estimate(value, math.nan, math.nan, se, group.n, n_unscored, method)
    reach = float(stdtrit(group.count - 1, 0.5 + level / 2)) * se / (value * (1 - value))
    low, high = expit(logit(value) - reach), expit(logit(value) + reach)
    return Estimate(value, float(low), float(high), se, group.n, n_unscored, method)
