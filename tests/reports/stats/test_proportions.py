"""The exact McNemar test and Tango's interval, against SciPy, statsmodels, published tables and exact coverage."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from croco_eval.reports.stats import mcnemar_exact
from croco_eval.reports.stats.proportions import tango_interval
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar

EXACT = {"rel": 1e-9, "abs": 1e-9}


def answers(wins, losses, n, both=0):
    """Binary answers of two systems with these discordant pairs."""
    ours = [1] * wins + [0] * losses + [1] * both + [0] * (n - wins - losses - both)
    theirs = [0] * wins + [1] * losses + [1] * both + [0] * (n - wins - losses - both)
    return ours, theirs


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 5), (12, 3), (3, 12), (80, 55), (300, 340)])
def test_p_value_agrees_with_statsmodels_and_scipy(wins, losses):
    n = wins + losses + 30
    found = mcnemar_exact(*answers(wins, losses, n, both=20))
    theirs = mcnemar([[20, wins], [losses, 10]], exact=True)
    assert found.p_value == pytest.approx(min(theirs.pvalue, 1.0), **EXACT)
    assert found.statistic == theirs.statistic
    if wins + losses:
        assert found.p_value == pytest.approx(stats.binomtest(wins, wins + losses).pvalue, **EXACT)
    assert (found.effect, found.n, found.method) == ((wins - losses) / n, n, "mcnemar-exact")


@pytest.mark.parametrize(
    ("wins", "losses", "n", "low", "high"),
    [(1, 7, 21, -0.517, -0.026), (6, 16, 161, -0.1240, -0.0054)],  # Fagerland, Lydersen & Laake (2017), chapter 8
)
def test_interval_is_the_published_one(wins, losses, n, low, high):
    found = mcnemar_exact(*answers(wins, losses, n))
    assert (found.ci_low, found.ci_high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


def tango_by_quartic(wins, losses, n, level):
    """The ends as the outermost roots of a quartic (Yang, Sun & Hardin 2013, Stat. Med. 32:1336)."""
    g, d, s = stats.norm.ppf(0.5 + level / 2) ** 2, wins - losses, wins + losses
    roots = np.roots(
        [
            n**2 * (n / g + 1) ** 2,
            -n * d * (n / g + 1) * (4 * n / g + 1),
            2 * n * d**2 * (3 * n / g + 2) / g - n**2 * (s / g + 1),
            n * d * (2 * s / g + 1) - d**3 * (4 * n / g + 1) / g,
            d**2 * (d**2 / g - s) / g,
        ]
    )
    return min(roots.real), max(roots.real)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("wins", "losses", "n"), [(0, 0, 30), (1, 0, 5), (40, 20, 160), (3, 9, 32), (300, 250, 7000)])
def test_interval_agrees_with_its_closed_form(wins, losses, n, level):
    assert tango_interval(wins, losses, n, level) == pytest.approx(tango_by_quartic(wins, losses, n, level), abs=1e-8)


@pytest.mark.parametrize(("wins", "losses", "n"), [(5, 2, 40), (0, 3, 25), (9, 9, 60)])
def test_interval_ends_where_the_score_test_just_rejects(wins, losses, n):
    """The standard error at an end from the likelihood itself, maximised numerically under that difference."""

    def rest(q, d):
        ties = n - wins - losses
        return -(losses * np.log(q) + wins * np.log(q + d) + ties * np.log(1 - 2 * q - d))

    for end in tango_interval(wins, losses, n):
        bounds = (max(0.0, -end) + 1e-12, (1 - end) / 2 - 1e-12)
        q = optimize.minimize_scalar(rest, bounds=bounds, args=(end,), method="bounded", options={"xatol": 1e-12}).x
        z = (wins - losses - n * end) / math.sqrt(n * (2 * q + end * (1 - end)))
        assert abs(z) == pytest.approx(stats.norm.ppf(0.975), rel=1e-4)


def test_swapping_the_systems_turns_the_interval():
    found, swapped = mcnemar_exact(*answers(9, 4, 50)), mcnemar_exact(*answers(4, 9, 50))
    assert (found.ci_low, found.ci_high) == pytest.approx((-swapped.ci_high, -swapped.ci_low), **EXACT)
    assert found.p_value == swapped.p_value


@pytest.mark.parametrize(("n", "discordance"), [(30, 0.2), (30, 0.5), (60, 0.1)])
@pytest.mark.parametrize("effect", [0.0, 0.1])
def test_exact_coverage_of_the_interval(n, discordance, effect):
    coverage = 0.0
    win, lose = (discordance + effect) / 2, (discordance - effect) / 2
    for wins, weight in enumerate(stats.binom.pmf(np.arange(n + 1), n, win)):
        shares = weight * stats.binom.pmf(np.arange(n - wins + 1), n - wins, lose / (1 - win))
        for losses, share in enumerate(shares):
            if share > 1e-5:
                low, high = tango_interval(wins, losses, n)
                coverage += share * (low <= effect <= high)
    assert 0.93 <= coverage <= 0.98


@functools.cache
def rejects(wins, losses):
    return mcnemar_exact(*answers(wins, losses, wins + losses)).p_value <= 0.05


@pytest.mark.parametrize("discordance", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("n", [3, 10, 40])
def test_exact_rate_of_false_positives_is_no_more_than_alpha(n, discordance):
    share = 0.0
    for pairs in range(1, n + 1):
        chances = stats.binom.pmf(np.arange(pairs + 1), pairs, 0.5)
        size = sum(p for wins, p in enumerate(chances) if rejects(wins, pairs - wins))
        share += stats.binom.pmf(pairs, n, discordance) * size
    assert share <= 0.05
    assert share > 0.01 or n * discordance < 10


# What is left out, and refused


def test_unscored_answers_are_left_out():
    ours, theirs = answers(6, 2, 20)
    found = mcnemar_exact([None, 1, *ours, math.nan], [1, math.nan, *theirs, 0])
    assert found == mcnemar_exact(ours, theirs)


@pytest.mark.parametrize("values", [([], []), ([None], [1]), ([math.nan, 1], [0, None])])
def test_nothing_scored_on_both_sides_gives_nan(values):
    found = mcnemar_exact(*values)
    assert math.isnan(found.p_value)
    assert (found.n, found.method) == (0, "none")


def test_no_discordant_pairs_show_nothing_and_leave_room():
    found = mcnemar_exact([1, 0, 1] * 10, [1, 0, 1] * 10)
    assert (found.p_value, found.effect) == (1.0, 0.0)
    assert (found.ci_low, found.ci_high) == pytest.approx((-0.113513, 0.113513), abs=1e-6)


@pytest.mark.parametrize(("ours", "theirs", "effect"), [([1], [0], 1.0), ([0], [1], -1.0), ([1], [1], 0.0)])
def test_one_item_shows_nothing(ours, theirs, effect):
    found = mcnemar_exact(ours, theirs)
    assert (found.p_value, found.effect) == (1.0, effect)
    assert -1 <= found.ci_low < found.ci_high <= 1


@pytest.mark.parametrize(
    ("ours", "theirs", "match"),
    [
        ([1, 0.5], [1, 0], "0 or 1"),
        ([1, 0], [1, 2], r"\[0, 1\]"),
        ([1, -1], [1, 0], r"\[0, 1\]"),
        ([1, math.inf], [1, 0], "finite"),
        ([1, 0, 1], [1, 0], "3 candidate values but 2"),
    ],
)
def test_bad_input_is_refused_by_name(ours, theirs, match):
    with pytest.raises(ValueError, match=match):
        mcnemar_exact(ours, theirs)


def test_level_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="level"):
        mcnemar_exact([1], [0], level=95)


def test_order_of_the_items_changes_nothing():
    ours, theirs = answers(11, 5, 60, both=20)
    order = np.random.default_rng(1).permutation(60)
    assert mcnemar_exact(np.array(ours)[order], np.array(theirs)[order]) == mcnemar_exact(ours, theirs)
