"""Agreement of raters: against sklearn, evalica, Krippendorff's own example, and a simulation of the interval."""

from __future__ import annotations

import math

import evalica
import numpy as np
import pandas as pd
import pytest
from croco_eval.reports.stats import cohen_kappa, krippendorff_alpha
from sklearn.metrics import cohen_kappa_score

VERDICTS = np.array(["candidate", "tie", "reference"], dtype=object)
NUMBERS = {"candidate": 1.0, "tie": 0.5, "reference": 0.0}


def ratings(n: int, raters: int, seed: int, alike: float = 0.5) -> np.ndarray:
    """Raters that each see the truth with a probability, else guess; shape (raters, n)."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    return VERDICTS[np.where(rng.random((raters, n)) < alike, truth, rng.integers(0, 3, (raters, n)))]


@pytest.mark.parametrize("alike", [0, 0.5, 0.9])
def test_kappa_is_sklearn_s(alike):
    a, b = ratings(80, 2, 1, alike)
    assert cohen_kappa(a, b).value == pytest.approx(cohen_kappa_score(a, b))


@pytest.mark.parametrize("gaps", [0, 0.3])
def test_alpha_is_evalica_s(gaps):
    table = ratings(60, 4, 2)
    table[np.random.default_rng(3).random(table.shape) < gaps] = None
    numbers = pd.DataFrame([[NUMBERS.get(x, math.nan) for x in row] for row in table])
    assert krippendorff_alpha(table).value == pytest.approx(evalica.alpha(numbers, "nominal").alpha)


def test_alpha_is_that_of_krippendorff_s_example():
    """Four observers, twelve units (Krippendorff 2011, Computing Krippendorff's alpha-reliability, section C)."""
    observers = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    table = [[None if x == "." else x for x in row.split()] for row in observers]
    found = krippendorff_alpha(table)
    assert found.value == pytest.approx(0.743, abs=0.0005)
    assert (found.n, found.n_unscored) == (11, 1)


def test_interval_covers_the_kappa_of_the_population_nineteen_times_in_twenty():
    true = cohen_kappa(*ratings(200_000, 2, 0), n_resamples=1).value
    found = [cohen_kappa(*ratings(120, 2, seed), n_resamples=300) for seed in range(1, 201)]
    hits = [x.ci_low <= true <= x.ci_high for x in found]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.04)


def test_clusters_of_equal_items_count_once():
    a, b = ratings(50, 2, 4)
    alone = cohen_kappa(a, b)
    copied = cohen_kappa(np.tile(a, 4), np.tile(b, 4), list(range(50)) * 4)
    assert (copied.value, copied.ci_low, copied.ci_high) == pytest.approx((alone.value, alone.ci_low, alone.ci_high))
    assert (copied.n, copied.method) == (200, "cluster-bootstrap")
    assert cohen_kappa(np.tile(a, 4), np.tile(b, 4)).se < alone.se * 0.7


def test_order_of_the_items_and_of_the_raters_changes_nothing():
    a, b = ratings(40, 2, 5)
    order = np.random.default_rng(0).permutation(40)
    assert cohen_kappa(a[order], b[order]) == cohen_kappa(a, b)
    assert cohen_kappa(b, a).value == pytest.approx(cohen_kappa(a, b).value)
    assert krippendorff_alpha([a[order], b[order]]) == krippendorff_alpha([b, a])


def test_gaps_are_unscored():
    found = cohen_kappa(["tie", None, "reference", "tie"], ["tie", "tie", None, "reference"])
    assert (found.n, found.n_unscored) == (2, 2)


def test_agreement_without_variety_or_items_is_undefined():
    assert math.isnan(cohen_kappa(["tie"] * 4, ["tie"] * 4).value)
    assert math.isnan(krippendorff_alpha([["tie"] * 4] * 3).value)
    assert cohen_kappa([], []).n == krippendorff_alpha([[], []]).n == 0
    assert cohen_kappa([None], ["tie"]).n_unscored == 1


def test_perfect_agreement_has_no_interval_of_width_zero():
    found = cohen_kappa(["tie", "reference"] * 30, ["tie", "reference"] * 30)
    assert found.value == 1
    assert math.isnan(found.ci_low)


def test_raters_with_different_numbers_of_items_are_refused():
    with pytest.raises(ValueError, match="3 categories of the first rater but 2"):
        cohen_kappa(["tie"] * 3, ["tie"] * 2)
    with pytest.raises(ValueError, match="different numbers of items: 3, 2"):
        krippendorff_alpha([["tie"] * 3, ["tie"] * 2])
