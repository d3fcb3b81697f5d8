"""Non-inferiority and equivalence: at the margin they are wrong no more than alpha of the time."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from croco_eval.reports.stats import noninferiority, tost
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

EXACT = {"rel": 1e-9, "abs": 1e-9}


def answers(wins, losses, n):
    """Binary answers of two systems with these discordant pairs."""
    return [1] * wins + [0] * (n - wins), [0] * wins + [1] * losses + [0] * (n - wins - losses)


# Against other implementations


@pytest.mark.parametrize("margin", [0.1, 0.5])
@pytest.mark.parametrize("n", [2, 10, 80])
def test_continuous_noninferiority_is_scipys_t_test_at_the_margin(n, margin):
    ours, theirs = np.random.default_rng(n).normal(0, 1, (2, n))
    found = noninferiority(ours, theirs, margin, kind="continuous")
    expected = stats.ttest_rel(ours + margin, theirs, alternative="greater")
    assert (found.p_value, found.statistic) == pytest.approx((expected.pvalue, expected.statistic), **EXACT)
    interval = stats.ttest_rel(ours, theirs).confidence_interval(0.9)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(interval), **EXACT)
    assert (found.n, found.method) == (n, "t")


def test_continuous_equivalence_is_statsmodels_tost():
    from statsmodels.stats.weightstats import ttost_paired

    ours, theirs = np.random.default_rng(1).normal(0.1, 1, (2, 60))
    found = tost(ours, theirs, 0.4, kind="continuous")
    assert found.p_value == pytest.approx(ttost_paired(ours, theirs, -0.4, 0.4)[0], **EXACT)


def test_clusters_of_equal_size_count_as_their_means():
    ours, theirs = np.random.default_rng(2).normal(0, 1, (2, 20, 5))
    found = noninferiority(ours.ravel(), theirs.ravel(), 0.2, kind="continuous", clusters=np.repeat(np.arange(20), 5))
    plain = noninferiority(ours.mean(axis=1), theirs.mean(axis=1), 0.2, kind="continuous")
    assert found.p_value == pytest.approx(plain.p_value, **EXACT)
    assert (found.n, found.method) == (100, "cluster-t")


def test_score_test_without_discordant_pairs_by_hand():
    # Under a difference of -m nothing but losses at rate m would explain 0 of n: variance n m (1 - m), half a step off.
    n, m = 400, 0.02
    found = noninferiority(*answers(0, 0, n), m, kind="binary")
    assert found.statistic == pytest.approx((n * m - 0.5) / math.sqrt(n * m * (1 - m)), **EXACT)
    assert (found.p_value, found.method) == (pytest.approx(stats.norm.sf(found.statistic), **EXACT), "tango")


def test_one_unseen_item_by_hand():
    # 59 ties and one loss of 1; the unseen item is another loss: mean -2/61 of 61 items.
    values = [1.0] * 59 + [0.0]
    found = noninferiority(values, [1.0] * 60, 0.1, kind="bounded")
    extended = stats.ttest_1samp([0.0] * 59 + [-1.0] * 2, -0.1, alternative="greater")
    assert (found.p_value, found.statistic) == pytest.approx((extended.pvalue, extended.statistic), **EXACT)
    assert (found.effect, found.n, found.method) == (pytest.approx(-1 / 60), 60, "unseen-t")


def test_below_fifty_clusters_the_unseen_one_is_lost_as_a_whole():
    rng = np.random.default_rng(3)
    values, theirs = rng.uniform(0.4, 0.6, (2, 120))
    found = noninferiority(values, theirs, 0.3, kind="bounded", clusters=np.repeat(np.arange(40), 3))
    sums = np.append((values - theirs).reshape(40, 3).mean(axis=1), -1.0)
    assert found.p_value == pytest.approx(stats.ttest_1samp(sums, -0.3, alternative="greater").pvalue, **EXACT)
    assert found.method == "unseen-cluster-t"


# Interval and test say the same

samples = st.tuples(
    st.integers(0, 2**32 - 1).map(np.random.default_rng),
    st.sampled_from(["binary", "bounded", "continuous"]),
    st.booleans(),
)


def _draw(rng, kind, clustered):
    n = int(rng.integers(4, 150))
    ours, theirs = rng.integers(0, 2, (2, n)) if kind == "binary" else rng.uniform(0, 1, (2, n))
    return ours.astype(float), theirs.astype(float), rng.integers(0, n // 2, n) if clustered else None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(samples, st.floats(0.02, 0.5), st.sampled_from([0.01, 0.05, 0.1]))
def test_interval_lies_above_the_margin_exactly_if_the_test_rejects(sample, margin, alpha):
    rng, kind, clustered = sample
    ours, theirs, clusters = _draw(rng, kind, clustered)
    found = noninferiority(ours, theirs, margin, kind=kind, clusters=clusters, alpha=alpha)
    same = tost(ours, theirs, margin, kind=kind, clusters=clusters, alpha=alpha)
    assert (found.p_value < alpha) == (found.ci_low > -margin)
    assert (same.p_value < alpha) == (found.ci_low > -margin and found.ci_high < margin)
    assert (same.ci_low, same.ci_high, same.effect) == (found.ci_low, found.ci_high, found.effect)
    assert same.p_value >= found.p_value


@settings(max_examples=30, deadline=None, derandomize=True)
@given(samples)
def test_order_of_rows_changes_nothing_and_swapping_the_systems_turns_all(sample):
    rng, kind, clustered = sample
    ours, theirs, clusters = _draw(rng, kind, clustered)
    order = rng.permutation(len(ours))
    moved = None if clusters is None else clusters[order]
    found = tost(ours, theirs, 0.3, kind=kind, clusters=clusters)
    assert repr(found) == repr(tost(ours[order], theirs[order], 0.3, kind=kind, clusters=moved))
    swapped = tost(theirs, ours, 0.3, kind=kind, clusters=clusters)
    assert (swapped.p_value, swapped.ci_low) == pytest.approx((found.p_value, -found.ci_high), **EXACT)


def test_wider_margin_is_easier_to_keep():
    ours, theirs = np.random.default_rng(4).integers(0, 2, (2, 300))
    for kind in ("binary", "bounded", "continuous"):
        found = [noninferiority(ours, theirs, x, kind=kind).p_value for x in (0.01, 0.05, 0.1, 0.3)]
        assert found == sorted(found, reverse=True)


# What is left out, and refused


@pytest.mark.parametrize("kind", ["binary", "bounded", "continuous"])
@pytest.mark.parametrize("test", [noninferiority, tost])
@pytest.mark.parametrize("values", [([], []), ([None, 1.0], [0.0, math.nan])])
def test_nothing_scored_on_both_sides_gives_nan(test, kind, values):
    found = test(*values, 0.1, kind=kind)
    assert math.isnan(found.p_value)
    assert (found.n, found.method) == (0, "none")


@pytest.mark.parametrize("kind", ["bounded", "continuous"])
@pytest.mark.parametrize("test", [noninferiority, tost])
@pytest.mark.parametrize("clusters", [[0], [0, 0, 0]])
def test_one_item_or_one_cluster_gives_no_test(test, kind, clusters):
    found = test([1.0] * len(clusters), [1.0] * len(clusters), 0.1, kind=kind, clusters=clusters)
    assert math.isnan(found.p_value)
    assert (found.effect, found.n) == (0.0, len(clusters))


def test_one_binary_item_proves_nothing():
    assert noninferiority([1], [0], 0.1, kind="binary").p_value > 0.2


def test_equal_continuous_answers_have_no_spread_to_test_with():
    found = noninferiority([0.3] * 50, [0.3] * 50, 0.1, kind="continuous")
    assert math.isnan(found.p_value)


@pytest.mark.parametrize("kind", ["binary", "bounded"])
@pytest.mark.parametrize(("n", "claims"), [(20, False), (400, True)])
def test_equal_bounded_answers_match_if_there_are_enough_of_them(kind, n, claims):
    for test in (noninferiority, tost):
        assert (test([1.0] * n, [1.0] * n, 0.03, kind=kind).p_value < 0.05) == claims


@pytest.mark.parametrize("kind", ["binary", "bounded"])
def test_losing_or_winning_every_item_is_not_the_same(kind):
    for n in (20, 80):
        assert noninferiority([0.0] * n, [1.0] * n, 0.1, kind=kind).p_value > 0.999
        assert tost([1.0] * n, [0.0] * n, 0.1, kind=kind).p_value > 0.999


@pytest.mark.parametrize("test", [noninferiority, tost])
@pytest.mark.parametrize(
    ("margin", "more", "match"),
    [
        (0, {}, "margin must be a positive"),
        (-0.02, {}, "margin must be a positive"),
        (math.nan, {}, "margin must be a positive"),
        (math.inf, {}, "margin must be a positive"),
        (2, {}, "below 1"),
        (0.1, {"alpha": 0}, "alpha"),
        (0.1, {"alpha": 0.6}, "alpha"),
        (0.1, {"kind": "ordinal"}, "kind"),
        (0.1, {"clusters": ["a"]}, "1 cluster labels"),
    ],
)
def test_bad_settings_are_refused_by_name(test, margin, more, match):
    with pytest.raises(ValueError, match=match):
        test([1.0, 0.0], [1.0, 1.0], margin, **{"kind": "binary", **more})


def test_kind_has_to_be_declared():
    with pytest.raises(TypeError, match="kind"):
        noninferiority([1.0], [1.0], 0.1)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("ours", "kind", "match"),
    [([1.0, 0.5], "binary", "0 or 1"), ([1.0, 1.5], "bounded", r"\[0, 1\]"), ([1.0, math.inf], "continuous", "finite")],
)
def test_bad_values_are_refused_by_name(ours, kind, match):
    with pytest.raises(ValueError, match=match):
        noninferiority(ours, [0.0, 1.0], 0.1, kind=kind)


# False positives at the margin


@functools.cache
def claims(wins, losses, n, margin):
    return noninferiority(*answers(wins, losses, n), margin, kind="binary").p_value <= 0.05


@pytest.mark.parametrize("extra", [1.0, 1.3, 2.0, 8.0])
@pytest.mark.parametrize(("n", "margin"), [(5, 0.1), (20, 0.2), (30, 0.05), (60, 0.02), (60, 0.1)])
def test_exact_size_of_the_score_test_is_no_more_than_alpha(n, margin, extra):
    """All outcomes of n pairs whose true difference is -margin, at a rate of discordance of margin * extra."""
    discordance = min(0.9, margin * extra)
    lose, win = (discordance + margin) / 2, (discordance - margin) / 2
    size = 0.0
    for losses, weight in enumerate(stats.binom.pmf(np.arange(n + 1), n, lose)):
        shares = weight * stats.binom.pmf(np.arange(n - losses + 1), n - losses, win / (1 - lose))
        for wins, share in enumerate(shares):
            if share > 1e-6:
                size += share * claims(wins, losses, n, margin)
    assert size <= 0.05


DRAWS = 800


def _claims(differences, margin, kind, clusters=None):
    zero = np.full(differences.shape[1], 0.5 if kind == "bounded" else 0.0)
    return [noninferiority(x + zero, zero, margin, kind=kind, clusters=clusters).p_value <= 0.05 for x in differences]


@pytest.mark.parametrize("n", [5, 40])
def test_false_positives_of_continuous_differences(n, at_most):
    differences = np.random.default_rng(20250901).normal(-0.2, 1, (DRAWS, n))
    at_most(_claims(differences, 0.2, "continuous"), 0.05)


@pytest.mark.parametrize("n", [10, 60])
@pytest.mark.parametrize("values", ["tied", "smooth", "rare losses"])
def test_false_positives_of_bounded_differences(values, n, at_most):
    rng = np.random.default_rng(20250902)
    draw = {
        "tied": lambda: rng.choice([-0.5, 0.0, 0.5], (DRAWS, n), p=[0.3, 0.5, 0.2]),
        "smooth": lambda: rng.uniform(-0.35, 0.25, (DRAWS, n)),
        "rare losses": lambda: rng.choice([-0.5, 0.0], (DRAWS, n), p=[0.1, 0.9]),
    }
    at_most(_claims(draw[values](), 0.05, "bounded"), 0.05)


@pytest.mark.parametrize(("lose", "win"), [(0.02, 0.0), (0.06, 0.04), (0.2, 0.18)])
@pytest.mark.parametrize("count", [20, 120])
def test_false_positives_of_binary_differences_in_clusters(count, lose, win, at_most):
    """Translations share half of what decides about right and wrong; the true difference is the margin, 0.02."""
    rng = np.random.default_rng(20250903)
    shared = rng.normal(0, math.sqrt(0.5), (DRAWS, count, 1))
    latent = (shared + rng.normal(0, math.sqrt(0.5), (DRAWS, count, 6))).reshape(DRAWS, -1)
    differences = 1.0 * (latent > stats.norm.isf(win)) - (latent < stats.norm.ppf(lose))
    clusters = np.repeat(np.arange(count), 6)
    ours, theirs = 1.0 * (differences >= 0), 1.0 * (differences <= 0)
    found = [
        noninferiority(x, y, 0.02, kind="binary", clusters=clusters).p_value <= 0.05
        for x, y in zip(ours, theirs, strict=True)
    ]
    at_most(found, 0.05)


def test_plain_t_would_claim_too_much_where_losses_are_rare():
    rng = np.random.default_rng(20250904)
    differences = rng.choice([-1.0, 0.0], (500, 60), p=[0.02, 0.98])
    plain = [noninferiority(x, np.zeros(60), 0.02, kind="continuous").p_value for x in differences]
    claimed = np.mean([x <= 0.05 or math.isnan(x) for x in plain])
    assert claimed > 0.25


def test_systems_that_are_the_same_are_found_to_match(at_least):
    rng = np.random.default_rng(20250905)
    differences = rng.choice([-1.0, 0.0, 1.0], (300, 1000), p=[0.04, 0.92, 0.04])
    ours, theirs = 1.0 * (differences >= 0), 1.0 * (differences <= 0)
    found = [noninferiority(x, y, 0.03, kind="binary").p_value <= 0.05 for x, y in zip(ours, theirs, strict=True)]
    at_least(found, 0.95)  # 3 points are 3.35 standard errors: power 0.956
