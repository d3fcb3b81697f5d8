"""Detectable effects and sample sizes: they invert each other, and simulated comparisons have the power they state."""

from __future__ import annotations

import math

import numpy as np
import pytest
from croco_eval.reports.stats import (
    Design,
    detection_power,
    mean_interval,
    minimum_detectable_effect,
    required_items,
    sign_flip_permutation_many,
)
from scipy import stats

DESIGNS = {
    "binary": Design.paired_binary(0.15),
    "binary, clustered": Design.paired_binary(0.15, cluster_size=14, icc=0.2),
    "continuous": Design.continuous(0.4),
    "continuous, clustered": Design.continuous(0.4, cluster_size=3.5, icc=0.5),
    "win rate": Design.win_rate(ties=0.3),
    "win rate, clustered": Design.win_rate(ties=0.3, cluster_size=14, icc=0.1),
}
EACH = pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS.keys())


# Against other implementations


@pytest.mark.parametrize("n", [5, 30, 400])
@pytest.mark.parametrize("effect", [0.05, 0.3, 1.0])
def test_power_for_continuous_items_is_statsmodels_t_test_power(n, effect):
    from statsmodels.stats.power import TTestPower

    expected = TTestPower().power(effect / 1.7, n, 0.05)
    assert detection_power(effect, n, Design.continuous(1.7)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "discordance", "effect"), [(12, 0.5, 0.3), (40, 0.2, 0.15), (7, 1.0, 0.9)])
def test_power_for_binary_items_is_summed_over_all_outcomes(n, discordance, effect):
    power = 0.0
    chances = [(discordance + effect) / 2, (discordance - effect) / 2, 1 - discordance]
    for wins in range(n + 1):
        for losses in range(n + 1 - wins):
            if wins + losses and stats.binomtest(wins, wins + losses).pvalue <= 0.05:
                power += stats.multinomial.pmf([wins, losses, n - wins - losses], n, chances)
    assert detection_power(effect, n, Design.paired_binary(discordance)) == pytest.approx(power, abs=1e-9)


def test_many_differing_items_continue_the_exact_power():
    design = Design.paired_binary(0.5)
    below, above = (detection_power(0.014, n, design) for n in (19_990, 20_010))
    assert below == pytest.approx(above, abs=2e-3)


# They invert each other


@EACH
@pytest.mark.parametrize("power", [0.8, 0.95])
@pytest.mark.parametrize("clusters", [100, 500])
def test_items_required_for_the_detectable_effect_are_the_items_there_are(design, clusters, power):
    n = clusters * design.cluster_size
    effect = minimum_detectable_effect(n, design, power)
    assert required_items(effect, design, power) == pytest.approx(n, rel=0.02)
    if not design.step or design.cluster_size > 1:
        assert required_items(effect, design, power) == math.ceil(n)
    assert detection_power(effect, n, design) == pytest.approx(power, abs=1e-9)


@EACH
def test_required_items_are_enough_and_a_cluster_less_is_not(design):
    n = required_items(0.06, design)
    assert detection_power(0.06, n, design) >= 0.8 - 1e-9
    assert detection_power(0.06, n - design.cluster_size, design) < 0.8


@EACH
def test_more_items_smaller_effects(design):
    found = [minimum_detectable_effect(x * design.cluster_size, design) for x in (100, 300, 1000, 10_000)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < found[0] / 8


def test_clusters_cost_their_design_effect():
    plain, clustered = Design.continuous(1.0), Design.continuous(1.0, cluster_size=14, icc=0.3)
    assert clustered.design_effect == pytest.approx(4.9)
    ratio = minimum_detectable_effect(14_000, clustered) / minimum_detectable_effect(14_000, plain)
    assert ratio == pytest.approx(math.sqrt(4.9), rel=0.01)


def test_a_finished_comparison_says_what_it_could_have_seen():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(500), 14)
    values = rng.normal(0, 1, 500)[clusters] + rng.normal(0, 1, 7000)
    estimate = mean_interval(values, clusters)
    effect = minimum_detectable_effect(7000, Design.from_se(estimate.se, 7000, 500))
    assert effect / estimate.se == pytest.approx(2.8016, rel=0.005)  # 1.9600 + 0.8416, and a little for Student's t
    designed = minimum_detectable_effect(7000, Design.continuous(math.sqrt(2), 14, 0.5))
    assert effect == pytest.approx(designed, rel=0.1)


def test_one_sided_power_takes_twice_the_alpha():
    t = stats.nct.sf(stats.t.isf(0.05, 99), 99, 0.25 * 10)
    assert detection_power(0.25, 100, Design.continuous(1.0), alpha=0.1) == pytest.approx(t, abs=1e-4)


# Simulated comparisons have the power they state

DRAWS = 1200


def _found(differences, clusters=None):
    tests = sign_flip_permutation_many(differences, clusters, n_resamples=999)
    return [x.p_value <= 0.05 for x in tests]


def test_binary_comparisons_have_the_power_they_state(at_least, at_most):
    rng = np.random.default_rng(20251001)
    effect = minimum_detectable_effect(120, Design.paired_binary(0.25))
    wins = rng.multinomial(120, [(0.25 + effect) / 2, (0.25 - effect) / 2, 0.75], size=20_000)
    found = stats.binom.cdf(wins[:, :2].min(axis=1), wins[:, :2].sum(axis=1), 0.5) <= 0.025
    at_least(found, 0.79)
    at_most(found, 0.81)


def test_win_rates_have_the_power_they_state(at_least, at_most):
    rng = np.random.default_rng(20251002)
    effect = minimum_detectable_effect(150, Design.win_rate(ties=0.3))
    differences = rng.choice([0.5, -0.5, 0.0], (DRAWS, 150), p=[0.35 + effect, 0.35 - effect, 0.3])
    found = _found(differences)
    at_least(found, 0.78)
    at_most(found, 0.82)


def test_clustered_comparisons_have_the_power_they_state(at_least, at_most):
    rng = np.random.default_rng(20251003)
    clusters = np.repeat(np.arange(40), 5)
    effect = minimum_detectable_effect(200, Design.continuous(1.0, cluster_size=5, icc=0.3))
    differences = rng.normal(effect, math.sqrt(0.3), (DRAWS, 40))[:, clusters]
    found = _found(differences + rng.normal(0, math.sqrt(0.7), (DRAWS, 200)), clusters)
    at_least(found, 0.78)
    at_most(found, 0.82)


# What is undefined, and refused


@pytest.mark.parametrize(
    ("n", "design"),
    [
        (1, Design.continuous(1.0)),
        (0, Design.paired_binary(0.1)),
        (20, Design.paired_binary(0.1)),
        (14, DESIGNS["win rate, clustered"]),
    ],
)
def test_too_few_items_detect_nothing(n, design):
    assert math.isnan(minimum_detectable_effect(n, design))


def test_fewer_than_two_clusters_have_no_power():
    assert detection_power(0.3, 14, Design.continuous(1.0, cluster_size=14, icc=0.1)) == 0.0


@pytest.mark.parametrize("sd", [0.0, -1.0, math.nan, math.inf])
def test_a_design_without_noise_is_refused(sd):
    with pytest.raises(ValueError, match="standard deviation"):
        Design.continuous(sd)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Design.paired_binary(0.0), "discordance"),
        (lambda: Design.paired_binary(1.2), "discordance"),
        (lambda: Design.win_rate(ties=1.0), "ties"),
        (lambda: Design.win_rate(ties=-0.1), "ties"),
        (lambda: Design.continuous(1.0, cluster_size=0.5), "cluster_size"),
        (lambda: Design.continuous(1.0, cluster_size=4, icc=1.5), "correlation"),
        (lambda: Design.continuous(1.0, cluster_size=4, icc=-0.5), "correlation"),
        (lambda: Design.from_se(0.01, 100, 200), "n_clusters"),
        (lambda: Design.from_se(0.0, 100), "standard deviation"),
        (lambda: required_items(0.0, Design.continuous(1.0)), "effect"),
        (lambda: required_items(-0.1, Design.continuous(1.0)), "effect"),
        (lambda: required_items(0.2, Design.paired_binary(0.1)), "effect must lie between 0 and 0.1"),
        (lambda: required_items(0.4, Design.win_rate(ties=0.3)), "effect must lie between 0 and 0.35"),
        (lambda: required_items(0.1, Design.continuous(1.0), power=1.0), "power"),
        (lambda: required_items(0.1, Design.continuous(1.0), alpha=0.0), "alpha"),
        (lambda: minimum_detectable_effect(10, Design.continuous(1.0), power=80), "power"),
        (lambda: minimum_detectable_effect(10, Design.continuous(1.0), alpha=5), "alpha"),
        (lambda: required_items(1e-12, Design.continuous(1.0)), "clusters would be needed"),
    ],
)
def test_bad_settings_are_refused_by_name(make, match):
    with pytest.raises(ValueError, match=match):
        make()
