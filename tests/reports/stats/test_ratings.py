"""Ratings of many systems: evalica's numbers, planted strengths found again, and no influence of any order."""

from __future__ import annotations

import math

import evalica
import numpy as np
import pytest
from croco_eval.reports.stats import bradley_terry, elo

NAMES = np.array(["base", "dpo", "online", "sft"])
STRENGTHS = np.array([0.0, 0.9, 0.5, 0.2])
BOTH = pytest.mark.parametrize("rate", [bradley_terry, elo])
QUICK = {"n_resamples": 40}


def played(rng, n, fractional=False):
    """Comparisons of random pairs by a judge that follows Bradley-Terry and ties now and then."""
    first = rng.integers(0, 4, n)
    second = (first + rng.integers(1, 4, n)) % 4
    p = 1 / (1 + np.exp(STRENGTHS[second] - STRENGTHS[first]))
    y = (rng.random((2, n)) < p).mean(axis=0) if fractional else np.where(rng.random(n) < 0.2, 0.5, rng.random(n) < p)
    return NAMES[first], NAMES[second], y


def test_maximum_likelihood_ratings_are_evalicas():
    first, second, y = played(np.random.default_rng(1), 400)
    winners = [evalica.Winner.X if v == 1 else evalica.Winner.Y if v == 0 else evalica.Winner.Draw for v in y]
    theirs = evalica.bradley_terry(first, second, winners, tolerance=1e-13, limit=10_000).scores
    found = bradley_terry(first, second, y, prior=0, **QUICK)
    expected = 400 * np.log10(theirs)
    for name in NAMES:
        assert found[name].value == pytest.approx(1000 + expected[name] - expected.mean(), abs=1e-6)


def test_ratings_maximise_the_likelihood_with_its_virtual_ties():
    """At the maximum each system's expected wins are its wins, with fractional preferences and the prior counted in."""
    first, second, y = played(np.random.default_rng(2), 300, fractional=True)
    found = bradley_terry(first, second, y, **QUICK)
    for name in NAMES:
        won = y[first == name].sum() + (1 - y[second == name]).sum() + 3 * 0.5
        rivals = [*second[first == name], *first[second == name], *(x for x in NAMES if x != name)]
        gaps = np.array([found[name].value - found[x].value for x in rivals])
        assert (1 / (1 + 10 ** (-gaps / 400))).sum() == pytest.approx(won, abs=1e-5)


def test_two_systems_have_the_odds_of_their_wins():
    found = bradley_terry(["a"] * 10, ["b"] * 10, [1.0] * 7 + [0.0] * 3, prior=0, **QUICK)
    assert found["a"].value - found["b"].value == pytest.approx(400 * math.log10(7 / 3), abs=1e-6)
    assert found["a"].value + found["b"].value == pytest.approx(2000)


@BOTH
def test_strongest_comes_first_and_strengths_are_found_again(rate):
    first, second, y = played(np.random.default_rng(3), 4000)
    found = rate(first, second, y, anchor="base", **QUICK)
    assert list(found) == ["dpo", "online", "sft", "base"]
    assert found["base"].value == 1000
    assert (found["base"].ci_low, found["base"].ci_high) == (1000, 1000)
    for name, strength in zip(NAMES, STRENGTHS * 400 / math.log(10) * 0.8, strict=True):  # a fifth are ties
        assert found[name].value == pytest.approx(1000 + strength, abs=25)
    assert sum(x.n for x in found.values()) == 2 * 4000


def test_intervals_hold_the_planted_strengths(at_least):
    truth = bradley_terry(*played(np.random.default_rng(99), 50_000), n_resamples=1)
    inside = []
    for seed in range(25):
        found = bradley_terry(*played(np.random.default_rng(seed), 300), n_resamples=60)
        inside += [found[x].ci_low <= truth[x].value <= found[x].ci_high for x in NAMES]
    at_least(inside, 0.9)
    assert np.mean(inside) < 0.99


@BOTH
def test_standard_errors_are_the_spread_of_ratings_over_repetitions(rate):
    found = [rate(*played(np.random.default_rng(seed), 200), n_resamples=30) for seed in range(14)]
    spread = np.std([[x[name].value for name in NAMES] for x in found], axis=0)
    claimed = [x[name].se for x in found for name in NAMES]
    assert np.mean(claimed) == pytest.approx(np.sqrt((spread**2).mean()), rel=0.3)


def test_comparisons_about_one_item_are_drawn_together():
    first, second, y = played(np.random.default_rng(4), 300)
    threefold = [np.repeat(x, 3) for x in (first, second, y)]
    plain = bradley_terry(first, second, y, prior=0, n_resamples=200)
    clustered = bradley_terry(*threefold, clusters=np.repeat(np.arange(300), 3), prior=0, n_resamples=200)
    alone = bradley_terry(*threefold, prior=0, n_resamples=200)
    for name in NAMES:
        assert clustered[name].value == pytest.approx(plain[name].value, abs=1e-6)
        assert clustered[name].se == pytest.approx(plain[name].se, rel=0.25)
        assert alone[name].se < 0.8 * plain[name].se


# Only the data and the seed decide


@BOTH
@pytest.mark.parametrize("clustered", [False, True])
def test_no_order_changes_anything(rate, clustered):
    rng = np.random.default_rng(5)
    first, second, y = played(rng, 200, fractional=True)
    clusters = rng.integers(0, 50, 200) if clustered else None
    order, swapped = rng.permutation(200), rng.random(200) < 0.5
    found = rate(first, second, y, clusters, **QUICK)
    again = rate(
        np.where(swapped, second, first)[order],
        np.where(swapped, first, second)[order],
        np.where(swapped, 1 - y, y)[order],
        None if clusters is None else [f"item {x}" for x in clusters[order]],
        **QUICK,
    )
    assert found == again
    assert list(found) == list(again)


@BOTH
def test_another_seed_draws_otherwise(rate):
    rows = played(np.random.default_rng(6), 100)
    assert rate(*rows, seed=1, **QUICK) == rate(*rows, seed=1, **QUICK)
    assert rate(*rows, seed=1, **QUICK)["dpo"].ci_low != rate(*rows, seed=2, **QUICK)["dpo"].ci_low


# What is undefined, and refused


@BOTH
def test_all_ties_leave_all_systems_alike(rate):
    found = rate(["a", "b", "c"] * 20, ["b", "c", "a"] * 20, [0.5] * 60, **QUICK)
    assert [x.value for x in found.values()] == pytest.approx([1000.0] * 3)
    assert list(found) == ["a", "b", "c"]


@BOTH
def test_a_system_that_always_won_has_a_finite_rating(rate):
    found = rate(["a"] * 30 + ["b"] * 30, ["b"] * 30 + ["c"] * 30, [1.0] * 30 + [1.0, 0.0] * 15, **QUICK)
    assert next(iter(found)) == "a"
    assert all(math.isfinite(x) for e in found.values() for x in (e.value, e.ci_low, e.ci_high))


@BOTH
@pytest.mark.parametrize("rows", [([], [], []), (["a"], ["b"], [None])])
def test_nothing_scored_gives_no_ratings(rate, rows):
    assert rate(*rows) == {}


@BOTH
@pytest.mark.parametrize("clusters", [None, ["x", "x", "x"]])
def test_one_comparison_or_one_cluster_gives_ratings_without_interval(rate, clusters):
    n = 1 if clusters is None else 3
    found = rate(["a"] * n, ["b"] * n, [1.0] * n, clusters, **QUICK)
    assert found["a"].value > 1000 > found["b"].value
    assert math.isnan(found["a"].ci_low)
    assert math.isnan(found["a"].se)


@BOTH
def test_unscored_comparisons_are_left_out_and_counted(rate):
    first, second, y = played(np.random.default_rng(7), 120)
    found = rate(["dpo", *first], ["sft", *second], [None, *y], **QUICK)
    plain = rate(first, second, y, **QUICK)
    assert found["dpo"].value == plain["dpo"].value
    assert [found[x].n_unscored for x in NAMES] == [0, 1, 0, 1]


@BOTH
@pytest.mark.parametrize(
    ("rows", "more", "match"),
    [
        ((["a", "b"], ["b"], [1.0]), {}, "1 preferences but 2 first"),
        ((["a", "a"], ["b", "a"], [1.0, 0.0]), {}, "'a' is compared with itself"),
        ((["a"], ["b"], [1.2]), {}, r"\[0, 1\]"),
        ((["a"], ["b"], [1.0]), {"anchor": "c"}, "anchor 'c' is none of the systems: a, b"),
        ((["a"], ["b"], [1.0]), {"clusters": [1, 2]}, "2 cluster labels"),
        ((["a"], ["b"], [1.0]), {"level": 95}, "level"),
        ((["a"], ["b"], [1.0]), {"n_resamples": 0}, "n_resamples"),
    ],
)
def test_bad_input_is_refused_by_name(rate, rows, more, match):
    with pytest.raises(ValueError, match=match):
        rate(*rows, **more)


def test_systems_that_never_met_have_no_common_scale():
    with pytest.raises(ValueError, match="c, d were never compared with a"):
        bradley_terry(["a", "c"], ["b", "d"], [1.0, 0.0])


def test_infinite_maximum_likelihood_ratings_are_refused():
    with pytest.raises(ValueError, match="prior > 0"):
        bradley_terry(["a", "b"], ["b", "c"], [1.0, 0.5], prior=0)
    found = bradley_terry(["a"] * 12, ["b"] * 12, [1.0] * 11 + [0.0], prior=0, **QUICK)
    assert math.isnan(found["a"].ci_high)


@pytest.mark.parametrize(
    ("rate", "more", "match"), [(bradley_terry, {"prior": -1}, "prior"), (elo, {"k": 0}, "k must")]
)
def test_bad_settings_are_refused_by_name(rate, more, match):
    with pytest.raises(ValueError, match=match):
        rate(["a"], ["b"], [1.0], **more)
