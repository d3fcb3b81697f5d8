"""How many items detect a difference, before a run and from one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import typer
from croco_eval.harness.errors import UserError
from croco_eval.reports.commands.power import power
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.stats import mcnemar_exact
from croco_eval.reports.tables.comparisons import comparison_table
from croco_eval.reports.tables.power import POWER_COLUMNS, power_table
from helpers.gate_runs import DANISH, answers, chat_run, quiz_run, with_losses
from helpers.paths import ROOT
from statsmodels.stats.power import TTestPower
from typer.testing import CliRunner

BINARY = ["--design", "paired-binary", "--discordance", "0.2"]
CONTINUOUS = ["--design", "continuous", "--sd", "0.4"]
WIN_RATE = ["--design", "win-rate", "--ties", "0.3"]
CLUSTERED = [*WIN_RATE, "--clusters-of", "14", "--icc", "0.3"]


def ask(*arguments: object) -> str:
    """What the command says. A refusal is raised."""
    app = typer.Typer()
    app.command()(power)
    done = CliRunner().invoke(app, [str(x) for x in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def items_of(text: str) -> int:
    return int(re.search(r"([\d,]+) items", text)[1].replace(",", ""))  # pyright: ignore[reportOptionalSubscript]


def difference_of(text: str) -> float:
    return float(re.search(r"difference of ([\d.]+)", text)[1])  # pyright: ignore[reportOptionalSubscript]


# Before a run


@pytest.mark.parametrize("design", [BINARY, CONTINUOUS, WIN_RATE, CLUSTERED], ids=lambda x: " ".join(x[1:2] + x[4:]))
@pytest.mark.parametrize("difference", [0.03, 0.1])
def test_items_and_difference_invert_each_other(design, difference):
    items = items_of(ask(*design, "--difference", difference))
    assert difference_of(ask(*design, "--items", items)) == pytest.approx(difference, rel=0.03)
    assert difference_of(ask(*design, "--items", items // 2)) > 1.2 * difference


def test_continuous_items_are_those_of_statsmodels():
    needed = TTestPower().solve_power(0.05 / 0.4, alpha=0.05, power=0.8)
    assert items_of(ask(*CONTINUOUS, "--difference", 0.05)) == np.ceil(needed)


def test_so_many_binary_items_find_the_difference_in_four_of_five_cases():
    n = items_of(ask(*BINARY, "--difference", 0.08))
    rng, found = np.random.default_rng(3), 0
    for _ in range(400):
        kind = rng.choice(3, n, p=[0.8, 0.14, 0.06])
        found += mcnemar_exact((kind == 1).astype(float), (kind == 2).astype(float)).p_value < 0.05
    assert found / 400 == pytest.approx(0.8, abs=0.05)


def test_more_power_a_smaller_alpha_and_alike_translations_need_more_items():
    plain = items_of(ask(*WIN_RATE, "--difference", 0.05))
    assert items_of(ask(*WIN_RATE, "--difference", 0.05, "--power", 0.9)) > plain
    assert items_of(ask(*WIN_RATE, "--difference", 0.05, "--alpha", 0.05 / 14)) > plain
    clustered = items_of(ask(*CLUSTERED, "--difference", 0.05))
    assert clustered == pytest.approx(plain * (1 + 13 * 0.3), rel=0.1)
    assert clustered % 14 == 0


def test_answer_is_a_sentence():
    said = " ".join(ask(*CLUSTERED, "--items", 700).split())
    assert re.fullmatch(
        r"700 items \(50\.0 clusters of 14\) detect a true difference of 0\.\d+ \(a win rate of 0\.\d+ or 0\.\d+\), "
        r"or a larger one, with a probability of 80% \(two-sided test at alpha 0\.05\)\.",
        said,
    )


def test_too_few_items_detect_nothing():
    assert ask(*BINARY, "--items", 20).startswith("20 items detect no difference")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a run directory, or a --design"),
        (["--design", "winrate", "--items", "9"], "unknown design 'winrate'.*did you mean 'win-rate'"),
        (["--design", "continuous", "--items", "9"], "needs its noise, --sd"),
        ([*BINARY, "--sd", "1", "--items", "9"], "--sd says nothing about --design paired-binary"),
        (BINARY, "either --difference .* or --items"),
        ([*BINARY, "--items", "9", "--difference", "0.1"], "either --difference .* or --items"),
        ([*BINARY, "--difference", "-0.1"], "a positive number, not -0.1"),
        ([*BINARY, "--difference", "0.3"], "effect must lie between 0 and 0.2 here, not 0.3"),
        ([*BINARY, "--items", "0"], "at least 1"),
        ([*BINARY, "--clusters-of", "14", "--items", "9"], "--clusters-of and --icc go together"),
        ([*BINARY, "--icc", "0.2", "--items", "9"], "--clusters-of and --icc go together"),
        ([*BINARY, "--items", "9", "--power", "80"], "power must lie between 0 and 1"),
        (["--design", "paired-binary", "--discordance", "20", "--items", "9"], "discordance must be a share"),
        ([*CONTINUOUS[:3], "-1", "--items", "9"], "standard deviation must be a positive number"),
        (["run", "--items", "9"], "a run brings its own noise"),
    ],
)
def test_question_that_makes_no_sense_is_refused(arguments, said):
    with pytest.raises(UserError, match=said):
        ask(*arguments)


def test_documented_answers_are_what_the_command_says():
    text = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ croco-eval power (.*)\n(.*)$", text, flags=re.MULTILINE)
    assert len(shown) == 3
    for arguments, answer in shown:
        assert " ".join(ask(*arguments.split()).split()) == answer


# From a run


@pytest.fixture
def run(tmp_path) -> Path:
    base = {x: answers(300, 0.6, i) for i, x in enumerate(("da", "de", "cy"))}
    mixed = {x: np.where(np.arange(300) % 5 == 0, 1 - v, v) for x, v in base.items()}
    return quiz_run(tmp_path / "run", mixed, base)


def test_run_s_table_has_the_noise_of_each_row_and_the_detectable_differences_of_the_comparisons(run):
    data = RunData(run)
    table = power_table(data)
    compared = comparison_table(data, Rules(n_resamples=200))
    assert tuple(table) == POWER_COLUMNS
    assert list(table["language"]) == ["da", "de", "cy", "high", "all"]
    assert list(table["n"]) == [300, 300, 300, 600, 900]
    assert list(table["clusters"]) == [300] * 5
    assert list(table["mde"]) == pytest.approx(list(compared["mde"]))
    assert table["items_needed"].isna().all()


def test_run_s_rows_say_how_many_items_a_difference_takes(run):
    data = RunData(run)
    at_hand = power_table(data).set_index("language")
    table = power_table(data, difference=float(at_hand.loc["da", "mde"])).set_index("language")
    assert table.loc["da", "items_needed"] == pytest.approx(300, rel=0.05)
    wider = power_table(data, difference=0.01, power=0.9, alpha=0.01).set_index("language")
    assert (wider["mde"] > at_hand["mde"]).all()
    assert (wider["items_needed"] > table["items_needed"]).all()


def test_systems_that_never_differ_still_say_what_would_have_been_seen(tmp_path):
    values = {"da": answers(200, 0.6, 0)}
    (row,) = power_table(RunData(quiz_run(tmp_path / "run", values, values))).itertuples()
    assert 0 < row.mde < 0.06
    losses = 0
    while mcnemar_exact(with_losses(values["da"], losses), values["da"]).p_value >= 0.05:
        losses += 1
    assert row.mde > losses / 200


def test_command_shows_win_rates_and_scores_of_a_run(cli, tmp_path):
    verdicts = ["candidate", "reference", "tie", "tie"] * 20
    run = chat_run(tmp_path / "run", {"base": [DANISH] * 80, "tuned": [DANISH] * 80}, verdicts)
    (row,) = power_table(RunData(run), difference=0.1).itertuples()
    done = cli("power", "run", "--difference", "0.1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "win_rate[j]" in done.stdout
    for shown in ("da", "80", f"{row.se:.4f}", f"{row.mde:.4f}", f"{row.items_needed:,}"):
        assert shown in done.stdout
