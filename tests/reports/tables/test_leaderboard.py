"""The leaderboard of one run, and of several that are joined: what is ranked, what is flagged, what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from croco_eval.harness.errors import StoreError, UserError
from croco_eval.harness.store.files import read_json, write_json
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.reports.commands.leaderboard import leaderboard as command
from croco_eval.reports.records.merge import merge_runs
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.tables.leaderboard import LEADING_COLUMNS, leaderboard
from croco_eval.reports.tables.scores import score_table
from helpers.hand_built import write_quiz
from typer.testing import CliRunner

RULES = Rules(n_resamples=500)
N = 60


def answers(rate: float, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {x: (rng.random(N) < rate).astype(float) for x in ("da", "de")}


BASE, GOOD, BAD = answers(0.5, 1), answers(0.95, 2), answers(0.1, 3)
IDENTITIES = {"base": {"model": "b"}, "good": {"model": "g"}, "bad": {"model": "x"}, "other": {"model": "o"}}


def quiz(folder: Path, *systems: str, **values) -> Path:
    known = {"base": BASE, "good": GOOD, "bad": BAD, "other": answers(0.5, 4), **values}
    return write_quiz(folder, {x: known[x] for x in systems}, identities=IDENTITIES)


def resign(folder: Path, system: str, language: str, signature: str) -> None:
    file = RunDirectory(folder).cell(system, "quiz", language).path / "cell.json"
    write_json(file, {**read_json(file), "signature": signature})


def board(*folders: Path) -> pd.DataFrame:
    data = merge_runs(folders).data if len(folders) > 1 else RunData(folders[0])
    return leaderboard(data, score_table(data), RULES).set_index("system")


# One run


def test_clear_differences_give_narrow_ranks_and_letters_of_their_own(tmp_path):
    found = board(quiz(tmp_path / "run", "base", "good", "bad", "other"))
    assert found.index.tolist()[0] == "good"
    assert found.index.tolist()[-1] == "bad"
    assert found["letters"].to_dict() == {"good": "a", "base": "b", "other": "b", "bad": "c"}
    assert found.loc["good", ["rank", "mean_rank", "mean_rank_low", "mean_rank_high"]].tolist() == [1, 1, 1, 1]
    assert found.loc["base", "mean_rank_low"] < found.loc["base", "mean_rank_high"]


def test_order_of_the_systems_changes_no_row(tmp_path):
    one = board(quiz(tmp_path / "one", "base", "good", "bad"))
    two = board(quiz(tmp_path / "two", "bad", "good", "base"))
    pd.testing.assert_frame_equal(one.drop(columns="is_reference"), two.drop(columns="is_reference"))


def test_another_system_changes_no_value_of_the_others(tmp_path):
    one = board(quiz(tmp_path / "one", "base", "good"))
    two = board(quiz(tmp_path / "two", "base", "bad", "good"))
    values = [x for x in one if x.startswith("quiz.")]
    pd.testing.assert_frame_equal(one[values], two.loc[one.index, values])


def test_values_that_came_about_differently_are_shown_flagged_and_not_ranked(tmp_path):
    folder = quiz(tmp_path / "run", "base", "good", "bad")
    resign(folder, "good", "de", "suite:quiz|data:de1|seed:0|chat:no")
    found = board(folder)
    assert found.loc["good", "flags"] == "quiz.all: chat (no, nothing)"
    assert found.loc["good", "quiz.all"] == pytest.approx(np.mean([GOOD["da"], GOOD["de"]]))
    assert pd.isna(found.loc["good", "rank"])
    assert found.loc[["base", "bad"], "rank"].tolist() == [1, 2]
    assert found.index.tolist()[-1] == "good"
    assert found.loc["good", "letters"] == ""


def test_system_that_lacks_a_language_is_flagged(tmp_path):
    folder = quiz(tmp_path / "run", "base", "good", bad=BAD)
    (RunDirectory(folder).cell("good", "quiz", "de").path / "cell.json").unlink()
    assert board(folder).loc["good", "flags"] == "quiz.all: no de"


def test_run_of_one_system_has_a_rank_and_a_letter(tmp_path):
    found = board(quiz(tmp_path / "run", "base"))
    assert found.loc["base", ["rank", "mean_rank", "letters"]].tolist() == [1, 1, "a"]


# Several runs


def test_systems_of_several_runs_stand_together_and_a_shared_one_once(tmp_path):
    one, two = quiz(tmp_path / "one", "base", "good"), quiz(tmp_path / "two", "base", "bad")
    joined = merge_runs([one, two])
    assert joined.runs == {"base": ["one", "two"], "good": ["one"], "bad": ["two"]}
    assert joined.notes == []
    together = board(quiz(tmp_path / "all", "base", "good", "bad"))
    pd.testing.assert_frame_equal(board(one, two), together)


def test_same_name_for_another_system_is_kept_apart(tmp_path):
    one = quiz(tmp_path / "one", "base", "good")
    two = write_quiz(tmp_path / "two", {"base": BASE, "good": BAD}, identities={**IDENTITIES, "good": {"model": "z"}})
    found = board(one, two)
    assert set(found.index) == {"base", "good", "good@two"}
    assert found.loc["good@two", "quiz.all"] == pytest.approx(np.mean([BAD["da"], BAD["de"]]))


def test_suites_of_several_runs_complete_each_other(tmp_path):
    one = quiz(tmp_path / "one", "base", "good")
    two = write_quiz(
        tmp_path / "two",
        {"base": {}, "good": {}},
        preferences={"good": {"da": [1.0] * 30, "de": [0.5] * 30}},
        identities=IDENTITIES,
    )
    found = board(one, two)
    assert found.loc["good", "quiz.all.n"] == 2 * N
    assert found.loc["good", "chat.all.win_rate[j]"] == 0.75
    assert found.loc["base", "chat.all.win_rate[j]"] == 0.5


def test_win_rates_over_another_reference_are_left_out_and_named(tmp_path):
    preferences = {"da": [1.0] * 30, "de": [0.5] * 30}
    one = write_quiz(
        tmp_path / "one", {"base": {}, "good": {}}, preferences={"good": preferences}, identities=IDENTITIES
    )
    two = write_quiz(
        tmp_path / "two", {"other": {}, "bad": {}}, preferences={"bad": preferences}, identities=IDENTITIES
    )
    joined = merge_runs([one, two])
    assert joined.notes == ["win rates of two are over another reference (other) and are left out"]
    assert set(joined.data.preferences["candidate"]) == {"good"}


def invoke(*arguments: object):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(x) for x in arguments])


def test_command_writes_one_file_for_all_runs(tmp_path):
    one, two = quiz(tmp_path / "one", "base", "good"), quiz(tmp_path / "two", "base", "bad")
    result = invoke(one, two, "--out", tmp_path / "board.csv")
    assert result.exit_code == 0, result.exception
    assert "good" in result.output
    with (tmp_path / "board.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["schema_version", "run", "system"]
    assert [(x["system"], x["run"], x["rank"]) for x in rows] == [
        ("good", "one", "1"),
        ("base", "one+two", "2"),
        ("bad", "two", "3"),
    ]


def test_one_run_has_no_column_of_runs(tmp_path):
    assert invoke(quiz(tmp_path / "run", "base", "good"), "--out", tmp_path / "board.csv").exit_code == 0
    head = (tmp_path / "board.csv").read_text(encoding="utf-8").splitlines()[0]
    assert head.startswith(",".join(LEADING_COLUMNS) + ",quiz.all,quiz.all.ci_low")


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("suite:quiz|data:da2|seed:0", r"bad: quiz.all: data \(da2, da1\)"),
        ("suite:quiz|data:da1|seed:1", r"bad: quiz.all: seed \(1, 0\)"),
    ],
)
def test_runs_whose_scores_came_about_differently_are_refused_or_flagged(tmp_path, signature, reason):
    one, two = quiz(tmp_path / "one", "base", "good"), quiz(tmp_path / "two", "other", "bad")
    resign(two, "bad", "da", signature)
    result = invoke(one, two, "--out", tmp_path / "board.csv")
    assert isinstance(result.exception, UserError)
    assert not (tmp_path / "board.csv").exists()
    with pytest.raises(UserError, match=f"can't stand in one ranking: {reason}"):
        raise result.exception
    assert invoke(one, two, "--flag", "--out", tmp_path / "board.csv").exit_code == 0
    assert "not ranked with the others: bad" in invoke(one, two, "--flag", "--out", tmp_path / "board.csv").output


def test_cell_that_two_runs_made_differently_for_one_system_is_refused(tmp_path):
    one, two = quiz(tmp_path / "one", "base", "good"), quiz(tmp_path / "two", "base", "bad")
    resign(two, "base", "da", "suite:quiz|data:da2|seed:0")
    result = invoke(one, two, "--out", tmp_path / "board.csv")
    assert "base quiz da: two differs from the run before it in data (da1, da2), and is left out" in str(
        result.exception
    )


def test_preferences_that_two_runs_judged_differently_are_named(tmp_path):
    preferences = {"good": {"da": [1.0] * 30, "de": [0.5] * 30}}
    one, two = (
        write_quiz(tmp_path / x, {"base": {}, "good": {}}, preferences=preferences, identities=IDENTITIES)
        for x in ("one", "two")
    )
    assert merge_runs([one, two]).notes == []
    file = RunDirectory(two).judgments("j", "good", "base", "chat", "da").path / "cell.json"
    write_json(file, {**read_json(file), "signature": "judge:j|suite:chat|data:da1|seed:1"})
    assert merge_runs([one, two]).notes == [
        "j good chat da: two differs from the run before it in seed (0, 1), and is left out"
    ]


def test_other_languages_are_refused(tmp_path):
    one = quiz(tmp_path / "one", "base", "good")
    two = write_quiz(tmp_path / "two", {"base": {"da": BASE["da"]}, "bad": {"da": BAD["da"]}}, identities=IDENTITIES)
    result = invoke(one, two, "--out", tmp_path / "board.csv")
    assert "bad: quiz.all: no de" in str(result.exception)


def test_folder_that_is_no_run_and_run_named_twice_are_refused(tmp_path):
    one = quiz(tmp_path / "one", "base")
    with pytest.raises(StoreError, match="not a run directory"):
        merge_runs([one, tmp_path])
    with pytest.raises(UserError, match="named twice"):
        merge_runs([one, tmp_path / "." / "one"])
