"""Win rates: AlpacaEval's published numbers, an interval, a test against one half, and counts."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from croco_eval.reports.stats import mean_interval, paired_bootstrap, sign_flip_permutation, win_rate
from hypothesis import given, settings
from hypothesis import strategies as st

EXACT = {"rel": 1e-9, "abs": 1e-9}


def alpaca_preferences(model):
    """AlpacaEval's 1 (baseline), 2 (model) and 1.5 or 0 (draw) as preferences in [0, 1]."""
    raw = np.array([np.nan if x is None else x for x in model["preference"]], dtype=float)
    return np.where(raw == 0, 1.5, raw) - 1


def test_published_win_rates_and_standard_errors(shared_data):
    data = json.loads((shared_data / "alpaca_eval_validation.json").read_text(encoding="utf-8"))
    models = {**data["models"], **data["discrete_alpaca_eval_1"]["models"]}
    assert len(models) == 9
    for model in models.values():
        found, published = win_rate(alpaca_preferences(model)), model["published"]
        assert 100 * found.estimate.value == pytest.approx(published["win_rate"], abs=1e-6)
        assert 100 * found.estimate.se == pytest.approx(published["standard_error"], abs=1e-6)
        counts = (published["n_wins"], published["n_draws"], published["n_wins_base"])
        assert (found.wins, found.ties, found.losses) == counts
        assert found.estimate.n == published["n_total"]


def test_interval_and_test_are_the_bootstraps_and_the_sign_flips():
    rng = np.random.default_rng(1)
    preferences, clusters = rng.choice([0.0, 0.25, 0.5, 1.0], 300), rng.integers(0, 70, 300)
    found = win_rate(preferences, clusters)
    half = paired_bootstrap(preferences, np.full(300, 0.5), clusters, kind="bounded")
    test = sign_flip_permutation(preferences - 0.5, clusters)
    assert found.estimate.value == pytest.approx(preferences.mean(), **EXACT)
    assert found.estimate.se == pytest.approx(mean_interval(preferences, clusters).se, **EXACT)
    expected = (0.5 + half.ci_low, 0.5 + half.ci_high)
    assert (found.estimate.ci_low, found.estimate.ci_high) == pytest.approx(expected, **EXACT)
    assert (found.test.p_value, found.test.effect) == (test.p_value, pytest.approx(preferences.mean() - 0.5, **EXACT))
    assert (found.test.ci_low, found.test.ci_high) == pytest.approx((half.ci_low, half.ci_high), **EXACT)


def test_counts_of_wins_ties_and_losses():
    found = win_rate([1.0, 0.75, 0.5, 0.5, 0.25, 0.0, None, math.nan])
    assert (found.wins, found.ties, found.losses) == (2, 2, 2)
    assert (found.estimate.n, found.estimate.n_unscored) == (6, 2)


@pytest.mark.parametrize("n", [2, 30, 800])
def test_all_ties_are_one_half_with_p_1(n):
    found = win_rate([0.5] * n)
    assert (found.estimate.value, found.test.p_value, found.ties) == (0.5, 1.0, n)
    assert 0 <= found.estimate.ci_low < 0.5 < found.estimate.ci_high <= 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_won_or_all_lost_leaves_room_on_the_other_side(value):
    found = win_rate([value] * 40).estimate
    assert found.value == value
    assert 0.05 < found.ci_high - found.ci_low < 0.1
    assert found.ci_low >= 0
    assert found.ci_high <= 1


@pytest.mark.parametrize("values", [[], [None, math.nan]])
def test_nothing_judged_gives_nan(values):
    found = win_rate(values)
    assert math.isnan(found.estimate.value)
    assert math.isnan(found.test.p_value)
    assert (found.estimate.n, found.estimate.n_unscored, found.wins) == (0, len(values), 0)


@pytest.mark.parametrize("clusters", [None, ["a"]])
def test_one_item_has_a_value_and_nothing_else(clusters):
    found = win_rate([1.0], clusters)
    assert (found.estimate.value, found.test.p_value) == (1.0, 1.0)
    assert math.isnan(found.estimate.ci_low)


def test_one_cluster_shows_nothing():
    found = win_rate([1.0, 0.5, 1.0] * 30, ["a"] * 90)
    assert found.test.p_value == 1.0
    assert math.isnan(found.estimate.ci_high)


@pytest.mark.parametrize(
    ("values", "more", "match"),
    [
        ([0.5, 1.01], {}, r"\[0, 1\]"),
        ([0.5, -1.0], {}, r"\[0, 1\]"),
        ([0.5, math.inf], {}, "finite"),
        ([0.5, 1.0], {"clusters": ["a"]}, "1 cluster labels"),
        ([0.5, 1.0], {"strata": ["a"]}, "1 stratum labels"),
        ([0.5, 1.0], {"level": 0}, "level"),
        ([0.5, 1.0], {"n_resamples": -1}, "n_resamples"),
    ],
)
def test_bad_input_is_refused_by_name(values, more, match):
    with pytest.raises(ValueError, match=match):
        win_rate(values, **more)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1).map(np.random.default_rng), st.booleans())
def test_order_of_rows_changes_nothing_and_swapping_the_systems_turns_all(rng, clustered):
    n = int(rng.integers(2, 120))
    preferences = rng.choice([0.0, 0.5, 1.0, np.nan], n)
    clusters = rng.integers(0, 30, n) if clustered else None
    order = rng.permutation(n)
    found = win_rate(preferences, clusters, n_resamples=300)
    moved = win_rate(preferences[order], None if clusters is None else clusters[order], n_resamples=300)
    assert repr(found) == repr(moved)
    swapped = win_rate(1 - preferences, clusters, n_resamples=300)
    assert (swapped.wins, swapped.ties, swapped.losses) == (found.losses, found.ties, found.wins)
    assert swapped.test.p_value == pytest.approx(found.test.p_value, nan_ok=True)
    assert swapped.estimate.value == pytest.approx(1 - found.estimate.value, nan_ok=True)


def test_a_judge_that_prefers_neither_is_rarely_significant(at_most):
    rng = np.random.default_rng(20251004)
    clusters = np.repeat(np.arange(25), 3)
    leaning = rng.normal(0, 0.5, (600, 25))[:, clusters] + rng.normal(0, 1, (600, 75))
    preferences = np.where(np.abs(leaning) < 0.4, 0.5, leaning > 0)
    at_most([win_rate(x, clusters, n_resamples=199).test.p_value <= 0.05 for x in preferences], 0.05)


@pytest.mark.parametrize(("truth", "n"), [(0.5, 40), (0.8, 60), (0.9, 200)])
def test_intervals_hold_the_truth(truth, n):
    rng = np.random.default_rng(20251005)
    chances = [truth - 0.05, 0.1, 0.95 - truth]
    draws = rng.choice([1.0, 0.5, 0.0], (500, n), p=chances)
    found = [win_rate(x, n_resamples=499).estimate for x in draws]
    assert 0.93 <= np.mean([x.ci_low - 1e-9 <= truth <= x.ci_high + 1e-9 for x in found]) <= 0.975
