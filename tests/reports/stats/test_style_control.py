"""Style-controlled win rates: what is counted, arena-hard-auto's fit, and style that wins by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from croco_eval.reports.stats import count_style, style_controlled_win_rate
from scipy import optimize
from scipy.special import expit


def _judged(rng, n, theta, style=1.0, gain=1.0):
    """Preferences for a candidate with ``gain`` times the reference's Markdown, from a model with a taste for it."""
    ours = np.column_stack([rng.gamma(4, 200, n), *(rng.poisson(gain * k, n) for k in (2, 5, 4))]).astype(float)
    theirs = np.column_stack([rng.gamma(4, 180, n), *(rng.poisson(k, n) for k in (2, 5, 4))]).astype(float)
    z = _arena_features(ours, theirs)
    z /= z.std(axis=0, ddof=1)
    y = (rng.random((2, n)) < expit(theta + style * z.mean(axis=1))).mean(axis=0)
    return y, ours, theirs


def _arena_features(ours, theirs):
    length = (ours[:, 0] - theirs[:, 0]) / (ours[:, 0] + theirs[:, 0])
    a, b = ours[:, 1:] / ours[:, :1], theirs[:, 1:] / theirs[:, :1]
    return np.column_stack([length, (a - b) / (a + b + 1)])


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        ("", (0, 0, 0, 0)),
        ("Plain text with 2 * 3 * 4 and a_b_c.", (36, 0, 0, 0)),
        ("# Title\ntext\n### Part\n#hashtag", (30, 2, 0, 0)),
        ("- one\n* two\n+ three\n 12. four\nno - list", (39, 0, 4, 0)),
        ("**bold** and __also__, not ** this\n**", (37, 0, 0, 2)),
        ("```\n# comment\n- no\n**no**\n```\n- yes", (35, 0, 1, 0)),
        ("Διαβάστε **αυτό**", (17, 0, 0, 1)),
    ],
)
def test_markdown_is_counted_outside_code_blocks(answer, counts):
    assert count_style(answer) == counts


@pytest.mark.parametrize("centred", [False, True])
def test_unpenalised_fit_is_arena_hards(centred):
    """Its likelihood, maximised by a general optimiser over its own features."""
    y, ours, theirs = _judged(np.random.default_rng(1), 300, 0.4)
    z = _arena_features(ours, theirs)
    z = (z - centred * z.mean(axis=0)) / z.std(axis=0, ddof=1)
    x = np.column_stack([np.ones(300), z])
    fit = optimize.minimize(lambda b: (np.logaddexp(0, x @ b) - y * (x @ b)).sum(), np.zeros(5), tol=1e-12)
    found = style_controlled_win_rate(y, ours, theirs, ridge=0, centred=centred)
    assert found.value == pytest.approx(expit(fit.x[0]), abs=1e-6)


def test_markdown_that_wins_by_itself_does_not_win_at_equal_style():
    y, ours, theirs = _judged(np.random.default_rng(2), 3000, 0.0, style=3.0, gain=2.5)
    found = style_controlled_win_rate(y, ours, theirs)
    assert y.mean() > 0.75
    assert found.ci_low < 0.5 < found.ci_high
    centred = style_controlled_win_rate(y, ours, theirs, centred=True)
    assert centred.value == pytest.approx(y.mean(), abs=0.06)  # control undone: the average style counts as equal


def test_interval_agrees_with_a_cluster_bootstrap():
    rng = np.random.default_rng(3)
    y, ours, theirs = _judged(rng, 300, 0.5)
    found = style_controlled_win_rate(y, ours, theirs)
    values = []
    for _ in range(200):
        rows = rng.integers(0, 300, 300)
        values.append(style_controlled_win_rate(y[rows], ours[rows], theirs[rows]).value)
    assert found.se == pytest.approx(np.std(values), rel=0.2)


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(20251104)
    found = [style_controlled_win_rate(*_judged(rng, 120, 0.6)) for _ in range(400)]
    assert 0.92 <= np.mean([x.ci_low <= expit(0.6) <= x.ci_high for x in found]) <= 0.98


def test_features_that_never_vary_are_left_out():
    y, ours, theirs = _judged(np.random.default_rng(4), 100, 0.5)
    ours[:, 1:] = theirs[:, 1:] = 0
    assert 0.4 < style_controlled_win_rate(y, ours, theirs).value < 0.8
    same = style_controlled_win_rate(y, theirs, theirs)
    assert same.value == pytest.approx(y.mean(), abs=1e-6)


def test_empty_answers_have_no_style():
    found = style_controlled_win_rate([1.0, 0.0, 1.0], np.zeros((3, 4)), np.zeros((3, 4)))
    assert found.value == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_preferences_that_all_agree_are_returned_with_room(value):
    _, ours, theirs = _judged(np.random.default_rng(5), 40, 0.0)
    found = style_controlled_win_rate([value] * 40, ours, theirs)
    assert (found.value, found.method) == (value, "style-no-spread")
    assert 0 <= found.ci_low < found.ci_high <= 1


@pytest.mark.parametrize("n", [0, 2])
def test_nothing_judged_gives_nan(n):
    found = style_controlled_win_rate([None] * n, np.zeros((n, 4)), np.zeros((n, 4)))
    assert math.isnan(found.value)
    assert (found.n, found.n_unscored) == (0, n)


def test_one_item_or_one_cluster_has_a_value_and_no_interval():
    y, ours, theirs = _judged(np.random.default_rng(6), 30, 0.2)
    assert math.isnan(style_controlled_win_rate(y[:1], ours[:1], theirs[:1]).ci_low)
    found = style_controlled_win_rate(y, ours, theirs, ["a"] * 30)
    assert 0 < found.value < 1
    assert math.isnan(found.ci_high)


def test_items_with_anything_missing_are_left_out():
    y, ours, theirs = _judged(np.random.default_rng(7), 60, 0.2)
    plain = style_controlled_win_rate(y[2:], ours[2:], theirs[2:])
    y[0], ours[1, 2] = np.nan, np.nan
    found = style_controlled_win_rate(y, ours, theirs)
    assert (found.value, found.n, found.n_unscored) == (plain.value, 58, 2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"style_candidate": np.zeros((3, 4))}, r"shape \(2, 4\)"),
        ({"style_reference": np.zeros((2, 3))}, r"shape \(2, 4\)"),
        ({"style_candidate": [[1, 0, 0, -1], [1, 0, 0, 0]]}, "not negative"),
        ({"style_candidate": [[math.inf, 0, 0, 1], [1, 0, 0, 0]]}, "finite"),
        ({"preferences": [0.5, 2.0]}, r"\[0, 1\]"),
        ({"ridge": -1.0}, "ridge"),
        ({"clusters": ["a"]}, "1 cluster labels"),
        ({"level": 2}, "level"),
    ],
)
def test_bad_input_is_refused_by_name(change, match):
    arguments = {"preferences": [0.5, 1.0], "style_candidate": np.ones((2, 4)), "style_reference": np.ones((2, 4))}
    with pytest.raises(ValueError, match=match):
        style_controlled_win_rate(**{**arguments, **change})


def test_too_few_items_for_the_unpenalised_fit_are_refused():
    y, ours, theirs = _judged(np.random.default_rng(8), 5, 0.0, style=5.0)
    with pytest.raises(ValueError, match="no finite fit"):
        style_controlled_win_rate(np.round(y * 0.9 + 0.01 * np.arange(5)), ours, theirs, ridge=0)


def test_order_of_rows_changes_nothing():
    rng = np.random.default_rng(9)
    y, ours, theirs = _judged(rng, 80, 0.2)
    clusters, order = rng.integers(0, 30, 80), rng.permutation(80)
    found = style_controlled_win_rate(y, ours, theirs, clusters)
    assert found == style_controlled_win_rate(y[order], ours[order], theirs[order], clusters[order])
