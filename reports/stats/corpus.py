"""Metrics that are no mean of item values: Matthews correlation, macro F1, shares of parts. With intervals.

All are functions of how often each (gold, predicted) pair occurs, so that resampling items is drawing those counts
from a multinomial distribution: exact, and fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .means import Estimate


@dataclass(frozen=True)
class _Pairs:
    """The distinct (gold, predicted) pairs. ``index``: which of them each item is, in the items' order."""

    gold: np.ndarray
    predicted: np.ndarray
    index: np.ndarray

    def counts(self, items: np.ndarray | None = None) -> np.ndarray:
        """How often each pair occurs among all items, or in each row of item numbers: shape (rows, pairs)."""
        chosen = self.index[None, :] if items is None else self.index[items]
        rows, size = len(chosen), len(self.gold)
        flat = (chosen + np.arange(rows)[:, None] * size).ravel()
        return np.bincount(flat, minlength=rows * size).reshape(rows, size)


Statistic = Callable[[np.ndarray, _Pairs], np.ndarray]


def _matthews(counts: np.ndarray, pairs: _Pairs) -> np.ndarray:
    """Gorodkin's multi-class correlation (doi:10.1016/j.compbiolchem.2004.09.006), 0 where it is undefined; as
    ``sklearn.metrics.matthews_corrcoef``."""
    true, guessed, right = _margins(counts, pairs)
    n = counts.sum(axis=1).astype(float)
    covariance = right.sum(axis=1) * n - (true * guessed).sum(axis=1)
    spread = (n**2 - (guessed**2).sum(axis=1)) * (n**2 - (true**2).sum(axis=1))
    return np.divide(covariance, np.sqrt(spread), out=np.zeros(len(counts)), where=spread > 0)


def _macro_f1(counts: np.ndarray, pairs: _Pairs) -> np.ndarray:
    """Mean F1 of the labels that occur; as ``sklearn.metrics.f1_score(average="macro")``."""
    true, guessed, right = _margins(counts, pairs)
    total = true + guessed
    f1 = np.divide(2 * right, total, out=np.zeros_like(total), where=total > 0)
    return f1.sum(axis=1) / np.maximum((total > 0).sum(axis=1), 1)


def _margins(counts: np.ndarray, pairs: _Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per row and label: how often it is right, how often it is given, how often both. Shapes (rows, labels)."""
    labels = np.unique(np.concatenate([pairs.gold, pairs.predicted]))
    is_true = (pairs.gold[:, None] == labels).astype(float)
    is_guess = (pairs.predicted[:, None] == labels).astype(float)
    return counts @ is_true, counts @ is_guess, counts @ (is_true * is_guess)


def _share(counts: np.ndarray, pairs: _Pairs) -> np.ndarray:
    """Parts that are right over all parts; ``gold`` is an item's number of parts, ``predicted`` how many are right."""
    parts = counts @ pairs.gold.astype(float)
    return np.divide(counts @ pairs.predicted.astype(float), parts, out=np.full(len(counts), np.nan), where=parts > 0)


CORPUS_METRICS: Mapping[str, Statistic] = {
    "mcc": _matthews,
    "macro_f1": _macro_f1,
    "instruction_accuracy": _share,
    "inst_level_strict_acc": _share,
    "inst_level_loose_acc": _share,
}
"""Metrics that are computed from all items at once, by name."""


def corpus_interval(
    metric: str,
    gold: Sequence[str | None],
    predicted: Sequence[str | None],
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """A corpus metric over items, with a percentile bootstrap interval over items.

    ``gold``, ``predicted``: one label per item (for shares: numbers of parts and of right parts, as text); None is
    unscored. ``n`` counts items. Without items everything is NaN. Raises ValueError for an unknown metric and lengths
    that differ.
    """
    statistic = _statistic(metric)
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold labels but {len(predicted)} predicted ones")
    kept = [(g, p) for g, p in zip(gold, predicted, strict=True) if g is not None and p is not None]
    unscored = len(gold) - len(kept)
    if not kept:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0, unscored, "none")
    pairs = _pairs(kept)
    counts = pairs.counts()
    value = float(statistic(counts, pairs)[0])
    n = len(kept)
    draws = np.random.default_rng(seed).multinomial(n, counts[0] / n, size=n_resamples)
    resampled = statistic(draws, pairs)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), float(resampled.std(ddof=1)), n, unscored, "bootstrap")


def resampled_score(
    values: Sequence[float] | None,
    metric: str,
    gold: Sequence[str],
    predicted: Sequence[str],
    drawn_before: Sequence[int],
    iterations: int,
    seed: int,
) -> tuple[float, float]:
    """EuroEval's own estimator: (mean, 1.96 * sd / sqrt(k)) of a metric over k resamples of the test items.

    The generator is numpy's ``default_rng(seed)``; the splits that EuroEval resamples first take their draws from it
    (``drawn_before``: their sizes), so that the k resamples are EuroEval's own. ``values`` are item values of a metric
    that is their mean; otherwise the labels are used. Source: EuroEval 17.0.0, as stated in its published records.
    """
    rng = np.random.default_rng(seed)
    for size in drawn_before:
        rng.integers(0, size, size=(iterations, size))
    n = len(values) if values is not None else len(gold)
    items = rng.integers(0, n, size=(iterations, n))
    if values is not None:
        scores = np.asarray(values, dtype=float)[items].mean(axis=1)
    else:
        pairs = _pairs(list(zip(gold, predicted, strict=True)))
        scores = _statistic(metric)(pairs.counts(items), pairs)
    half = 1.96 * float(scores.std(ddof=1)) / math.sqrt(iterations) if iterations > 1 else math.nan
    return float(scores.mean()), half


def _statistic(metric: str) -> Statistic:
    if metric not in CORPUS_METRICS:
        raise ValueError(f"unknown corpus metric {metric!r}; known: {', '.join(CORPUS_METRICS)}")
    return CORPUS_METRICS[metric]


def _pairs(kept: Sequence[tuple[str, str]]) -> _Pairs:
    distinct = sorted(set(kept))
    place = {x: i for i, x in enumerate(distinct)}
    gold, predicted = (np.array(x) for x in zip(*distinct, strict=True))
    return _Pairs(gold, predicted, np.array([place[x] for x in kept]))
