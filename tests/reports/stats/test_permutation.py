"""Sign flips: exact where they can be, never a p of 0, and as often wrong as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from croco_eval.reports.stats import (
    mcnemar_exact,
    minimum_detectable_effect,
    paired_bootstrap,
    sign_flip_permutation,
    sign_flip_permutation_many,
)
from croco_eval.reports.stats.power import Design
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

EXACT = {"rel": 1e-9, "abs": 1e-9}


def _ends(test):
    return test.ci_low, test.ci_high


# Against other implementations


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_all_flips_agree_with_scipys_permutation_test(n):
    values = np.random.default_rng(n).normal(0.5, 1, n)
    found = sign_flip_permutation(values)
    theirs = stats.permutation_test(
        (values,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=9e9
    )
    assert found.p_value == pytest.approx(theirs.pvalue, **EXACT)
    assert found.effect == pytest.approx(values.mean(), **EXACT)
    assert (found.n, found.method) == (n, "sign-flip-exact")


def test_all_flips_of_clusters_agree_with_scipys_test_of_their_sums():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(9), rng.integers(1, 6, 9))
    values = rng.normal(0.3, 1, len(clusters))
    sums = np.bincount(clusters, values)
    theirs = stats.permutation_test((sums,), lambda x, axis: x.sum(axis), permutation_type="samples", n_resamples=9e9)
    found = sign_flip_permutation(values, clusters)
    assert found.p_value == pytest.approx(theirs.pvalue, **EXACT)
    assert (found.method, found.effect) == ("cluster-sign-flip-exact", pytest.approx(values.mean(), **EXACT))


def test_random_flips_come_near_all_flips():
    values = np.random.default_rng(2).normal(0.4, 1, 13)
    exact = sign_flip_permutation(values).p_value
    drawn = sign_flip_permutation(values, n_resamples=8000)
    assert drawn.method == "sign-flip"
    assert drawn.p_value == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 8000))


def test_large_normal_samples_agree_with_students_t():
    values = np.random.default_rng(3).normal(0.1, 1, 400)
    found, theirs = sign_flip_permutation(values), stats.ttest_1samp(values, 0)
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.01)
    assert _ends(found) == pytest.approx(tuple(theirs.confidence_interval()), abs=0.01)


@pytest.mark.parametrize(("wins", "losses"), [(9, 2), (3, 3), (13, 0), (1, 0), (0, 0)])
def test_binary_differences_give_the_exact_mcnemar_test(wins, losses):
    ours, theirs = [1] * wins + [0] * losses + [1] * 100, [0] * wins + [1] * losses + [1] * 100
    found = sign_flip_permutation(np.subtract(ours, theirs))
    assert found.p_value == pytest.approx(mcnemar_exact(ours, theirs).p_value, **EXACT)
    assert found.method == "sign-flip-exact"


def test_many_binary_differences_come_near_the_exact_mcnemar_test():
    ours, theirs = [1] * 40 + [0] * 60, [0] * 22 + [1] * 18 + [1] * 40 + [0] * 20
    expected = mcnemar_exact(ours, theirs).p_value
    assert sign_flip_permutation(np.subtract(ours, theirs)).p_value == pytest.approx(expected, abs=0.01)


# The interval is the test's


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("clustered", [False, True])
def test_interval_ends_where_the_test_of_a_shifted_sample_begins_to_reject(level, clustered):
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(11), rng.integers(1, 4, 11)) if clustered else None
    values = rng.normal(0.2, 1, 11 if clusters is None else len(clusters))
    low, high = _ends(sign_flip_permutation(values, clusters, level=level))
    for end, outwards in ((low, -1e-6), (high, 1e-6)):
        inside, outside = (sign_flip_permutation(values - (end + x), clusters).p_value for x in (-outwards, outwards))
        assert outside <= 1 - level + 1e-9 < inside


def test_interval_of_random_flips_is_the_tests_too():
    values = np.random.default_rng(5).normal(0.2, 1, 40)
    low, high = _ends(sign_flip_permutation(values))
    for end in (low, high):
        assert sign_flip_permutation(values - end).p_value == pytest.approx(0.05, abs=0.008)


def test_too_few_clusters_for_the_level_leave_the_interval_open():
    values = np.random.default_rng(6).normal(0, 1, 6)
    assert all(map(math.isnan, _ends(sign_flip_permutation(values[:5]))))
    assert _ends(sign_flip_permutation(values)) == (values.min(), values.max())
    assert not math.isnan(sign_flip_permutation(values[:5], level=0.9).ci_low)


# What is left out, and refused


@pytest.mark.parametrize("values", [[], [None], [math.nan, None]])
def test_nothing_scored_gives_nan(values):
    found = sign_flip_permutation(values)
    assert all(map(math.isnan, (found.p_value, found.effect, found.statistic, *_ends(found))))
    assert (found.n, found.method) == (0, "none")


@pytest.mark.parametrize("values", [[0.0] * 50, [0.0], [3.0]])
def test_no_difference_or_a_single_item_shows_nothing(values):
    assert sign_flip_permutation(values).p_value == 1.0


def test_one_cluster_shows_nothing_however_large():
    assert sign_flip_permutation(np.ones(100), ["a"] * 100).p_value == 1.0


@pytest.mark.parametrize("clusters", [None, "clusters"])
def test_p_value_is_never_zero(clusters):
    values = np.ones(300)
    found = sign_flip_permutation(values, None if clusters is None else np.arange(300) // 3, n_resamples=500)
    assert found.p_value == 1 / 501
    assert sign_flip_permutation(np.ones(9)).p_value == 2 / 2**9


def test_unscored_differences_are_left_out():
    values = np.random.default_rng(7).normal(0, 1, 30)
    found = sign_flip_permutation([None, *values, math.nan], [0, *range(30), 99])
    assert found == sign_flip_permutation(values)


@pytest.mark.parametrize(
    ("values", "more", "match"),
    [
        ([1.0, math.inf], {}, "finite"),
        ([1.0, 2.0], {"clusters": ["a"]}, "1 cluster labels"),
        ([1.0, 2.0], {"clusters": ["a", None]}, "missing"),
        ([1.0, 2.0], {"n_resamples": 0}, "n_resamples"),
        ([1.0, 2.0], {"level": 1.0}, "level"),
        ([[1.0], [2.0]], {}, "one value per item"),
    ],
)
def test_bad_input_is_refused_by_name(values, more, match):
    with pytest.raises(ValueError, match=match):
        sign_flip_permutation(values, **more)


# Only the data and the seed decide


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1).map(np.random.default_rng), st.booleans(), st.booleans())
def test_order_of_rows_and_names_of_clusters_change_nothing(rng, clustered, tied):
    n = int(rng.integers(1, 80))
    values = rng.choice([-0.5, 0.0, 0.5], n) if tied else rng.normal(0, 1, n)
    values[rng.random(n) < 0.1] = np.nan
    clusters = rng.integers(0, 25, n) if clustered else None
    order = rng.permutation(n)
    found = sign_flip_permutation(values, clusters, n_resamples=300)
    renamed = None if clusters is None else [f"item {77 - x}" for x in clusters[order]]
    assert repr(found) == repr(sign_flip_permutation(values[order], renamed, n_resamples=300))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1).map(np.random.default_rng), st.booleans())
def test_swapping_the_systems_turns_the_effect_and_keeps_p(rng, clustered):
    values = rng.normal(0.2, 1, 60)
    clusters = rng.integers(0, 30, 60) if clustered else None
    found, swapped = (sign_flip_permutation(x, clusters, n_resamples=500) for x in (values, -values))
    assert found.p_value == swapped.p_value
    assert found.effect == pytest.approx(-swapped.effect, **EXACT)


def test_each_of_many_systems_gets_what_it_gets_alone():
    rng = np.random.default_rng(8)
    values, clusters = rng.normal(0.1, 1, (6, 120)), rng.integers(0, 40, 120)
    values[1, :30], values[2], values[3, 8:] = np.nan, np.nan, np.nan
    values[4], values[5] = np.round(values[4] / 3), 0.0
    for labels in (None, clusters):
        many = sign_flip_permutation_many(values, labels, n_resamples=999)
        for a, row in zip(many, values, strict=True):
            b = sign_flip_permutation(row, labels, n_resamples=999)
            assert (a.p_value, a.n, a.method) == pytest.approx((b.p_value, b.n, b.method), nan_ok=True)
            assert _ends(a) == pytest.approx(_ends(b), **EXACT, nan_ok=True)


def test_many_systems_need_a_table():
    with pytest.raises(ValueError, match="shape"):
        sign_flip_permutation_many(np.zeros(3))


# As often wrong as they say, and as often right

DRAWS = 3000


def _p_values(differences, clusters=None):
    return np.array([x.p_value for x in sign_flip_permutation_many(differences, clusters, n_resamples=199)])


@pytest.mark.parametrize("values", ["binary", "tied", "normal", "heavy"])
def test_false_positives_are_no_more_than_alpha(values, at_most):
    rng = np.random.default_rng(20250801)
    shape = (DRAWS, 25)
    draw = {
        "binary": lambda: rng.choice([-1.0, 0.0, 1.0], shape, p=[0.15, 0.7, 0.15]),
        "tied": lambda: rng.choice([-0.5, -0.25, 0.0, 0.25, 0.5], shape, p=[0.1, 0.1, 0.6, 0.1, 0.1]),
        "normal": lambda: rng.normal(0, 1, shape),
        "heavy": lambda: rng.standard_cauchy(shape),
    }
    found = _p_values(draw[values]())
    for alpha in (0.01, 0.05, 0.2):
        at_most(found <= alpha, alpha)


@pytest.mark.parametrize("n", [3, 7])
def test_false_positives_of_tiny_samples_are_no_more_than_alpha(n, at_most):
    differences = np.random.default_rng(20250802).normal(0, 1, (DRAWS, n))
    found = _p_values(differences)
    at_most(found <= 0.05, 0.05)
    at_most(found <= 0.2, 0.2)


def test_false_positives_of_unequal_clusters_are_no_more_than_alpha(at_most):
    rng = np.random.default_rng(20250803)
    clusters = np.repeat(np.arange(15), rng.integers(1, 15, 15))
    differences = rng.normal(0, 1, (DRAWS, 15))[:, clusters] + rng.normal(0, 1, (DRAWS, len(clusters)))
    at_most(_p_values(differences, clusters) <= 0.05, 0.05)
    assert (_p_values(differences) <= 0.05).mean() > 0.3


def test_planted_effect_is_found_with_the_stated_power(at_least, at_most):
    rng = np.random.default_rng(20250804)
    effect = minimum_detectable_effect(60, Design.continuous(2.0))
    tests = sign_flip_permutation_many(rng.normal(effect, 2.0, (3000, 60)), n_resamples=999)
    found = [x.p_value <= 0.05 for x in tests]
    at_least(found, 0.79)
    at_most(found, 0.81)


def test_intervals_hold_the_truth(at_least, at_most):
    rng = np.random.default_rng(20250805)
    found = sign_flip_permutation_many(rng.laplace(0.3, 1, (3000, 25)), n_resamples=999)
    inside = [x.ci_low <= 0.3 <= x.ci_high for x in found]
    at_least(inside, 0.95)
    at_most(inside, 0.955)


def test_a_bounded_scale_without_spread_has_its_interval_elsewhere():
    assert _ends(sign_flip_permutation(np.zeros(20))) == (0.0, 0.0)
    assert paired_bootstrap(np.zeros(20), np.zeros(20), kind="bounded").ci_high > 0
