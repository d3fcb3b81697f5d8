"""How well rewards rank the candidates of a prompt."""

from __future__ import annotations

import math

import numpy as np
import pytest
from croco_eval.reports.tables.reward_ranking import ranking_quality
from scipy.stats import kendalltau


def test_agrees_with_scipys_tau_prompt_by_prompt():
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(40), 6)
    rewards, truths = rng.integers(0, 5, 240).astype(float), rng.integers(0, 4, 240).astype(float)
    found = ranking_quality(rewards, truths, prompts)
    taus = [kendalltau(rewards[prompts == p], truths[prompts == p]).statistic for p in range(40)]
    assert found.tau.value == pytest.approx(np.mean(taus), abs=1e-12)
    assert found.tau.ci_low < found.tau.value < found.tau.ci_high


def test_pairs_are_counted_and_equal_rewards_are_half_right():
    found = ranking_quality([3, 2, 2, 1, 2], [1, 0.5, 0.2, 0, 0], ["p", "p", "p", "q", "q"])
    # p: two pairs right, one equal; q: its scores are equal, so it says nothing
    assert (found.accuracy.value, found.accuracy.n, found.accuracy.n_unscored) == (pytest.approx(2.5 / 3), 1, 1)


def test_perfect_reversed_and_constant_rewards():
    truths, prompts = [1.0, 2.0, 3.0] * 5, np.repeat(np.arange(5), 3)
    for rewards, accuracy, tau in (([1.0, 2, 3], 1, 1), ([3.0, 2, 1], 0, -1), ([1.0, 1, 1], 0.5, 0)):
        found = ranking_quality(rewards * 5, truths, prompts)
        assert (found.accuracy.value, found.tau.value) == (accuracy, tau)


def test_random_rewards_are_at_chance_and_the_interval_holds_it():
    rng = np.random.default_rng(4)
    truths, rewards = rng.random((2, 3000))
    found = ranking_quality(rewards, truths, np.repeat(np.arange(300), 10))
    assert found.accuracy.ci_low < 0.5 < found.accuracy.ci_high
    assert found.tau.ci_low < 0 < found.tau.ci_high


def test_only_candidates_of_one_prompt_are_compared():
    found = ranking_quality([1, 2, 101, 102], [1, 2, 0.1, 0.2], ["p", "p", "q", "q"])
    assert found.accuracy.value == 1


def test_prompts_of_one_source_are_one_draw():
    rng = np.random.default_rng(2)
    truths, rewards = rng.random((2, 200))
    prompts = np.repeat(np.arange(50), 4)
    alone = ranking_quality(rewards, truths, prompts)
    twice = ranking_quality(np.tile(rewards, 2), np.tile(truths, 2), np.r_[prompts, prompts + 50], np.tile(prompts, 2))
    assert twice.accuracy.method == "cluster-bootstrap"
    assert (twice.accuracy.ci_low, twice.accuracy.ci_high) == pytest.approx(
        (alone.accuracy.ci_low, alone.accuracy.ci_high)
    )


def test_unscored_candidates_are_left_out():
    found = ranking_quality([1, None, 3], [1, 2, math.nan], ["p", "p", "p"])
    assert (found.accuracy.n, found.accuracy.n_unscored) == (0, 1)
    assert math.isnan(found.accuracy.value)
    assert ranking_quality([], [], []).accuracy.n == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0, 2.0], ["p"]), "1 rewards but 2 known scores"),
        (([1.0, 2.0], [1.0, 2.0], ["p"]), "2 values but 1 group labels"),
        (([1.0, math.inf], [1.0, 2.0], ["p", "p"]), "rewards must be finite"),
        (([1.0, 2.0], [1.0, 2.0], ["p", None]), "a group label is missing"),
    ],
)
def test_wrong_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ranking_quality(*arguments)
