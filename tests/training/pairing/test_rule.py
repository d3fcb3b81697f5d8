"""The pair rule, against a plain loop over pools."""

from __future__ import annotations

import numpy as np
import pytest
from croco_eval.training.pairing.rule import TARGETS, Outcome, pick_pairs
from hypothesis import given, settings
from hypothesis import strategies as st


def by_hand(rewards, pools, rejected: str, chosen: str) -> dict[int, tuple[int, int] | None]:
    """The rule in words, one pool after the other."""
    found = {}
    for pool in sorted(set(pools)):
        rows = [i for i, x in enumerate(pools) if x == pool and np.isfinite(rewards[i])]
        values = np.array([rewards[i] for i in rows])
        found[pool] = None
        if len(rows):
            sigma = values.std()
            points = {
                "min": values.min(),
                "max": values.max(),
                "mean": values.mean(),
                "q1": np.quantile(values, 0.25),
                "mean_minus_2sigma": values.mean() - 2 * sigma,
                "mean_minus_sigma": values.mean() - sigma,
                "mean_plus_sigma": values.mean() + sigma,
                "mean_plus_2sigma": values.mean() + 2 * sigma,
            }
            top = min(rows, key=lambda i: abs(rewards[i] - points[chosen]))
            below = [i for i in rows if rewards[i] < rewards[top]]
            if below:
                found[pool] = (top, min(below, key=lambda i: abs(rewards[i] - points[rejected])))
    return found


def as_dict(picks) -> dict[int, tuple[int, int] | None]:
    rows = zip(picks.pools, picks.chosen, picks.rejected, picks.has_pair, strict=True)
    return {int(p): (int(c), int(r)) if pair else None for p, c, r, pair in rows}


candidates = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.5, 1.0, 2.0, -3.0, float("nan"), float("inf")])), max_size=30
)


@settings(max_examples=200, deadline=None)
@given(candidates, st.sampled_from(TARGETS), st.sampled_from(["max", "mean_plus_2sigma", "mean"]))
def test_pairs_are_those_of_a_plain_loop(rows, rejected: str, chosen: str):
    pools, rewards = [x for x, _ in rows], [x for _, x in rows]
    assert as_dict(pick_pairs(rewards, pools, rejected, chosen)) == by_hand(rewards, pools, rejected, chosen)


def test_the_studys_rule_on_a_worked_example():
    rewards = [0.1, 0.9, 0.4, 0.5, 0.5, 0.6]  # mean 0.5, population sd 0.2380: the target is 0.0239
    picks = pick_pairs(rewards, [7] * 6)
    assert (picks.chosen[0], picks.rejected[0], picks.sizes[0]) == (1, 0, 6)


def test_equal_rewards_keep_the_first_in_input_order():
    picks = pick_pairs([1.0, 3.0, 3.0, 1.0], [0, 0, 0, 0])
    assert (picks.chosen[0], picks.rejected[0]) == (1, 0)


@pytest.mark.parametrize(
    ("rewards", "outcome", "size"),
    [
        ([2.0], Outcome.ONE_CANDIDATE, 1),
        ([2.0, 2.0], Outcome.ALL_EQUAL, 2),
        ([float("nan"), float("-inf")], Outcome.NO_CANDIDATE, 0),
        ([2.0, float("nan")], Outcome.ONE_CANDIDATE, 1),
    ],
)
def test_a_pool_without_two_rewards_gives_no_pair_and_says_why(rewards: list[float], outcome: Outcome, size: int):
    picks = pick_pairs(rewards, [3] * len(rewards))
    assert (picks.outcomes[0], picks.sizes[0], picks.chosen[0], picks.rejected[0]) == (outcome, size, -1, -1)


def test_nothing_gives_nothing():
    assert len(pick_pairs([], []).pools) == 0


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="unknown target 'q9'"):
        pick_pairs([1.0], [0], "q9")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="2 rewards but 1 pools"):
        pick_pairs([1.0, 2.0], [0])
