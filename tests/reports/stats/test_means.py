"""Intervals for means: against other implementations, and against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from croco_eval.reports.stats import mean_interval
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

EXACT = {"rel": 1e-9, "abs": 1e-9}


def _ends(estimate):
    return estimate.ci_low, estimate.ci_high


# Independent implementations


def cluster_t_interval(values, clusters, level=0.95):
    """The ratio estimator's interval in plain loops: mean of y over clusters of unequal size (Cochran 1977, 6.3)."""
    sums, sizes = {}, {}
    for y, g in zip(values, clusters, strict=True):
        sums[g] = sums.get(g, 0.0) + y
        sizes[g] = sizes.get(g, 0) + 1
    total, groups = sum(sizes.values()), len(sums)
    mean = sum(sums.values()) / total
    between = sum((sums[g] - mean * sizes[g]) ** 2 for g in sums) / (groups - 1)
    se = math.sqrt(groups * between) / total
    half = stats.t.ppf(0.5 + level / 2, groups - 1) * se
    return mean, se, mean - half, mean + half


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 10), (10, 10), (3, 10), (1, 400), (123, 200)])
def test_binary_interval_is_wilsons(k, n, level):
    found = mean_interval([1] * k + [0] * (n - k), kind="binary", level=level)
    theirs = stats.binomtest(k, n).proportion_ci(confidence_level=level, method="wilson")
    assert _ends(found) == pytest.approx((theirs.low, theirs.high), **EXACT)
    assert found.value == pytest.approx(k / n, **EXACT)
    assert found.method == "wilson"


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (7, 31)])
def test_wilsons_ends_are_where_the_score_test_just_rejects(k, n):
    z = stats.norm.ppf(0.975)
    for end in _ends(mean_interval([1] * k + [0] * (n - k), kind="binary")):
        if 0 < end < 1:
            assert abs(k / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(z, rel=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 30, 500])
def test_continuous_interval_is_students_t(n, level):
    values = np.random.default_rng(n).normal(3, 2, n)
    found = mean_interval(values, level=level)
    theirs = stats.t.interval(level, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert _ends(found) == pytest.approx(theirs, **EXACT)
    assert found.se == pytest.approx(stats.sem(values), **EXACT)
    assert (found.n, found.method) == (n, "t")


def test_bounded_interval_is_students_t_cut_to_the_unit_interval():
    values = [1.0, 1.0, 1.0, 0.5]
    found = mean_interval(values, kind="bounded")
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert high > 1
    assert _ends(found) == pytest.approx((low, 1.0), **EXACT)
    assert mean_interval(values).ci_high == pytest.approx(high, **EXACT)


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("seed", range(4))
def test_clustered_interval_agrees_with_the_ratio_estimators_for_unequal_clusters(seed, level):
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 12, 60)
    values = rng.normal(0, 1, 60) + rng.normal(0, 1, 12)[clusters]
    found = mean_interval(values, clusters, level=level)
    mean, se, low, high = cluster_t_interval(values, clusters, level)
    assert (found.value, found.se, found.ci_low, found.ci_high) == pytest.approx((mean, se, low, high), **EXACT)
    assert (found.n, found.method) == (60, "cluster-t")


def test_clustered_interval_by_hand():
    # Two clusters: sums 2 and 0, sizes 3 and 1, mean 1/2; residual sums 1/2 and -1/2; se = sqrt(2 * 1/2) / 4.
    found = mean_interval([1.0, 1.0, 0.0, 0.0], ["a", "a", "a", "b"])
    assert found.se == pytest.approx(0.25, **EXACT)
    assert found.ci_high - found.value == pytest.approx(0.25 * math.tan(math.pi * 0.475), **EXACT)  # t with 1 df


def test_equal_clusters_are_as_good_as_their_means():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(15, 4))
    found = mean_interval(table.ravel(), np.repeat(np.arange(15), 4))
    of_means = mean_interval(table.mean(axis=1))
    assert _ends(found) == pytest.approx(_ends(of_means), **EXACT)


@pytest.mark.parametrize("kind", ["continuous", "bounded"])
def test_clusters_of_one_item_give_the_plain_interval(kind):
    values = np.random.default_rng(3).uniform(0.2, 0.8, 25)
    found, plain = mean_interval(values, range(25), kind), mean_interval(values, None, kind)
    assert found == plain
    mean, se, low, high = cluster_t_interval(values, range(25))
    assert (found.value, found.se, *_ends(found)) == pytest.approx((mean, se, low, high), **EXACT)


def test_clusters_of_one_binary_item_give_wilsons_interval():
    values = [1, 0, 0, 1, 1]
    assert mean_interval(values, list("abcde"), "binary") == mean_interval(values, None, "binary")


def test_items_that_agree_within_their_clusters_widen_the_interval():
    values = [1.0] * 20 + [0.0] * 20
    width = [b - a for a, b in (_ends(mean_interval(values, x)) for x in (None, [i // 5 for i in range(40)]))]
    assert width[1] > 2 * width[0]


def test_naming_the_clusters_otherwise_changes_nothing():
    values = np.random.default_rng(5).normal(size=12)
    numbers = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    names = [f"source/{9 - x}" for x in numbers]
    found, other = mean_interval(values, numbers), mean_interval(values, names)
    assert (found.se, *_ends(found)) == pytest.approx((other.se, *_ends(other)), **EXACT)


# What is left out


def test_none_and_nan_are_unscored_and_change_nothing_else():
    found = mean_interval([None, 1.0, 0.0, math.nan, 1.0, None], kind="binary")
    plain = mean_interval([1.0, 0.0, 1.0], kind="binary")
    assert (found.n, found.n_unscored) == (3, 3)
    assert (found.value, *_ends(found)) == (plain.value, *_ends(plain))


def test_unscored_items_are_left_out_of_their_clusters():
    found = mean_interval([1.0, None, 0.0, 0.5, math.nan], ["a", "a", "a", "b", "c"])
    _, se, low, high = cluster_t_interval([1.0, 0.0, 0.5], ["a", "a", "b"])
    assert (found.n, found.n_unscored) == (3, 2)
    assert (found.se, *_ends(found)) == pytest.approx((se, low, high), **EXACT)


@pytest.mark.parametrize("values", [[], [None], [math.nan, None]])
@pytest.mark.parametrize("clustered", [False, True])
def test_nothing_scored_gives_nan_and_no_zero(values, clustered):
    found = mean_interval(values, ["a"] * len(values) if clustered else None)
    assert math.isnan(found.value)
    assert all(map(math.isnan, _ends(found)))
    assert (found.n, found.n_unscored, found.method) == (0, len(values), "none")


@pytest.mark.parametrize("kind", ["continuous", "bounded"])
@pytest.mark.parametrize("clusters", [None, ["a"]])
def test_one_item_has_a_mean_and_no_interval(kind, clusters):
    found = mean_interval([0.25], clusters, kind)
    assert found.value == 0.25
    assert all(map(math.isnan, (*_ends(found), found.se)))
    assert found.n == 1


def test_one_binary_item_has_wilsons_wide_interval():
    assert mean_interval([1], kind="binary").ci_low == pytest.approx(0.2065493143772375, **EXACT)


@pytest.mark.parametrize("kind", ["continuous", "bounded", "binary"])
def test_one_cluster_has_a_mean_and_no_interval(kind):
    found = mean_interval([1.0, 0.0, 1.0, 1.0], ["a"] * 4, kind)
    assert found.value == 0.75
    assert all(map(math.isnan, (*_ends(found), found.se)))
    assert (found.n, found.method) == (4, "cluster-t")


@pytest.mark.parametrize("clusters", [None, [0, 0, 1, 1, 2]])
def test_constant_values_have_no_spread(clusters):
    found = mean_interval([0.3] * 5, clusters)
    assert (found.value, found.se, *_ends(found)) == pytest.approx((0.3, 0, 0.3, 0.3), abs=1e-12)


@pytest.mark.parametrize("value", [0, 1])
def test_constant_binary_items_still_have_an_uncertain_mean(value):
    low, high = _ends(mean_interval([value] * 20, kind="binary"))
    assert high - low == pytest.approx(0.16113, abs=1e-5)  # z^2 / (n + z^2)


@pytest.mark.parametrize("kind", ["binary", "bounded"])
@pytest.mark.parametrize("values", [[0.5, 1.0001], [-0.0001, 0.5], [2, None]])
def test_value_outside_the_unit_interval_is_refused(kind, values):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        mean_interval(values, kind=kind)


@pytest.mark.parametrize("kind", ["continuous", "binary", "bounded"])
@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_infinite_value_is_refused(kind, bad):
    with pytest.raises(ValueError, match="finite"):
        mean_interval([0.5, bad], kind=kind)


@pytest.mark.parametrize("clusters", [["a"], ["a", "b", "c"], []])
def test_wrong_number_of_clusters_is_refused(clusters):
    with pytest.raises(ValueError, match="2 values"):
        mean_interval([0.5, 0.7], clusters)


def test_input_is_not_changed():
    values = np.array([1.0, math.nan, 0.0])
    mean_interval(values, np.array(["a", "a", "b"]))
    assert np.array_equal(values, [1.0, math.nan, 0.0], equal_nan=True)


# Properties

items = st.lists(
    st.tuples(st.none() | st.floats(0, 1, allow_subnormal=False), st.integers(0, 4)), min_size=1, max_size=25
)


def _close(a, b):
    return a == pytest.approx(b, rel=1e-9, abs=1e-9, nan_ok=True)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(items, st.booleans(), st.sampled_from(["continuous", "bounded"]), st.randoms(use_true_random=False))
def test_order_of_the_items_changes_nothing(rows, clustered, kind, rng):
    shuffled = rng.sample(rows, len(rows))
    found, other = (
        mean_interval([v for v, _ in x], [g for _, g in x] if clustered else None, kind) for x in (rows, shuffled)
    )
    assert _close((found.value, found.se, *_ends(found)), (other.value, other.se, *_ends(other)))
    assert (found.n, found.n_unscored, found.method) == (other.n, other.n_unscored, other.method)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(items, st.booleans(), st.sampled_from(["continuous", "bounded"]))
def test_interval_holds_the_mean_and_every_item_is_counted(rows, clustered, kind):
    found = mean_interval([v for v, _ in rows], [g for _, g in rows] if clustered else None, kind)
    assert found.n + found.n_unscored == len(rows)
    if not math.isnan(found.ci_low):
        assert found.ci_low <= found.value + 1e-12
        assert found.value <= found.ci_high + 1e-12
        assert kind == "continuous" or (found.ci_low >= 0 and found.ci_high <= 1)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(items, st.booleans(), st.floats(-50, 50), st.floats(0.1, 20))
def test_interval_moves_and_stretches_with_the_values(rows, clustered, shift, scale):
    groups = [g for _, g in rows] if clustered else None
    found = mean_interval([v for v, _ in rows], groups)
    moved = mean_interval([None if v is None else shift + scale * v for v, _ in rows], groups)
    expected = tuple(shift + scale * x for x in (found.value, *_ends(found)))
    assert (moved.value, *_ends(moved)) == pytest.approx(expected, rel=1e-7, abs=1e-7, nan_ok=True)


# Coverage: 2,000 draws put an exact 95% interval within 0.93 and 0.97 with a margin of four standard errors

DRAWS = 2000


def _coverage(samples, truth, **options):
    found = (mean_interval(x, **options) for x in samples)
    return sum(x.ci_low <= truth <= x.ci_high for x in found) / DRAWS


def test_binary_intervals_hold_the_truth_as_often_as_they_say():
    samples = np.random.default_rng(20250601).random((DRAWS, 100)) < 0.3
    assert 0.93 <= _coverage(samples.astype(float), 0.3, kind="binary") <= 0.97


def _clustered_draws():
    rng = np.random.default_rng(20250602)
    shared = rng.normal(0, 1, (DRAWS, 40, 1))
    return (2 + shared + rng.normal(0, 1, (DRAWS, 40, 5))).reshape(DRAWS, 200), np.repeat(np.arange(40), 5)


def test_clustered_intervals_hold_the_truth_as_often_as_they_say():
    samples, clusters = _clustered_draws()
    assert 0.93 <= _coverage(samples, 2.0, clusters=clusters) <= 0.97


def test_ignoring_the_clusters_would_miss_the_truth_far_too_often():
    samples, _ = _clustered_draws()
    assert _coverage(samples, 2.0) < 0.85
