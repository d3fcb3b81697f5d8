"""Corrections for several tests: statsmodels' numbers, gaps left alone, and the error rates they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from croco_eval.reports.stats import benjamini_hochberg, holm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

METHODS = [(holm, "holm"), (benjamini_hochberg, "fdr_bh")]
p_values = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 1.0]), min_size=1, max_size=30)


@pytest.mark.parametrize(("correct", "name"), METHODS)
@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_adjusted_values_are_those_of_statsmodels(correct, name, n):
    p = np.random.default_rng(n).choice([0.0, 0.003, 0.01, 0.01, 0.05, 0.2, 0.7, 1.0], n)
    assert correct(p) == pytest.approx(multipletests(p, method=name)[1], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("correct", "name"), METHODS)
@settings(max_examples=30, deadline=None, derandomize=True)
@given(p_values, st.randoms(use_true_random=False))
def test_tests_that_were_not_possible_stay_so_and_do_not_count(correct, name, p, rng):
    gaps = [math.nan] * 3
    mixed = [*p, *gaps]
    order = rng.sample(range(len(mixed)), len(mixed))
    found = correct([mixed[i] for i in order])
    back = np.empty(len(mixed))
    back[order] = found
    assert back == pytest.approx([*correct(p), *gaps], nan_ok=True)
    assert (found[~np.isnan(found)] >= 0).all()


@pytest.mark.parametrize(("correct", "name"), METHODS)
def test_no_p_values_give_none(correct, name):
    assert len(correct([])) == 0
    assert np.isnan(correct([math.nan, None])).all()


@pytest.mark.parametrize(("correct", "name"), METHODS)
def test_one_p_value_stays_as_it_is(correct, name):
    assert correct([0.03]).tolist() == [0.03]


@pytest.mark.parametrize(("correct", "name"), METHODS)
@pytest.mark.parametrize("bad", [[-0.1], [1.1], [0.5, math.inf], [[0.1, 0.2]]])
def test_values_that_are_no_p_values_are_refused(correct, name, bad):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        correct(bad)


def test_input_is_not_changed():
    p = np.array([0.01, 0.02, 0.5])
    for correct, _ in METHODS:
        correct(p)
    assert p.tolist() == [0.01, 0.02, 0.5]


def test_holm_keeps_the_rate_of_families_with_any_error_at_alpha(at_most):
    rng = np.random.default_rng(20250906)
    families = rng.random((3000, 14))
    families[:, :4] *= 1e-4  # four true effects
    at_most([holm(x)[4:].min() <= 0.05 for x in families], 0.05)
    assert (families[:, 4:].min(axis=1) <= 0.05).mean() > 0.35


def test_benjamini_hochberg_keeps_the_share_of_false_discoveries():
    rng = np.random.default_rng(20250907)
    families = rng.random((2000, 14))
    families[:, :4] *= 0.01
    found = np.array([benjamini_hochberg(x) <= 0.1 for x in families])
    share = (found[:, 4:].sum(axis=1) / np.maximum(found.sum(axis=1), 1)).mean()
    assert share == pytest.approx(0.1 * 10 / 14, abs=0.01)
