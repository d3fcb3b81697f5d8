"""Bootstrap intervals of paired differences: what they promise, and that only the data and the seed decide them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from croco_eval.reports.stats import mean_interval, paired_bootstrap, paired_bootstrap_many
from croco_eval.reports.stats.bootstrap import resampled_means
from croco_eval.reports.stats.clusters import Grouping
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

EXACT = {"rel": 1e-9, "abs": 1e-9}


def _ends(estimate):
    return estimate.ci_low, estimate.ci_high


def _numbers(estimate):
    return estimate.value, estimate.ci_low, estimate.ci_high, estimate.se, estimate.n, estimate.n_unscored


# Against other implementations


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_resampled_means_have_the_quantiles_of_scipys_percentile_bootstrap(level):
    values = np.random.default_rng(1).gamma(2, 1, 60)
    means = resampled_means([Grouping.of(60).sums(values)], 40_000, 0)[0]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=40_000, confidence_level=level, method="percentile", rng=3)
    ours = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.01)


def cluster_bootstrap_loop(differences, clusters, strata, resamples, seed):
    """Means of clusters drawn with replacement within strata, one resample after the other."""
    rng = np.random.default_rng(seed)
    members = {}
    for i, (c, s) in enumerate(zip(clusters, strata, strict=True)):
        members.setdefault(s, {}).setdefault(c, []).append(i)
    means = []
    for _ in range(resamples):
        rows = []
        for groups in members.values():
            blocks = list(groups.values())
            for k in rng.integers(0, len(blocks), len(blocks)):
                rows.extend(blocks[k])
        means.append(differences[rows].mean())
    return np.array(means)


@pytest.mark.parametrize("values", ["binary", "continuous"])
def test_cluster_bootstrap_agrees_with_a_loop_for_unequal_clusters_in_strata(values):
    rng = np.random.default_rng(2)
    clusters = rng.integers(0, 60, 240)
    strata = np.array(["da", "de"])[clusters % 2]
    shared = rng.normal(0, 1, 60)[clusters]
    differences = np.sign(np.round(shared)) if values == "binary" else shared + rng.normal(0, 1, 240) + (clusters % 2)
    loop = cluster_bootstrap_loop(differences, clusters, strata, 4000, 0)
    means = resampled_means([Grouping.of(240, clusters, strata).sums(differences)], 40_000, 0)[0]
    assert means.std() == pytest.approx(loop.std(), rel=0.05)
    points = [0.025, 0.25, 0.5, 0.75, 0.975]
    assert np.quantile(means, points) == pytest.approx(np.quantile(loop, points), abs=10 * loop.std() / math.sqrt(4000))


def test_few_distinct_contents_and_many_give_the_same_distribution():
    rng = np.random.default_rng(3)
    few = rng.choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.7, 0.2])
    many = few + rng.normal(0, 1e-9, 200)
    a, b = (resampled_means([Grouping.of(200).sums(x)], 40_000, 0)[0] for x in (few, many))
    assert stats.ks_2samp(np.round(a, 5), np.round(b, 5)).pvalue > 0.001


def test_standard_error_is_that_of_the_clustered_mean():
    rng = np.random.default_rng(4)
    clusters = rng.integers(0, 50, 300)
    ours, theirs = rng.normal(0, 1, (2, 300)) + rng.normal(0, 1, 50)[clusters]
    found, plain = paired_bootstrap(ours, theirs, clusters), mean_interval(ours - theirs, clusters)
    assert (found.value, found.se) == pytest.approx((plain.value, plain.se), **EXACT)
    assert _ends(found) == pytest.approx(_ends(plain), abs=0.25 * plain.se)
    assert (found.n, found.method) == (300, "cluster-bootstrap")


def test_stratified_standard_error_by_hand():
    # Two strata of clusters of one item: 20 values 0, 2, 0, 2, ... and 20 values 10, 12, 10, 12, ...
    values = [0.0, 2.0] * 10 + [10.0, 12.0] * 10
    found = paired_bootstrap(values, [0.0] * 40, strata=["a"] * 20 + ["b"] * 20)
    assert found.se == pytest.approx(math.sqrt(2 * (20 / 40) ** 2 * (20 / 19) / 20), **EXACT)
    assert paired_bootstrap(values, [0.0] * 40).se > 4 * found.se


# Below 20 clusters, and without spread


@pytest.mark.parametrize("clusters", [None, [i // 2 for i in range(19)]])
def test_few_clusters_give_students_t(clusters):
    values = np.random.default_rng(5).normal(0, 1, 19)
    found, plain = paired_bootstrap(values, np.zeros(19), clusters), mean_interval(values, clusters)
    assert _ends(found) == pytest.approx(_ends(plain), **EXACT)
    assert found.method == plain.method


def test_bounded_interval_of_few_items_is_cut_to_the_scale():
    found = paired_bootstrap([1.0, 1.0, 1.0, 0.5], [0.0, 0.0, 0.0, 0.0], kind="bounded")
    assert found.ci_high == 1.0


@pytest.mark.parametrize("n", [2, 30, 500])
def test_equal_answers_still_have_an_uncertain_difference_on_a_bounded_scale(n):
    z2 = stats.norm.ppf(0.975) ** 2
    found = paired_bootstrap([1.0] * n, [1.0] * n, kind="binary")
    assert _ends(found) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)), **EXACT)  # Tango's, without discordant pairs
    assert (found.value, found.method) == (0.0, "no-spread")
    assert _ends(paired_bootstrap([1.0] * n, [1.0] * n)) == (0.0, 0.0)


def test_winning_every_item_leaves_room_below():
    found = paired_bootstrap([1.0] * 30, [0.0] * 30, kind="binary")
    z2 = stats.norm.ppf(0.975) ** 2
    assert _ends(found) == pytest.approx((1 - 2 * z2 / (30 + z2), 1.0), **EXACT)


def test_clusters_that_agree_count_once_each():
    wide = paired_bootstrap([1.0] * 60, [1.0] * 60, [i // 10 for i in range(60)], kind="binary")
    assert _ends(wide) == pytest.approx(_ends(paired_bootstrap([1.0] * 6, [1.0] * 6, kind="binary")), **EXACT)


# What is left out


@pytest.mark.parametrize("n", [0, 1, 3])
def test_nothing_scored_on_both_sides_gives_nan(n):
    found = paired_bootstrap([None] * n, [1.0] * n)
    assert all(map(math.isnan, (found.value, found.se, *_ends(found))))
    assert (found.n, found.n_unscored, found.method) == (0, n, "none")


@pytest.mark.parametrize("kind", ["binary", "bounded", "continuous"])
@pytest.mark.parametrize("clusters", [[0], [0, 0, 0]])
def test_one_item_or_one_cluster_has_a_difference_and_no_interval(clusters, kind):
    found = paired_bootstrap([1.0, 0.0, 1.0][: len(clusters)], [0.0] * len(clusters), clusters, kind=kind)
    assert found.value == pytest.approx(1.0 if len(clusters) == 1 else 2 / 3)
    assert all(map(math.isnan, (found.se, *_ends(found))))


def test_items_unscored_on_either_side_are_left_out_and_counted():
    ours, theirs = np.random.default_rng(6).normal(0, 1, (2, 40))
    plain = paired_bootstrap(ours[2:], theirs[2:])
    ours[0], theirs[1] = np.nan, np.nan
    found = paired_bootstrap(ours, theirs)
    assert _numbers(found)[:4] == _numbers(plain)[:4]
    assert (found.n, found.n_unscored) == (38, 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "more", "match"),
    [
        ([1.0, 0.0], [1.0], {}, "2 candidate values but 1 reference"),
        ([1.0, math.inf], [1.0, 0.0], {}, "finite"),
        ([1.0, 0.5], [1.0, 0.0], {"kind": "binary"}, "0 or 1"),
        ([1.0, 2.0], [1.0, 0.0], {"kind": "bounded"}, r"\[0, 1\]"),
        ([1.0, 2.0], [1.0, 0.0], {"kind": "ordinal"}, "kind"),
        ([1.0, 2.0], [1.0, 0.0], {"clusters": ["a"]}, "1 cluster labels"),
        ([1.0, 2.0], [1.0, 0.0], {"clusters": ["a", None]}, "label is missing"),
        ([1.0, 2.0], [1.0, 0.0], {"strata": ["a", math.nan]}, "label is missing"),
        ([1.0, 2.0], [1.0, 0.0], {"strata": ["a"]}, "1 stratum labels"),
        ([1.0, 2.0], [1.0, 0.0], {"level": 95}, "level"),
        ([1.0, 2.0], [1.0, 0.0], {"n_resamples": 0}, "n_resamples"),
        ([[1.0, 2.0]], [1.0, 0.0], {}, "one value per item"),
    ],
)
def test_bad_input_is_refused_by_name(ours, theirs, more, match):
    with pytest.raises(ValueError, match=match):
        paired_bootstrap(ours, theirs, **more)


# Strata


def test_strata_that_share_translations_are_drawn_as_one():
    rng = np.random.default_rng(7)
    values, sources = rng.normal(0, 1, 90), np.tile(np.arange(30), 3)
    found = paired_bootstrap(values, np.zeros(90), sources, np.repeat(["da", "de", "en"], 30))
    assert found == paired_bootstrap(values, np.zeros(90), sources)


def test_strata_of_one_cluster_are_drawn_together():
    values = np.random.default_rng(8).normal(0, 1, 50)
    strata = ["big"] * 47 + ["x", "y", "z"]
    found = paired_bootstrap(values, np.zeros(50), strata=strata)
    assert found == paired_bootstrap(values, np.zeros(50), strata=["big"] * 47 + ["small"] * 3)
    alone = paired_bootstrap(values, np.zeros(50), strata=["big"] * 49 + ["x"])
    assert alone == paired_bootstrap(values, np.zeros(50))


# Only the data and the seed decide

tables = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(tables, st.sampled_from(["binary", "continuous"]), st.booleans(), st.booleans())
def test_order_of_rows_changes_nothing(rng, kind, clustered, stratified):
    n = int(rng.integers(1, 120))
    ours, theirs = rng.integers(0, 2, (2, n)).astype(float) if kind == "binary" else rng.normal(0, 1, (2, n))
    ours[rng.random(n) < 0.1] = np.nan
    clusters = rng.integers(0, 40, n) if clustered else None
    strata = (
        np.array(["da", "de", "en"])[(clusters if clustered else rng.integers(0, 3, n)) % 3] if stratified else None
    )
    order = rng.permutation(n)
    there = [None if x is None else x[order] for x in (ours, theirs, clusters, strata)]
    found = paired_bootstrap(ours, theirs, clusters, strata, 200, kind=kind)
    assert repr(found) == repr(paired_bootstrap(*there, 200, kind=kind))


def test_naming_the_clusters_otherwise_changes_nothing():
    rng = np.random.default_rng(9)
    values, clusters = rng.normal(0, 1, 100), rng.integers(0, 30, 100)
    found = paired_bootstrap(values, np.zeros(100), clusters)
    assert found == paired_bootstrap(values, np.zeros(100), [f"item/{97 - x}" for x in clusters])


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_each_of_many_systems_gets_what_it_gets_alone(kind):
    rng = np.random.default_rng(10)
    draw = (lambda *x: rng.integers(0, 2, x).astype(float)) if kind == "binary" else (lambda *x: rng.normal(0, 1, x))
    ours, theirs, clusters = draw(6, 150), draw(150), rng.integers(0, 40, 150)
    ours[1, :20], ours[2, 5] = np.nan, np.nan
    ours[3] = np.where(np.arange(150) < 3, ours[3], np.nan)
    ours[4], ours[5] = theirs, np.nan
    for labels in (None, clusters):
        many = paired_bootstrap_many(ours, theirs, labels, kind=kind)
        alone = [paired_bootstrap(x, theirs, labels, kind=kind) for x in ours]
        assert [x.method for x in many] == [x.method for x in alone]
        for a, b in zip(many, alone, strict=True):
            assert _numbers(a) == pytest.approx(_numbers(b), rel=1e-12, abs=1e-12, nan_ok=True)


def test_many_systems_need_a_table_that_fits():
    with pytest.raises(ValueError, match=r"shape \(3,\) but 3"):
        paired_bootstrap_many(np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match=r"shape \(2, 4\) but 3"):
        paired_bootstrap_many(np.zeros((2, 4)), np.zeros(3))


def test_another_seed_draws_otherwise_and_the_same_seed_alike():
    values = np.random.default_rng(11).normal(0, 1, 50)
    first, again, other = (paired_bootstrap(values, np.zeros(50), seed=x) for x in (1, 1, 2))
    assert first == again
    assert _ends(first) != _ends(other)


def test_wider_level_gives_a_wider_interval():
    values = np.random.default_rng(12).normal(0, 1, 50)
    widths = [np.diff(_ends(paired_bootstrap(values, np.zeros(50), level=x)))[0] for x in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(widths)


# Coverage: 93 to 97% where theory promises 95

DRAWS = 1000


def _coverage(differences, truth, clusters=None, strata=None):
    found = paired_bootstrap_many(differences, np.zeros(differences.shape[1]), clusters, strata, n_resamples=2000)
    return np.mean([x.ci_low - 1e-9 <= truth <= x.ci_high + 1e-9 for x in found])


@pytest.mark.parametrize("n", [30, 100])
@pytest.mark.parametrize("values", ["normal", "laplace", "skewed"])
def test_intervals_of_continuous_differences_hold_the_truth(n, values):
    rng = np.random.default_rng(20250701)
    draw = {"normal": rng.normal, "laplace": rng.laplace, "skewed": lambda *_: rng.gamma(4, 0.5, (DRAWS, n)) - 2}[
        values
    ]
    assert 0.93 <= _coverage(draw(0, 1, (DRAWS, n)), 0.0) <= 0.97


@pytest.mark.parametrize(("n", "discordance", "effect"), [(30, 0.3, 0.0), (100, 0.1, 0.05), (300, 0.1, 0)])
def test_intervals_of_binary_differences_hold_the_truth(n, discordance, effect):
    rng = np.random.default_rng(20250702)
    chances = [(discordance - effect) / 2, 1 - discordance, (discordance + effect) / 2]
    differences = rng.choice([-1.0, 0.0, 1.0], (DRAWS, n), p=chances)
    assert 0.93 <= _coverage(differences, effect) <= 0.975


@pytest.mark.parametrize("sizes", ["equal", "unequal"])
def test_intervals_of_clustered_differences_hold_the_truth(sizes):
    rng = np.random.default_rng(20250703)
    count = np.full(40, 7) if sizes == "equal" else rng.integers(1, 15, 40)
    clusters = np.repeat(np.arange(40), count)
    differences = rng.normal(0, 1, (DRAWS, 40))[:, clusters] + rng.normal(0, 1, (DRAWS, len(clusters)))
    assert 0.93 <= _coverage(differences, 0.0, clusters) <= 0.97
    assert _coverage(differences, 0.0) < 0.85


def test_stratified_intervals_hold_the_truth():
    rng = np.random.default_rng(20250704)
    strata = np.repeat(["da", "de", "en"], [20, 20, 10])
    differences = rng.normal(0, 1, (DRAWS, 50)) + np.repeat([-3.0, 0.0, 6.0], [20, 20, 10])
    assert 0.93 <= _coverage(differences, 0.0, strata=strata) <= 0.97


def test_intervals_are_not_too_narrow_where_almost_nothing_differs(at_least):
    rng = np.random.default_rng(20250705)
    differences = rng.choice([-1.0, 0.0, 1.0], (DRAWS, 100), p=[0.01, 0.98, 0.01])
    found = paired_bootstrap_many((differences + 1) / 2, np.full(100, 0.5), n_resamples=1000, kind="bounded")
    at_least([x.ci_low <= 1e-9 and x.ci_high >= -1e-9 for x in found], 0.95)
    assert min(x.ci_high - x.ci_low for x in found) > 0
