"""``checkpoints.csv``: learning curves, the best checkpoint and the one to keep."""

from __future__ import annotations

import numpy as np
import pytest
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.settings import Training
from croco_eval.reports.tables.checkpoints import CHECKPOINT_COLUMNS, best_and_kept, checkpoint_table
from croco_eval.reports.tables.comparisons import comparison_table
from helpers.hand_built import quiz_data

RULES = Rules(n_resamples=2000)
LANGUAGES = ("da", "de")
STEPS = (10, 20, 30, 40)
TRAINING = Training("run", tuple(f"run-{x}" for x in STEPS), STEPS)


def right(share, seed, n=240, base=None, moved=0.1):
    """Right-or-wrong items: those of ``base``, some of them moved so that about ``share`` more are right."""
    rng = np.random.default_rng(seed)
    if base is None:
        return (rng.random(n) < share).astype(float)
    up, down = moved + max(share, 0), moved + max(-share, 0)
    flip = np.where(base == 0, rng.random(n) < up, rng.random(n) < down)
    return np.where(flip, 1 - base, base)


def learning(gains, seed=0):
    """A base and the checkpoints of one training run, with these shares of items gained."""
    base = {x: right(0.5, seed + i) for i, x in enumerate(LANGUAGES)}
    values = {"base": base}
    for k, gain in enumerate(gains):
        values[f"run-{STEPS[k]}"] = {x: right(gain, 100 + 10 * k + i + seed, base=base[x]) for i, x in enumerate(base)}
    return values


def table(values, training=TRAINING, rules=RULES):
    return checkpoint_table(quiz_data(values), [training], rules)


@pytest.fixture(scope="module")
def rising():
    """Worse, as good, better, better."""
    return table(learning([-0.3, 0.0, 0.3, 0.3]))


def test_rows_stand_by_scope_and_step(rising):
    assert list(rising.columns) == list(CHECKPOINT_COLUMNS)
    assert rising["language"].tolist() == [x for x in ("da", "de", "all") for _ in STEPS]
    assert rising["step"].tolist() == [*STEPS] * 3
    assert set(rising["training"]) == {"run"}
    assert rising["system"].tolist() == list(TRAINING.systems) * 3


def test_numbers_are_those_of_the_comparisons(rising):
    compared = comparison_table(quiz_data(learning([-0.3, 0.0, 0.3, 0.3])), RULES)
    both = rising.merge(compared, left_on=["system", "language"], right_on=["candidate", "language"])
    for column in ("n", "difference", "ci_low", "ci_high", "p_value", "mean_candidate"):
        assert both[f"{column}_x"].tolist() == both[f"{column}_y"].tolist()


def test_significant_steps_are_marked_and_adjusted_p_values_are_no_smaller_than_raw_ones(rising):
    whole = rising[rising["language"].eq("all")].set_index("step")
    assert whole["verdict"].tolist() == ["forgot", "inconclusive", "improved", "improved"]
    assert (rising["p_adjusted"] >= rising["p_value"]).all()


def test_earliest_checkpoint_that_cannot_be_told_from_the_best_is_kept(rising):
    ((best, kept),) = best_and_kept(rising)
    assert best["step"] in (30, 40)
    assert kept["step"] == 30
    whole = rising[rising["language"].eq("all")].set_index("step")
    assert (whole.loc[[10, 20], "p_best"] < 0.05).all()
    assert whole["share_best"].sum() == pytest.approx(1)
    assert best["gain_low"] < best["gain_corrected"] <= best["gain"] < best["gain_high"]


def test_choice_stands_in_the_widest_scope_alone(rising):
    alone = rising[rising["scope"].eq("language")]
    assert alone["choice"].isna().all()
    assert alone["gain"].isna().all()


def test_without_true_differences_the_first_checkpoint_is_kept_and_its_gain_is_luck():
    gains = [next(best_and_kept(table(learning([0.0] * 4, seed=1000 * k)))) for k in range(12)]
    naive = np.mean([best["gain"] for best, _ in gains])
    corrected = np.mean([best["gain_corrected"] for best, _ in gains])
    assert naive > 0.01
    assert abs(corrected) < naive / 2
    assert sum(kept["step"] == 10 for _, kept in gains) >= 10


def test_order_of_systems_changes_nothing_and_steps_are_sorted():
    values = learning([-0.3, 0.0, 0.3, 0.3])
    backwards = {"base": values["base"], **{x: values[x] for x in reversed(TRAINING.systems)}}
    assert table(backwards).equals(table(values))


def test_another_training_run_changes_no_number():
    values = learning([0.0, 0.1, 0.2, 0.3])
    other = {f"other-{k}": values[x] for k, x in zip(STEPS, TRAINING.systems, strict=True)}
    second = Training("other", tuple(other), STEPS)
    both = checkpoint_table(quiz_data({**values, **other}), [TRAINING, second], RULES)
    assert both[both["training"].eq("run")].equals(table(values))


def test_checkpoint_that_lacks_a_language_is_shown_and_not_chosen():
    values = learning([0.0, 0.1, 0.2, 0.3])
    values["run-40"] = {"da": values["run-40"]["da"]}
    found = table(values)
    whole = found[found["language"].eq("all")].set_index("step")
    assert whole.loc[40, "n"] == 240
    assert np.isnan(whole.loc[40, "gain"])
    assert whole.loc[[10, 20, 30], "gain"].notna().all()
    missing = found[found["language"].eq("de") & found["step"].eq(40)].iloc[0]
    assert (missing["n"], missing["verdict"]) == (0, "inconclusive")


def test_unscored_items_are_left_out_and_counted():
    values = learning([0.0, 0.1, 0.2, 0.3])
    values["run-20"]["da"] = [None] * 40 + list(values["run-20"]["da"][40:])
    found = table(values)
    row = found[found["language"].eq("da") & found["step"].eq(20)].iloc[0]
    assert (row["n"], row["unscored_candidate"]) == (200, 40)
    assert found["gain"].notna().sum() == 4


def test_single_checkpoint_is_best_and_kept():
    ((best, kept),) = best_and_kept(table(learning([0.2]), Training("run", ("run-10",), (10,))))
    assert best["choice"] == "best keep"
    assert kept["step"] == 10
    assert best["gain_corrected"] == pytest.approx(best["gain"])


def test_run_without_checkpoints_gives_an_empty_table():
    assert checkpoint_table(quiz_data(learning([0.1])), [], RULES).empty
