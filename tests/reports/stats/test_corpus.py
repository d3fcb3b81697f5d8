"""Metrics over all items: equal to scikit-learn's, with intervals that cover; EuroEval's own estimator."""

from __future__ import annotations

import math

import numpy as np
import pytest
from croco_eval.reports.stats.corpus import CORPUS_METRICS, corpus_interval, resampled_score
from sklearn.metrics import f1_score, matthews_corrcoef


def labels(n: int, k: int, skill: float, seed: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, k, n)
    guess = np.where(rng.random(n) < skill, gold, rng.integers(0, k, n))
    return [str(x) for x in gold], [str(x) for x in guess]


@pytest.mark.parametrize(("n", "k", "skill"), [(200, 2, 0.3), (50, 3, 0.8), (500, 10, 0.1), (1, 2, 0.0)])
def test_values_equal_those_of_scikit_learn(n: int, k: int, skill: float):
    gold, guess = labels(n, k, skill, seed=n)
    assert corpus_interval("mcc", gold, guess).value == pytest.approx(matthews_corrcoef(gold, guess), abs=1e-12)
    expected = f1_score(gold, guess, average="macro", zero_division=0)
    assert corpus_interval("macro_f1", gold, guess).value == pytest.approx(expected, abs=1e-12)


def test_a_share_of_parts_counts_parts_not_items():
    estimate = corpus_interval("instruction_accuracy", ["1", "3", None], ["1", "1", None])
    assert estimate.value == pytest.approx(2 / 4)
    assert (estimate.n, estimate.n_unscored) == (2, 1)


def test_constant_predictions_have_no_correlation():
    assert corpus_interval("mcc", ["a", "b", "a"], ["a", "a", "a"]).value == 0


def test_order_of_items_changes_nothing():
    gold, guess = labels(100, 3, 0.5, seed=3)
    order = np.random.default_rng(1).permutation(100)
    shuffled = corpus_interval("mcc", [gold[i] for i in order], [guess[i] for i in order])
    assert shuffled == corpus_interval("mcc", gold, guess)


def test_intervals_cover_the_truth_as_often_as_promised():
    truth = 0.4  # of mcc: with two balanced labels the correlation is the skill
    hits = 0
    for seed in range(300):
        gold, guess = labels(200, 2, truth, seed)
        estimate = corpus_interval("mcc", gold, guess, n_resamples=400, seed=seed)
        hits += estimate.ci_low <= truth <= estimate.ci_high
    assert 0.91 <= hits / 300 <= 0.98


def test_no_items_give_no_number():
    estimate = corpus_interval("mcc", [None], [None])
    assert math.isnan(estimate.value)
    assert (estimate.n, estimate.n_unscored) == (0, 1)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="unknown corpus metric"):
        corpus_interval("bleu", [], [])
    with pytest.raises(ValueError, match="2 gold labels but 1"):
        corpus_interval("mcc", ["a", "b"], ["a"])


@pytest.mark.parametrize("metric", ["mcc", "macro_f1"])
def test_the_estimator_of_euroeval_equals_a_plain_loop_with_scikit_learn(metric: str):
    gold, guess = labels(300, 3, 0.5, seed=9)
    rng = np.random.default_rng(4242)
    for size in (1024, 256):
        rng.integers(0, size, size=(10, size))
    scores = []
    for rows in rng.integers(0, 300, size=(10, 300)):
        g, p = [gold[i] for i in rows], [guess[i] for i in rows]
        scores.append(matthews_corrcoef(g, p) if metric == "mcc" else f1_score(g, p, average="macro"))
    expected = (np.mean(scores), 1.96 * np.std(scores, ddof=1) / math.sqrt(10))
    assert resampled_score(None, metric, gold, guess, (1024, 256), 10, 4242) == pytest.approx(expected, abs=1e-12)


def test_the_estimator_of_euroeval_on_item_values():
    values = [0.0, 1.0, 0.5]
    rows = np.random.default_rng(1).integers(0, 3, size=(4, 3))
    means = np.asarray(values)[rows].mean(axis=1)
    expected = (means.mean(), 1.96 * means.std(ddof=1) / 2)
    assert resampled_score(values, "f1", [], [], (), 4, 1) == pytest.approx(expected)


def test_every_metric_has_a_function():
    assert set(CORPUS_METRICS) >= {"mcc", "macro_f1", "instruction_accuracy"}
