"""The one door to a run directory."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from croco_eval.harness.api.records import Judgment, Signature, preference_of
from croco_eval.harness.errors import StoreError
from croco_eval.harness.text import answers
from croco_eval.harness.text.langid import identify
from croco_eval.reports.gate.export import system_items
from croco_eval.reports.gate.pair import within_run
from croco_eval.reports.records.run_data import RunData, join_orders
from croco_eval.reports.report.summary import after_run
from croco_eval.reports.report.write import write_report
from croco_eval.reports.tables.all import run_tables
from croco_eval.reports.tables.comparisons import compare
from helpers.gate_runs import DANISH, GERMAN, chat_run, quiz_run, resign
from rich.console import Console

ORDERS = ("candidate_first", "reference_first")
REASONED = f"<think>{GERMAN.format(1)} {GERMAN.format(2)}</think>{DANISH.format(3)}"


@pytest.fixture
def chat(tmp_path):
    texts = {
        "base": [DANISH.format(i) for i in range(6)],
        "tuned": [REASONED] * 3 + [GERMAN.format(i) for i in range(3)],
    }
    return chat_run(tmp_path / "run", texts, ["candidate", "tie", None, "reference", "candidate", "tie"])


def _judgments(seed: int) -> list[Judgment]:
    """Judgments of up to two orders of twenty items: verdicts, grades, refusals, and what a file should not hold."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(20):
        for order in ORDERS[: int(rng.integers(1, 3))]:
            verdict = [None, "candidate", "tie", "reference"][rng.integers(4)]
            grade = [None, None, float(rng.random()), float("nan")][rng.integers(4)]
            reason = "refused" if rng.random() < 0.2 else None
            made.append(Judgment(f"m{i}/da", f"m{i}", "talk", order, verdict, reason, preference=grade))
    return [made[i] for i in rng.permutation(len(made))]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("planned", [1, 2])
def test_orders_of_a_table_are_joined_as_those_of_one_item(seed, planned):
    judgments = _judgments(seed)
    place = {"judge": "j", "candidate": "a", "reference": "b", "suite": "chat", "language": "da"}
    signature = Signature.of({"judge": "j"})
    table = pd.DataFrame(
        [{**asdict(x), **place, "orders_per_item": planned, "signature": signature} for x in judgments]
    )
    found = join_orders(table).set_index("item_id")
    for item in {x.item_id for x in judgments}:
        expected = preference_of([x for x in judgments if x.item_id == item], planned)
        value, reason = found.loc[item, ["preference", "unscored"]]
        assert value == pytest.approx(np.nan if expected.value is None else expected.value, nan_ok=True)
        assert (reason if isinstance(reason, str) else None) == expected.unscored
    assert set(found["signature"]) == {signature}


def test_a_report_identifies_the_language_of_each_answer_once(chat, monkeypatch):
    asked = []
    monkeypatch.setattr(answers, "identify", lambda text: asked.append(text) or identify(text))
    data = RunData(chat)
    write_report(run_tables(data), figures=False)
    system_items(data, "tuned")
    assert len(asked) == 12
    assert not any("think" in x for x in asked)


def test_gate_and_table_agree_on_answers_in_another_language(chat):
    data = RunData(chat)
    table = run_tables(data).frames["off_target.csv"].set_index("system")
    items = within_run(data, "tuned", None, with_off_target=True).off_target.scores
    for system, part in items.groupby("system"):
        assert part["value"].sum() == table.loc[system, "off_target"]
        assert part["value"].notna().sum() == table.loc[system, "n"]
    assert table.loc["tuned", "off_target"] == 3


def test_answers_are_what_a_reader_sees(chat):
    table = RunData(chat).answers["tuned", "chat", "da"]
    assert list(table) == ["item_id", "source_id", "task", "answer"]
    assert table["answer"].iloc[0].visible == DANISH.format(3)
    assert ("tuned", "chat", "de") not in RunData(chat).answers


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match="not a run directory"):
        RunData(tmp_path)


def test_signatures_are_parsed_where_the_file_is_read(tmp_path):
    run = quiz_run(tmp_path / "run", {"da": [1, 0]}, {"da": [1, 1]})
    resign(run, "tuned", "quiz", "da", "suite:quiz|shots:5")
    by_system = RunData(run).scores.groupby("system")["signature"].first()
    assert by_system["tuned"] == Signature.of({"suite": "quiz", "shots": "5"})


def test_two_systems_are_compared_by_chosen_rules(tmp_path):
    right, wrong = [1.0] * 40, [1.0] * 30 + [0.0] * 10
    data = RunData(quiz_run(tmp_path / "run", {"da": wrong}, {"da": right}))
    (row,) = compare(data, "tuned", margin=0.5).to_dict("records")
    assert (row["verdict"], row["margin"], row["reference"]) == ("forgot", 0.5, "base")
    (row,) = compare(data, "tuned", alpha=0.0001).to_dict("records")
    assert row["verdict"] == "inconclusive"


def test_public_names_load_neither_models_nor_figures():
    code = (
        "import sys, croco_eval.reports as r; early = 'pandas' in sys.modules; [getattr(r, x) for x in r.__all__]; "
        "print(early, *sorted({x.split('.')[0] for x in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    early, *loaded = done.stdout.split()
    assert early == "False"
    assert not set(loaded) & {"torch", "transformers", "matplotlib", "openai"}


def test_after_a_run_its_tables_are_written_and_shown(chat):
    file = io.StringIO()
    after_run(chat, Console(file=file, width=100))
    assert "tuned in chat, win_rate[j]: " in file.getvalue()
    assert str(chat / "comparisons.csv") in file.getvalue()
    assert (chat / "comparisons.csv").exists()
