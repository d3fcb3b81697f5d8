"""``croco-eval compare``: what it writes and prints, and whose rules it goes by."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import typer
from croco_eval.harness.errors import CrocoError, StoreError, UserError
from croco_eval.reports.commands.compare import compare
from croco_eval.reports.records.comparison import COMPARISON_COLUMNS
from helpers.hand_built import write_config, write_quiz
from typer.testing import CliRunner

N = 300
RIGHT = np.r_[np.ones(N // 2), np.zeros(N // 2)]
LANGUAGES = ("da", "cy")
VALUES = {
    "base": dict.fromkeys(LANGUAGES, RIGHT),
    "better": dict.fromkeys(LANGUAGES, np.r_[RIGHT[:170] * 0 + 1, RIGHT[170:]]),
    "worse": {"da": np.r_[np.zeros(60), RIGHT[60:]], "cy": RIGHT},
}


@pytest.fixture
def run(tmp_path) -> Path:
    return write_quiz(tmp_path / "run", VALUES)


def invoke(*arguments: object) -> tuple[int, str, BaseException | None]:
    app = typer.Typer()
    app.command()(compare)
    result = CliRunner().invoke(app, [str(x) for x in arguments], env={"COLUMNS": "80"})
    return result.exit_code, result.output, result.exception


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "comparisons.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_system_is_compared_with_the_reference(run):
    code, _, error = invoke(run)
    assert (code, error) == (0, None)
    found = rows(run)
    assert list(found[0]) == list(COMPARISON_COLUMNS)
    assert [(x["candidate"], x["reference"]) for x in found] == [("better", "base")] * 3 + [("worse", "base")] * 3
    verdicts = {(x["candidate"], x["language"]): x["verdict"] for x in found}
    assert verdicts["better", "da"] == verdicts["better", "all"] == "improved"
    assert (verdicts["worse", "da"], verdicts["worse", "cy"]) == ("forgot", "matched")


def test_tables_and_sentences_are_printed_and_fit_a_terminal(run):
    output = invoke(run)[1]
    assert "worse against base: quiz" in output
    lines = output.splitlines()
    assert (
        "worse in quiz: at or above base in 1 of 2 languages: "
        "0 improved, 1 non-inferior at 2 points; 1 forgot; 0 inconclusive."
    ) in lines
    (da,) = [x for x in lines if x.startswith("da ") and "forgot" in x]
    assert da.split() == [
        "da",
        "300",
        "0/0",
        "0.300",
        "0.500",
        "-0.200",
        *da.split()[6:8],
        "0.000",
        da.split()[9],
        "forgot",
    ]
    assert lines[-1] == str(run / "comparisons.csv")


def test_candidate_and_reference_can_be_named(run):
    assert invoke(run, "--candidate", "worse", "--reference", "better")[0] == 0
    assert {(x["candidate"], x["reference"]) for x in rows(run)} == {("worse", "better")}
    assert invoke(run, "--reference", "better")[0] == 0
    assert [x["candidate"] for x in rows(run)[::3]] == ["base", "worse"]


def test_rules_are_the_configs_unless_they_are_named(run):
    write_config(run, list(VALUES), ["quiz"], statistics={"margins": {"quiz": 0.25}, "margin": 0.1, "correction": "bh"})
    invoke(run)
    assert {x["margin"] for x in rows(run)} == {"0.250000"}
    lax = rows(run)
    invoke(run, "--margin", "0.01", "--correction", "holm")
    assert {x["margin"] for x in rows(run)} == {"0.010000"}
    assert [x["p_value"] for x in rows(run)] == [x["p_value"] for x in lax]
    assert [x["p_adjusted"] for x in rows(run)] != [x["p_adjusted"] for x in lax]


def test_what_is_not_compared_is_said(run, tmp_path):
    lacking = {**VALUES, "worse": {"da": VALUES["worse"]["da"]}}
    folder = write_quiz(tmp_path / "lacking", lacking, gaps=[("quiz", "cy", "no data")])
    output = invoke(folder, "--candidate", "worse")[1]
    assert "not compared: worse: no data" in output
    assert "0 inconclusive; 1 not compared." in output


def test_run_of_one_system_has_nothing_to_compare(tmp_path):
    code, output, _ = invoke(write_quiz(tmp_path / "run", {"base": VALUES["base"]}))
    assert code == 0
    assert "no candidate" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--candidate", "beter"], "no system 'beter'"),
        (["--candidate", "base"], "'base' can't be compared with itself"),
        (["--alpha", "2"], "alpha must lie between"),
        (["--margin", "-0.02"], "margin must be a positive number"),
        (["--margin", "3"], "margin must be below 1"),
        (["--correction", "bonferoni"], "unknown correction 'bonferoni'"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_written(run, options, message):
    _, _, error = invoke(run, *options)
    assert isinstance(error, UserError)
    assert message in str(error)
    assert not (run / "comparisons.csv").exists()


def test_folder_that_is_no_run_is_refused(tmp_path):
    _, _, error = invoke(tmp_path)
    assert isinstance(error, StoreError)
    assert isinstance(error, CrocoError)
