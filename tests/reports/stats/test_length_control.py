"""Length-aware win rates: the numbers of AlpacaEval and of the CroCo script, scikit-learn's fits, honest intervals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from croco_eval.reports.stats import LengthGamed, croco_length_adjusted_win_rate, length_controlled_win_rate, win_rate
from croco_eval.reports.stats.clusters import Grouping
from croco_eval.reports.stats.logistic import Fit, delta_interval, fit_logistic
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

BOTH = pytest.mark.parametrize("estimator", [length_controlled_win_rate, croco_length_adjusted_win_rate])


@pytest.fixture(scope="module")
def alpaca(shared_data):
    return json.loads((shared_data / "alpaca_eval_validation.json").read_text(encoding="utf-8"))


def preferences(model):
    """AlpacaEval's 1 (baseline), 2 (model) and 1.5 or 0 (draw) as preferences in [0, 1]."""
    raw = np.array([np.nan if x is None else x for x in model["preference"]], dtype=float)
    return np.where(raw == 0, 1.5, raw) - 1


def augmentation(alpaca):
    gamed, lengths, difficulty = alpaca["gamed"], alpaca["baseline_len"], alpaca["instruction_difficulty"]
    return [
        LengthGamed(gamed[f"surrogate_p_{x}"], gamed[f"len_{x}"], lengths, difficulty) for x in ("verbose", "concise")
    ]


def lengths_of(model, alpaca):
    return model["len_model"], model.get("len_baseline", alpaca["baseline_len"])


MODELS = ("gpt4_1106_preview", "claude-2.1_concise", "gpt-3.5-turbo-1106", "vicuna-7b-v1.5", "alpaca-7b", "gpt4_gamed")
OLDER = ("gpt-3.5-turbo-0301", "falcon-7b-instruct", "llama-2-13b-chat-hf")


def model_named(name, alpaca):
    return alpaca["models"].get(name) or alpaca["discrete_alpaca_eval_1"]["models"][name]


# Published numbers


@pytest.mark.parametrize("name", [*MODELS, *OLDER])
def test_published_length_controlled_win_rate(name, alpaca):
    model = model_named(name, alpaca)
    found = length_controlled_win_rate(
        preferences(model), *lengths_of(model, alpaca), alpaca["instruction_difficulty"], augmentation(alpaca)
    )
    assert 100 * found.value == pytest.approx(model["published"]["length_controlled_winrate"], abs=0.2)
    assert found.method.startswith("alpaca-eval+difficulty+augmentation")
    assert found.ci_low < found.value < found.ci_high


def test_every_seed_deals_folds_that_give_the_published_number(alpaca):
    model = alpaca["discrete_alpaca_eval_1"]["models"]["llama-2-13b-chat-hf"]  # folds decide most about this one
    for seed in (1, 2):
        found = length_controlled_win_rate(
            preferences(model),
            *lengths_of(model, alpaca),
            alpaca["instruction_difficulty"],
            augmentation(alpaca),
            seed=seed,
        )
        assert 100 * found.value == pytest.approx(model["published"]["length_controlled_winrate"], abs=0.2)


def test_without_augmentation_the_estimate_is_another_and_says_so(alpaca):
    model = alpaca["models"]["gpt4_gamed"]
    lengths = lengths_of(model, alpaca)
    found = length_controlled_win_rate(preferences(model), *lengths, alpaca["instruction_difficulty"])
    assert 100 * found.value > model["published"]["length_controlled_winrate"] + 10
    assert found.method == "alpaca-eval+difficulty"
    assert length_controlled_win_rate(preferences(model), *lengths).method == "alpaca-eval"


@pytest.mark.parametrize("name", MODELS[1:])
def test_croco_scripts_numbers(name, alpaca):
    model = alpaca["models"][name]
    found = croco_length_adjusted_win_rate(preferences(model), *lengths_of(model, alpaca))
    assert 100 * found.value == pytest.approx(model["croco_two_parameter_lc"], abs=1e-4)
    assert found.method == "croco-two-parameter"


def test_the_two_estimators_are_not_the_same(alpaca):
    model = alpaca["models"]["gpt-3.5-turbo-1106"]
    ours = croco_length_adjusted_win_rate(preferences(model), *lengths_of(model, alpaca)).value
    assert 100 * ours - model["published"]["length_controlled_winrate"] > 10


# The fit


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_fit_agrees_with_scikit_learn(strength, penalty):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    x, y, weights = rng.normal(0, 1, (300, 3)), rng.random(300), rng.uniform(0.1, 1, 300)
    solver = {"solver": "liblinear", "l1_ratio": 1} if penalty == "l1" else {"solver": "lbfgs", "l1_ratio": 0}
    theirs = LogisticRegression(C=strength, fit_intercept=False, tol=1e-12, max_iter=100_000, **solver)
    theirs.fit(
        np.vstack([x, x]), np.repeat([1, 0], 300), sample_weight=np.concatenate([weights * y, weights * (1 - y)])
    )
    l1, l2 = (1 / strength, 0.0) if penalty == "l1" else (0.0, 1 / strength)
    found = fit_logistic(x, y, weights[None, :], np.full(3, l1), np.full(3, l2))[0]
    assert found == pytest.approx(theirs.coef_[0], abs=2e-5)


def test_many_fits_at_once_are_the_fits_one_by_one():
    rng = np.random.default_rng(2)
    x, y, weights = rng.normal(0, 1, (80, 3)), rng.random(80), rng.uniform(0, 1, (6, 80))
    l1 = np.repeat(10.0 ** np.arange(-3, 3), 3).reshape(6, 3)
    together = fit_logistic(x, y, weights, l1, np.zeros(3))
    for i in range(6):
        alone = fit_logistic(x, y, weights[[i]], l1[[i]], np.zeros(3), start=rng.normal(0, 1, (1, 3)))[0]
        assert together[i] == pytest.approx(alone, abs=1e-8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0])
def test_fits_of_few_items_that_length_nearly_separates_end_at_the_least_loss(seed, penalty):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    length = np.sort(np.tanh(rng.normal(0, 1, 8)))
    x = np.column_stack([length, np.zeros(8), np.ones(8)])
    y = np.where(length > length[3 + seed % 3], 0.9, 0.0)
    found = fit_logistic(x, y, np.ones((1, 8)), np.full(3, penalty), np.zeros(3))[0]
    theirs = LogisticRegression(
        C=1 / penalty, solver="liblinear", l1_ratio=1, fit_intercept=False, tol=1e-10, max_iter=100_000
    )
    theirs.fit(np.vstack([x, x]), np.repeat([1, 0], 8), sample_weight=np.concatenate([y, 1 - y]))

    def loss(b):
        return (np.logaddexp(0, x @ b) - y * (x @ b)).sum() + penalty * np.abs(b).sum()

    assert np.isfinite(found).all()
    assert loss(found) <= loss(theirs.coef_[0]) + 1e-9


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([[-0.97, 0.0, 1.0]], [0.9], [0, 0, math.log(9)]),
        ([[-1.0, 0.0, 1.0]] * 2, [0.5, 0.9], [0, 0, math.log(7 / 3)]),
        ([[1.0, 0.0, 1.0]], [0.2], [0, 0, -math.log(4)]),
    ],
    ids=["nearly collinear", "collinear", "collinear and losing"],
)
def test_collinear_features_have_a_fit_by_the_one_that_says_it_alone(x, y, expected):
    """The length term and the candidate's own are one feature in a fold of one item."""
    found = fit_logistic(np.array(x), np.array(y), np.ones((1, len(y))), np.full(3, 1e-9), np.zeros(3))[0]
    assert found == pytest.approx(expected, abs=1e-6)


def test_fit_without_end_is_refused():
    x = np.array([[-1.0], [1.0]])
    with pytest.raises(ValueError, match="no finite fit"):
        fit_logistic(x, np.array([0.0, 1.0]), np.ones((1, 2)), np.zeros(1), np.zeros(1))


# Intervals


def _judged(rng, n, theta, phi, clusters=None):
    """Preferences with ties from the CroCo script's own model, with shared leanings in clusters."""
    ours, theirs = rng.gamma(4, 100, n), rng.gamma(4, 90, n)
    length = np.tanh((ours - theirs) / (ours - theirs).std())
    shared = 0.0 if clusters is None else rng.normal(0, 1, clusters.max() + 1)[clusters]
    p = expit(theta + phi * length + shared)
    return (rng.random((2, n)) < p).mean(axis=0), ours, theirs


def test_interval_agrees_with_a_cluster_bootstrap():
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(100), 4)
    y, ours, theirs = _judged(rng, 400, 0.5, 1.0, clusters)
    found = croco_length_adjusted_win_rate(y, ours, theirs, clusters)
    values = []
    for _ in range(300):
        rows = (4 * rng.integers(0, 100, 100)[:, None] + np.arange(4)).ravel()
        values.append(croco_length_adjusted_win_rate(y[rows], ours[rows], theirs[rows]).value)
    assert found.se == pytest.approx(np.std(values), rel=0.15)
    low, high = np.quantile(values, [0.025, 0.975])
    assert (found.ci_low, found.ci_high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))
    assert found.se > 1.2 * croco_length_adjusted_win_rate(y, ours, theirs).se


@pytest.mark.parametrize(("n", "theta"), [(50, 0.3), (200, 1.5)])
def test_croco_intervals_hold_the_truth(n, theta):
    rng = np.random.default_rng(20251101)
    found = [croco_length_adjusted_win_rate(*_judged(rng, n, theta, 0.8)) for _ in range(300)]
    assert 0.92 <= np.mean([x.ci_low <= expit(theta) <= x.ci_high for x in found]) <= 0.975


def test_alpaca_intervals_hold_the_truth(at_least):
    rng = np.random.default_rng(20251102)
    found = [length_controlled_win_rate(*_judged(rng, 80, 0.4, 0.8)) for _ in range(60)]
    at_least([x.ci_low <= expit(0.4) <= x.ci_high for x in found], 0.95)


def test_longer_answers_that_win_only_by_length_do_not_win(at_least):
    rng = np.random.default_rng(20251103)
    raw, adjusted = [], []
    for _ in range(40):
        ours, theirs = rng.gamma(4, 150, 400), rng.gamma(4, 100, 400)
        length = np.tanh((ours - theirs) / (ours - theirs).std())
        y = (rng.random(400) < expit(2 * length)).astype(float)
        raw.append(win_rate(y, n_resamples=100).estimate.value)
        found = croco_length_adjusted_win_rate(y, ours, theirs)
        adjusted.append(found.ci_low <= 0.5 <= found.ci_high)
    assert min(raw) > 0.55
    at_least(adjusted, 0.93)


# What is undefined, and refused


@BOTH
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_preferences_that_all_agree_are_returned_with_room(estimator, value):
    rng = np.random.default_rng(4)
    found = estimator([value] * 50, rng.gamma(4, 100, 50), rng.gamma(4, 100, 50))
    assert found.value == value
    assert 0 <= found.ci_low < found.ci_high <= 1
    assert found.ci_low <= value <= found.ci_high
    assert found.method.endswith("no-spread")


@BOTH
@pytest.mark.parametrize("n", [0, 3])
def test_nothing_judged_gives_nan(estimator, n):
    found = estimator([None] * n, [1.0] * n, [1.0] * n)
    assert math.isnan(found.value)
    assert (found.n, found.n_unscored, found.method) == (0, n, "none")


@BOTH
def test_one_item_or_one_cluster_has_a_value_and_no_interval(estimator):
    one = estimator([1.0], [10.0], [20.0])
    assert one.value == 1.0
    assert math.isnan(one.ci_low)
    several = estimator([1.0, 0.0, 1.0], [10.0, 20.0, 30.0], [20.0, 10.0, 10.0], clusters=["a"] * 3)
    assert 0 < several.value < 1
    assert math.isnan(several.ci_low)


@BOTH
@pytest.mark.parametrize("shift", [0.0, 25.0])
def test_lengths_that_never_differ_or_always_alike_change_nothing(estimator, shift):
    rng = np.random.default_rng(5)
    y, theirs = rng.choice([0.0, 0.5, 1.0], 200, p=[0.2, 0.2, 0.6]), np.round(rng.gamma(4, 100, 200))
    assert estimator(y, theirs + shift, theirs).value == pytest.approx(y.mean(), abs=0.02)


@BOTH
def test_two_items_that_length_tells_apart_stay_finite(estimator):
    found = estimator([1.0, 0.0], [200.0, 100.0], [100.0, 200.0])
    assert found.value == pytest.approx(0.5)
    assert 0 <= found.ci_low <= found.ci_high <= 1


@BOTH
def test_every_handful_of_judged_items_has_a_finite_value(estimator):
    rng = np.random.default_rng(8)
    for i in range(60):
        n = int(rng.integers(2, 13))
        ours, theirs = np.round(rng.gamma(1, 100, (2, n)))
        y = rng.choice([0.0, 1.0], n) if i % 2 else np.round(rng.random(n), 1)
        y = np.sort(y)[np.argsort(np.argsort(ours - theirs))] if i % 3 == 0 else y
        found = estimator(y, ours, theirs, clusters=rng.integers(0, max(1, n // 2), n) if i % 5 == 0 else None)
        assert 0 <= found.value <= 1
        assert math.isnan(found.ci_low) or 0 <= found.ci_low <= found.value <= found.ci_high <= 1


@pytest.mark.parametrize("sign", [1, -1])
def test_a_model_that_is_certain_has_an_interval(sign):
    """Two short wins amid long losses: the fit puts the whole verdict on a logit of -1,248, or of +1,248."""
    length = [-0.94, -0.57, -0.5, -0.35, -0.21, -0.05, 0.04, 0.5732, 0.5943, 0.623, 0.6258, 0.9813]
    x = np.column_stack([length, np.zeros(12), np.ones(12)])
    y = np.array([0.0] * 10 + [1.0] * 2) if sign == 1 else np.array([1.0] * 10 + [0.0] * 2)
    found = Fit.of(x, y, 1e-4, np.zeros(3)).mean_prediction(x * [0, 1, 1])
    estimate = delta_interval(found, Grouping.of(12, None), 0.95, 0, "m")
    assert found.value == pytest.approx(0 if sign == 1 else 1, abs=1e-100)
    assert 0 <= estimate.ci_low <= estimate.value <= estimate.ci_high <= 1


@BOTH
def test_items_with_anything_missing_are_left_out(estimator):
    rng = np.random.default_rng(6)
    y, ours, theirs = _judged(rng, 60, 0.3, 1.0)
    plain = estimator(y, ours, theirs)
    found = estimator([None, 1.0, 0.0, *y], [10.0, math.nan, 10.0, *ours], [10.0, 10.0, None, *theirs])
    assert (found.value, found.ci_low, found.n, found.n_unscored) == (plain.value, plain.ci_low, 60, 3)


@BOTH
@pytest.mark.parametrize(
    ("y", "ours", "theirs", "match"),
    [
        ([1.0, 0.0], [1.0], [1.0, 2.0], "2 preferences but 1"),
        ([1.0, 1.5], [1.0, 2.0], [1.0, 2.0], r"\[0, 1\]"),
        ([1.0, 0.0], [1.0, -2.0], [1.0, 2.0], "negative"),
        ([1.0, 0.0], [1.0, math.inf], [1.0, 2.0], "finite"),
    ],
)
def test_bad_input_is_refused_by_name(estimator, y, ours, theirs, match):
    with pytest.raises(ValueError, match=match):
        estimator(y, ours, theirs)


def test_difficulty_is_given_everywhere_or_nowhere(alpaca):
    model = alpaca["models"]["alpaca-7b"]
    arguments = preferences(model), *lengths_of(model, alpaca)
    with pytest.raises(ValueError, match="difficulty"):
        length_controlled_win_rate(*arguments, augmentation=augmentation(alpaca))
    with pytest.raises(ValueError, match="difficult"):
        length_controlled_win_rate(*arguments, instruction_difficulty=[0.0] * 3)


@BOTH
@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1).map(np.random.default_rng), st.booleans())
def test_order_of_rows_changes_nothing(estimator, rng, clustered):
    n = int(rng.integers(5, 60))
    y, ours, theirs = _judged(rng, n, 0.5, 1.0)
    clusters = rng.integers(0, n // 2, n) if clustered else None
    order = rng.permutation(n)
    moved = None if clusters is None else clusters[order]
    found, again = (
        estimator(y, ours, theirs, clusters=clusters),
        estimator(y[order], ours[order], theirs[order], clusters=moved),
    )
    assert repr(found) == repr(again)


@BOTH
def test_swapping_the_systems_turns_the_value(estimator):
    y, ours, theirs = _judged(np.random.default_rng(7), 150, 0.5, 1.0)
    found, swapped = estimator(y, ours, theirs), estimator(1 - y, theirs, ours)
    assert swapped.value == pytest.approx(1 - found.value, abs=0.01)
