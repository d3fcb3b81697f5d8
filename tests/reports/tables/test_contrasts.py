"""Ways of tuning against each other: directly, on shared items, as one family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from croco_eval.harness.errors import UserError
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.stats.multiplicity import holm
from croco_eval.reports.stats.permutation import sign_flip_permutation
from croco_eval.reports.stats.proportions import mcnemar_exact
from croco_eval.reports.tables.all import write_tables
from croco_eval.reports.tables.comparisons import comparison_table
from croco_eval.reports.tables.contrasts import POLICY_COLUMNS, policy_table
from helpers.hand_built import write_config, write_quiz

RULES = Rules(n_resamples=1000)
SYSTEMS = ("base", "dpo", "dpo_off", "sft")
ARMS = {"on_policy": "dpo", "off_policy": "dpo_off", "dpo": "dpo", "sft": "sft", "mono": "sft"}
N = 100


def draws(seed: int, choices=(0.0, 1.0)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {x: rng.choice(choices, N) for x in ("da", "cy")}


VALUES = {x: draws(i, (0.0, 1.0, 1.0) if x == "dpo" else (0.0, 1.0)) for i, x in enumerate(SYSTEMS)}
PREFERENCES = {x: draws(10 + i, (0.0, 0.5, 1.0)) for i, x in enumerate(SYSTEMS[1:])}


@pytest.fixture
def run(tmp_path) -> Path:
    return write_quiz(tmp_path / "run", VALUES, preferences=PREFERENCES)


def test_arms_are_paired_with_each_other_and_not_through_the_reference(run):
    table = policy_table(RunData(run), ARMS, RULES)
    assert tuple(table.columns) == POLICY_COLUMNS
    found = table[table["contrast"].eq("on_policy vs off_policy") & table["language"].eq("da")].set_index("metric")
    quiz, chat = found.loc["score"], found.loc["win_rate[j]"]
    assert (quiz["candidate"], quiz["reference"]) == ("dpo", "dpo_off")
    assert quiz["p_value"] == mcnemar_exact(VALUES["dpo"]["da"], VALUES["dpo_off"]["da"]).p_value
    order = np.argsort([f"m{i}/da" for i in range(N)])
    differences = (PREFERENCES["dpo"]["da"] - PREFERENCES["dpo_off"]["da"])[order]
    assert chat["p_value"] == sign_flip_permutation(differences, n_resamples=1000).p_value
    assert chat["mean_reference"] == pytest.approx(PREFERENCES["dpo_off"]["da"].mean())


def test_contrasts_without_both_arms_are_left_out(run):
    data = RunData(run)
    assert set(policy_table(data, ARMS, RULES)["contrast"]) == {"on_policy vs off_policy", "dpo vs sft"}
    assert policy_table(data, {"on_policy": "dpo", "mono": "sft"}, RULES).empty


def test_all_contrasts_suites_languages_and_pooled_rows_are_one_family(run):
    table = policy_table(RunData(run), ARMS, RULES)
    assert len(table) == 2 * 2 * 3
    assert set(table["scope"]) == {"language", "all"}
    assert table["p_adjusted"].min() < 0.5
    assert table["p_adjusted"].to_numpy() == pytest.approx(holm(table["p_value"].to_numpy()))
    assert table["p_noninferior_adjusted"].to_numpy() == pytest.approx(holm(table["p_noninferior"].to_numpy()))


def test_raw_numbers_are_those_of_the_comparison(run):
    data = RunData(run)
    one = policy_table(data, ARMS, RULES)
    two = comparison_table(data, RULES, [("dpo", "dpo_off")])
    part = one[one["contrast"].eq("on_policy vs off_policy")].reset_index(drop=True)
    for column in ("n", "difference", "ci_low", "ci_high", "p_value", "p_noninferior", "mde", "method"):
        assert part[column].equals(two[column])


def test_arm_may_be_the_reference_of_the_run(run):
    table = policy_table(RunData(run), {"dpo": "dpo", "sft": "base"}, RULES)
    chat = table[table["metric"].eq("win_rate[j]")]
    assert set(chat["mean_reference"]) == {0.5}


def test_arms_of_the_config_are_compared_when_the_tables_are_written(tmp_path):
    run = write_quiz(tmp_path / "run", VALUES)
    write_tables(RunData(run))
    assert not (run / "policy.csv").exists()
    write_config(run, SYSTEMS, ["quiz"], arms={"on_policy": "dpo", "off_policy": "dpo_off", "sft": "sft"})
    write_tables(RunData(run))
    text = (run / "policy.csv").read_text(encoding="utf-8")
    assert "on_policy vs off_policy,dpo,dpo_off,quiz,score,language,da," in text
    assert "dpo vs sft,dpo,sft,quiz,score,all,all," in text
    write_config(run, SYSTEMS, ["quiz"])
    write_tables(RunData(run))
    assert not (run / "policy.csv").exists()


def test_rules_and_tuned_languages_come_from_the_config(run):
    write_config(
        run,
        SYSTEMS,
        ["quiz"],
        seed=7,
        statistics={"alpha": 0.1, "correction": "bh", "margins": {"quiz": 0.1}, "tuned": ["cy"]},
    )
    settings = RunData(run).settings
    assert (settings.rules.alpha, settings.rules.correction, settings.rules.seed) == (0.1, "bh", 7)
    assert (settings.rules.margin_of("quiz"), settings.rules.margin_of("chat")) == (0.1, 0.02)
    assert settings.tuned == ("cy",)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"statistics": {"alfa": 0.1}}, "unknown key 'statistics.alfa' - did you mean 'alpha'"),
        ({"statistics": {"margin": -0.1}}, "statistics.margin: input should be greater than 0"),
        (
            {"statistics": {"margins": {"quizz": 0.1}}},
            r"'quizz' is not one of the suites \(quiz\) - did you mean 'quiz'",
        ),
        ({"statistics": {"tuned": ["xx"]}}, "statistics.tuned: unknown language 'xx'"),
        ({"arms": {"on_policy": "dp"}}, r"on_policy: 'dp' is not one of the systems .* did you mean 'dpo'"),
        ({"arms": {"on_polcy": "dpo"}}, "unknown key 'arms.on_polcy' - did you mean 'on_policy'"),
        ({"arms": {"multi": "dpo", "mono": "dpo"}}, "multi and mono are both 'dpo'; name two systems"),
    ],
)
def test_wrong_config_is_refused_with_a_sentence(run, sections, message):
    write_config(run, SYSTEMS, ["quiz"], **sections)
    with pytest.raises(UserError, match=message):
        _ = RunData(run).settings
