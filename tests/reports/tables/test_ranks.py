"""Mean ranks, who can be told apart, and the letters that say so."""

from __future__ import annotations

import numpy as np
import pytest
from croco_eval.reports.tables.ranks import Board, letters, mean_ranks, told_apart
from scipy.stats import binom


def board(values: np.ndarray, columns=None) -> Board:
    systems, items = (np.arange(x) for x in values.shape)
    return Board(values, items, np.zeros(len(items), dtype=int), columns or [(items, systems)])


def noise(systems: int, items: int, seed: int, lead: float = 0.0) -> np.ndarray:
    """Systems that share the items' difficulty; the first is better by ``lead``."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=items) + rng.normal(size=(systems, items))
    values[0] += lead
    return values


# Ranks


def test_rank_is_the_mean_over_columns_and_equals_share_it():
    values = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    halves = [(np.arange(2), np.arange(3)), (np.arange(2, 4), np.arange(3))]
    found = mean_ranks([board(values, halves)], 3, 100, 0.95, 0)
    assert found[:, 0].tolist() == [2.0, 2.0, 2.0]
    assert mean_ranks([board(values)], 3, 100, 0.95, 0)[:, 0].tolist() == [2.0, 2.0, 2.0]
    better = mean_ranks([board(values, halves[:1])], 3, 100, 0.95, 0)
    assert better[:, 0].tolist() == [1.0, 2.5, 2.5]


def test_clear_order_has_a_narrow_interval_and_a_near_one_a_wide_one():
    clear = mean_ranks([board(noise(3, 200, 1) + np.array([[10], [5], [0]]))], 3, 500, 0.95, 0)
    assert clear.tolist() == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    near = mean_ranks([board(noise(3, 200, 1))], 3, 500, 0.95, 0)
    assert (near[:, 2] - near[:, 1] >= 1).all()
    assert ((near[:, 1] <= near[:, 0]) & (near[:, 0] <= near[:, 2])).all()


def test_system_that_stands_nowhere_has_no_rank_and_changes_none():
    values = noise(3, 60, 2)
    two = [(np.arange(60), np.arange(2))]
    found = mean_ranks([board(values, two)], 3, 200, 0.95, 0)
    assert np.isnan(found[2]).all()
    assert found[:2].tolist() == mean_ranks([board(values[:2])], 2, 200, 0.95, 0).tolist()


def test_unscored_items_are_left_out_of_a_systems_mean():
    values = np.array([[1.0, np.nan, 1, 1], [1, 1, 1, 0]])
    assert mean_ranks([board(values)], 2, 100, 0.95, 0)[:, 0].tolist() == [1, 2]


def test_translations_are_drawn_together():
    values = noise(4, 50, 3, lead=0.4)
    twice = Board(
        np.tile(values, 2), np.tile(np.arange(50), 2), np.repeat([0, 1], 50), [(np.arange(100), np.arange(4))]
    )
    assert mean_ranks([twice], 4, 400, 0.95, 0) == pytest.approx(mean_ranks([board(values)], 4, 400, 0.95, 0))


# Told apart


def test_planted_leader_is_told_apart_and_its_copies_are_not():
    values = noise(4, 150, 5, lead=1.5)
    values[2] = values[1]
    p = told_apart([board(values)], [np.arange(4)], 4, 1000, 0)
    assert (p[0, 1:] <= 0.01).all()
    assert p[1, 2] == 1
    assert (p == p.T).all()


def test_equal_systems_are_told_apart_at_most_at_alpha():
    wrong = sum(
        (
            told_apart([board(noise(5, 25, seed)), board(noise(5, 25, 900 + seed))], [np.arange(5)] * 2, 5, 199, seed)
            < 0.05
        ).any()
        for seed in range(200)
    )
    assert wrong <= binom.ppf(0.999, 200, 0.05)


def test_difference_on_one_board_is_enough():
    boards = [board(noise(3, 80, 7)), board(noise(3, 80, 8, lead=2))]
    assert told_apart(boards, [np.arange(3)] * 2, 3, 500, 0)[0, 1] < 0.05
    assert told_apart(boards[:1], [np.arange(3)], 3, 500, 0)[0, 1] > 0.05


def test_only_items_that_both_have_scored_count():
    values = noise(2, 80, 9)
    lacking = values.copy()
    values[0, :40] += 50
    lacking[0, :40] = np.nan
    without = Board(lacking, np.arange(80), np.zeros(80, dtype=int), ())
    half = Board(lacking[:, 40:], np.arange(40), np.zeros(40, dtype=int), ())
    a, b = (told_apart([x], [np.arange(2)], 2, 2000, 0)[0, 1] for x in (without, half))
    assert a == pytest.approx(b, abs=0.05)


def test_whole_clusters_are_flipped():
    values = noise(2, 40, 10, lead=0.5)
    alone = told_apart([board(values)], [np.arange(2)], 2, 4000, 0)[0, 1]
    copies = Board(np.tile(values, 5), np.tile(np.arange(40), 5), np.repeat(np.arange(5), 40), ())
    assert told_apart([copies], [np.arange(2)], 2, 4000, 0)[0, 1] == pytest.approx(alone, abs=0.02)


# Letters


def apart(n: int, *pairs: tuple[int, int]) -> np.ndarray:
    p = np.ones((n, n))
    for i, j in pairs:
        p[i, j] = p[j, i] = 0.001
    return p


@pytest.mark.parametrize(
    ("p", "order", "expected"),
    [
        (apart(3), [0, 1, 2], {0: "a", 1: "a", 2: "a"}),
        (apart(3, (0, 1), (0, 2), (1, 2)), [0, 1, 2], {0: "a", 1: "b", 2: "c"}),
        (apart(3, (0, 2)), [0, 1, 2], {0: "a", 1: "ab", 2: "b"}),
        (apart(3, (0, 2)), [2, 1, 0], {2: "a", 1: "ab", 0: "b"}),
        (apart(4, (0, 2), (0, 3), (1, 3)), [0, 1, 2, 3], {0: "a", 1: "ab", 2: "bc", 3: "c"}),
        (apart(3, (0, 1)), [0, 1], {0: "a", 1: "b"}),
        (apart(1), [], {}),
    ],
)
def test_systems_share_a_letter_exactly_if_they_are_not_told_apart(p, order, expected):
    found = letters(p, order, 0.05)
    assert found == expected
    for i in order:
        for j in order:
            assert bool(set(found[i]) & set(found[j])) == (i == j or p[i, j] >= 0.05)


def test_too_many_letters_give_way_to_linked_groups():
    n = 60
    pairs = [(2 * i, 2 * i + 1) for i in range(n // 2)]  # 2^30 largest sets of systems that are alike
    found = letters(apart(n + 1, *pairs, *((i, n) for i in range(n))), list(range(n + 1)), 0.05)
    assert set(found.values()) == {"a", "b"}
    assert [i for i in found if found[i] == "b"] == [n]
