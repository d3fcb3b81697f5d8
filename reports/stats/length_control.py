"""What would the win rate be at equal length? AlpacaEval 2's estimator and the CroCo script's, never mixed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bootstrap import bootstrap_intervals
from .clusters import Grouping
from .inputs import Array, Labels, Values, check_level, float_values, label_codes
from .logistic import Fit, delta_interval, fit_logistic
from .results import Estimate

STRENGTHS = np.logspace(-4, 4, 10)
"""AlpacaEval's grid of inverse penalties C."""
FOLDS, DEALS = 5, 5
WITHOUT_FOLDS = 100.0
AUGMENTATION_WEIGHT = 0.2


@dataclass(frozen=True)
class LengthGamed:
    """Judged answers of the reference that was asked to be long, or short: they steady the length term.

    One entry per item, as in ``length_controlled_win_rate``; "candidate" is the length-gamed reference.
    """

    preferences: Values
    length_candidate: Values
    length_reference: Values
    instruction_difficulty: Values | None = None


def length_controlled_win_rate(
    preferences: Values,
    length_candidate: Values,
    length_reference: Values,
    instruction_difficulty: Values | None = None,
    augmentation: Sequence[LengthGamed] | None = None,
    seed: int = 0,
    clusters: Labels | None = None,
    level: float = 0.95,
) -> Estimate:
    """AlpacaEval 2's length-controlled win rate (Dubois et al. 2024, arXiv 2404.04475; ``glm_winrate.py`` of 0.6.6).

    A logistic model of the preference with three terms and no intercept: tanh of the length difference (reference
    less candidate, over its standard deviation with ddof 1), the instruction's difficulty, and the candidate itself;
    L1 penalty, its strength chosen from ten by 5-fold cross-validated log loss. The win rate is the model's mean
    prediction over the items with the length term set to 0. Rows of length-gamed references (``augmentation``:
    AlpacaEval has two) are part of the fit with a weight of 0.2 in all and without the candidate's term.

    ``preferences``: in [0, 1] for the candidate; lengths in characters; ``instruction_difficulty``: AlpacaEval's, per
    item. Without it the model is AlpacaEval's ``length_controlled_minimal``; without augmentation ``..._noreg``. What
    was used is in ``method`` (``alpaca-eval``, then ``+difficulty``, ``+augmentation``): on AlpacaEval's own data the
    estimate without augmentation is off by up to 13 points. An item with any value missing is unscored.

    Folds hold whole ``clusters`` and are dealt with ``seed``, among preferences of like size, five times over: one
    deal, as in AlpacaEval, can move the choice of the penalty and with it the win rate by 2 points. The interval is
    the cluster-robust delta method on the logit scale with the penalty held fixed: it takes new items into account,
    but not another choice of the penalty or other augmentation rows. Preferences that all agree, as of a system
    against itself, are returned as they are (``no-spread``). Lengths that never differ, or always by the same, leave
    no length term. No items: NaN; one cluster: NaN ends. The order of the rows changes nothing. Raises ValueError for
    lengths of arrays that differ, preferences outside [0, 1], negative lengths and difficulties given on one side
    only.
    """
    check_level(level)
    items = _Items.of(preferences, length_candidate, length_reference, instruction_difficulty, clusters, ddof=1)
    method = "alpaca-eval" + ("+difficulty" if instruction_difficulty is not None else "")
    extra = None
    if augmentation:
        extra = _augmentation_rows(augmentation, instruction_difficulty is not None)
        method += "+augmentation"
    if (constant := items.without_spread(level, method)) is not None:
        return constant
    x = np.column_stack([-items.length, items.difficulty, np.ones(len(items.y))])
    strength = _chosen_strength(x, items.y, items.grouping.clusters, extra, np.random.default_rng(seed))
    fit = Fit.of(x, items.y, 1 / strength, np.zeros(3), extra)
    found = fit.mean_prediction(x * [0, 1, 1])
    return delta_interval(found, items.grouping, level, items.n_unscored, method)


def croco_length_adjusted_win_rate(
    preferences: Values,
    length_candidate: Values,
    length_reference: Values,
    clusters: Labels | None = None,
    level: float = 0.95,
) -> Estimate:
    """The CroCo study's two-parameter length-adjusted win rate (arXiv 2605.26293, its script). Not AlpacaEval's.

    logit p = theta + phi tanh((length of candidate - length of reference) / its standard deviation with ddof 0), fitted
    by log loss with the penalty 1.0 phi^2; the value is sigmoid(theta). Arguments, interval and special cases as for
    ``length_controlled_win_rate`` (method ``croco-two-parameter``); on the same data the two differ by up to 14 points.
    """
    check_level(level)
    items = _Items.of(preferences, length_candidate, length_reference, None, clusters, ddof=0)
    method = "croco-two-parameter"
    if (constant := items.without_spread(level, method)) is not None:
        return constant
    fit = Fit.of(np.column_stack([np.ones(len(items.y)), items.length]), items.y, 0.0, np.array([0.0, 2.0]))
    found = fit.mean_prediction(np.tile([1.0, 0.0], (len(items.y), 1)))
    return delta_interval(found, items.grouping, level, items.n_unscored, method)


@dataclass(frozen=True)
class _Items:
    """The scored items in an order of their own. ``length``: tanh of the scaled difference, candidate less
    reference."""

    y: Array
    length: Array
    difficulty: Array
    grouping: Grouping
    n_unscored: int

    @classmethod
    def of(
        cls,
        preferences: Values,
        length_candidate: Values,
        length_reference: Values,
        difficulty: Values | None,
        clusters: Labels | None,
        ddof: int,
    ) -> _Items:
        y = float_values(preferences, "preferences", "bounded")
        ours, theirs = float_values(length_candidate, "lengths"), float_values(length_reference, "lengths")
        hard = np.zeros(len(y)) if difficulty is None else float_values(difficulty, "difficulties")
        if {len(ours), len(theirs), len(hard)} != {len(y)}:
            raise ValueError(
                f"{len(y)} preferences but {len(ours)} and {len(theirs)} lengths, {len(hard)} difficulties"
            )
        if (ours < 0).any() or (theirs < 0).any():
            raise ValueError("lengths must not be negative")
        codes = label_codes(clusters, len(y), "cluster")
        scored = ~np.isnan(y + ours + theirs + hard)
        order = np.flatnonzero(scored)[np.lexsort((hard[scored], (ours - theirs)[scored], y[scored]))]
        length = _scaled((ours - theirs)[order], ddof)
        return cls(y[order], length, hard[order], Grouping.of(len(order), codes[order]), int((~scored).sum()))

    def without_spread(self, level: float, method: str) -> Estimate | None:
        """The estimate if there is nothing to adjust: no items, or preferences that all agree."""
        if len(self.y) and np.ptp(self.y) > 0:
            return None
        group = self.grouping.sums(self.y)
        found = bootstrap_intervals([group], [self.n_unscored], 1, level, 0, (0.0, 1.0))[0]
        return found.renamed(f"{method}-no-spread") if len(self.y) else found


def _scaled(difference: Array, ddof: int) -> Array:
    """tanh(difference / its standard deviation); 0 where the difference never varies."""
    spread = float(difference.std(ddof=ddof)) if len(difference) > ddof else 0.0
    return np.tanh(difference / spread) if spread > 0 else np.zeros(len(difference))


def _augmentation_rows(augmentation: Sequence[LengthGamed], with_difficulty: bool) -> tuple[Array, Array, Array]:
    """(x, y, weights) of the length-gamed rows; each system's lengths have a scale of their own."""
    if any((x.instruction_difficulty is not None) != with_difficulty for x in augmentation):
        raise ValueError("give the instruction difficulty for the items and all augmentation rows, or for none")
    gamed = [
        _Items.of(x.preferences, x.length_candidate, x.length_reference, x.instruction_difficulty, None, ddof=1)
        for x in augmentation
    ]
    rows = [np.column_stack([-g.length, g.difficulty, np.zeros(len(g.y))]) for g in gamed]
    y = np.concatenate([g.y for g in gamed])
    return np.concatenate(rows), y, np.full(len(y), AUGMENTATION_WEIGHT / len(augmentation))


def _chosen_strength(
    x: Array, y: Array, clusters: Array, extra: tuple[Array, Array, Array] | None, rng: np.random.Generator
) -> float:
    """The inverse penalty with the least cross-validated log loss, averaged over folds and deals."""
    count = int(clusters.max()) + 1
    folds = min(FOLDS, count)
    if folds < 2:
        return WITHOUT_FOLDS
    order = np.lexsort([np.bincount(clusters, v, count) for v in (*x.T, y)])
    held_out = np.stack([_dealt(order, folds, rng)[clusters] for _ in range(DEALS)])
    weights = np.ones(len(y))
    if extra is not None:
        order = np.lexsort((*extra[0].T, extra[1]))
        held_out = np.hstack([held_out, np.stack([_dealt(order, folds, rng) for _ in range(DEALS)])])
        x, y = np.concatenate([x, extra[0]]), np.concatenate([y, extra[1]])
        weights = np.concatenate([weights, extra[2]])
    test = np.concatenate([held_out == fold for fold in range(folds)])
    everywhere, free = np.ones(x.shape[1]), np.zeros(x.shape[1])
    losses, start = [], None
    for strength in STRENGTHS:
        start = fit_logistic(x, y, weights[None, :], everywhere / strength, free, start)
        b = fit_logistic(x, y, weights * ~test, everywhere / strength, free, np.repeat(start, len(test), axis=0))
        eta = b @ x.T
        loss = weights * (np.logaddexp(0, eta) - y * eta)
        losses.append(((loss * test).sum(axis=1) / test.sum(axis=1)).mean())
    return float(STRENGTHS[int(np.argmin(losses))])


def _dealt(order: Array, folds: int, rng: np.random.Generator) -> Array:
    """The fold of each element: neighbours in ``order`` go to different folds, in a random turn."""
    fold = np.empty(len(order), dtype=np.intp)
    turns = rng.permuted(np.tile(np.arange(folds), (-(-len(order) // folds), 1)), axis=1)
    fold[order] = turns.ravel()[: len(order)]
    return fold
