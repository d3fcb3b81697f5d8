"""``win_rates.csv`` and ``ratings.csv``: from run directories made by hand, against the functions called directly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from croco_eval.harness.api.records import Generation, Item, Judgment, Score
from croco_eval.harness.store.files import write_json
from croco_eval.harness.store.run_directory import SCHEMA_VERSION, RunDirectory
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.stats import bradley_terry, holm, length_controlled_win_rate, win_rate
from croco_eval.reports.tables.all import write_tables
from croco_eval.reports.tables.win_rates import RATING_COLUMNS, WIN_RATE_COLUMNS, rating_table, win_rate_table

LANGUAGES = ["da", "de", "cy"]
RULES = Rules(n_resamples=500)
N = 30


def verdicts(share: float, seed: int) -> list[str]:
    drawn = np.random.default_rng(seed).random(N)
    return ["candidate" if x < share else "tie" if x < share + 0.2 else "reference" for x in drawn]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two candidates against a base, in three languages, judged in one order each: `good` wins more often."""
    folder = RunDirectory(tmp_path / "run")
    rng = np.random.default_rng(1)
    for system in ("base", "good", "bad"):
        for language in LANGUAGES:
            items = [Item(f"i{n}/{language}", f"i{n}", "t", "?") for n in range(N)]
            given = [
                Generation(x.item_id, 0, "?", None, "<think>" + "x" * 500 + "</think>" + "a" * int(rng.integers(5, 90)),
                           "stop", None, None, 1)
                for x in items
            ]  # fmt: skip
            tables = {"items": (Item, items), "generations": (Generation, given), "scores": (Score, [])}
            folder.cell(system, "chat", language).seal(tables, {"fingerprint": {}, "signature": "seed:0", "n_items": N})
    for candidate, share in (("good", 0.7), ("bad", 0.2)):
        for number, language in enumerate(LANGUAGES):
            rows = [
                Judgment(f"i{n}/{language}", f"i{n}", "t", "unordered", v if n else None, None if n else "refused")
                for n, v in enumerate(verdicts(share, 10 * number + int(share * 10)))
            ]
            place = folder.judgments("j", candidate, "base", "chat", language)
            place.seal({"judgments": (Judgment, rows)}, {"fingerprint": {}, "signature": "judge:j", "n_items": N})
    manifest = {
        "schema_version": SCHEMA_VERSION, "reference": "base", "languages": LANGUAGES, "judges": {"j": {}},
        "systems": {x: {} for x in ("base", "good", "bad")}, "suites": {"chat": {"kind": "open"}},
    }  # fmt: skip
    write_json(folder.path / "manifest.json", manifest)
    return folder.path


def test_numbers_are_those_of_the_functions_and_counts_add_up(run: Path):
    data = RunData(run)
    table = win_rate_table(data, RULES)
    assert list(table.columns) == list(WIN_RATE_COLUMNS)
    row = table[(table["candidate"] == "good") & (table["language"] == "da")].iloc[0]
    chosen = data.preferences[(data.preferences["candidate"] == "good") & (data.preferences["language"] == "da")]
    expected = win_rate(chosen["preference"], n_resamples=500)
    assert (row["win_rate"], row["win_rate_ci_low"]) == (expected.estimate.value, expected.estimate.ci_low)
    assert (row["n"], row["n_unscored"]) == (N - 1, 1)
    assert row["wins"] + row["ties"] + row["losses"] == N - 1
    assert row["p_value"] == expected.test.p_value
    assert 0 < row["lc_croco"] < 1
    assert row["bt_style_ci_low"] < row["bt_style"] < row["bt_style_ci_high"]


def test_lengths_leave_out_what_was_thought_aloud(run: Path):
    data = RunData(run)
    row = win_rate_table(data, RULES).iloc[0]

    def lengths(system: str) -> np.ndarray:
        table = pd.read_parquet(run / "cells" / system / "chat" / "da" / "generations.parquet")
        return table["text"].str.rpartition("</think>")[2].str.len().to_numpy()

    chosen = data.preferences[(data.preferences["candidate"] == "good") & (data.preferences["language"] == "da")]
    expected = length_controlled_win_rate(chosen["preference"], lengths("good"), lengths("base"))
    assert row["lc_alpaca_eval"] == pytest.approx(expected.value)


def test_pooled_rows_draw_translations_together(run: Path):
    data = RunData(run)
    table = win_rate_table(data, RULES)
    row = table[(table["candidate"] == "bad") & (table["scope"] == "all")].iloc[0]
    chosen = data.preferences[data.preferences["candidate"] == "bad"]
    expected = win_rate(chosen["preference"], chosen["source_id"].to_numpy(), n_resamples=500)
    assert (row["win_rate_ci_low"], row["p_value"]) == (expected.estimate.ci_low, expected.test.p_value)


def test_p_values_are_corrected_over_the_languages_of_a_candidate(run: Path):
    table = win_rate_table(RunData(run), RULES)
    alone = table[(table["candidate"] == "good") & (table["scope"] == "language")]
    assert alone["p_adjusted"].tolist() == pytest.approx(list(holm(alone["p_value"].to_numpy())))


def test_ratings_of_three_systems_have_the_reference_at_1000(run: Path):
    data = RunData(run)
    table = rating_table(data, RULES)
    assert list(table.columns) == list(RATING_COLUMNS)
    whole = table[table["scope"] == "all"].set_index("system")
    assert whole.loc["good", "bradley_terry"] > whole.loc["base", "bradley_terry"] == 1000
    assert whole.loc["bad", "bradley_terry"] < 1000
    scored = data.preferences[data.preferences["preference"].notna()]
    expected = bradley_terry(
        *(scored[x].to_numpy() for x in ("candidate", "reference", "preference", "source_id")), anchor="base"
    )
    assert whole.loc["good", "bradley_terry"] == pytest.approx(expected["good"].value)
    assert whole.loc["good", "elo"] > 1000


def test_adding_a_system_changes_no_other_systems_numbers(run: Path):
    both = win_rate_table(RunData(run), RULES)
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["systems"]["bad"]
    write_json(run / "manifest.json", manifest)
    alone = win_rate_table(RunData(run), RULES)
    pd.testing.assert_frame_equal(both[both["candidate"] == "good"].reset_index(drop=True), alone)
    assert rating_table(RunData(run), RULES).empty


def test_without_judgments_there_is_no_file(run: Path):
    manifest = json.loads((run / "manifest.json").read_text())
    write_json(run / "manifest.json", {**manifest, "judges": {}})
    write_tables(RunData(run))
    assert not (run / "win_rates.csv").exists()
    write_json(run / "manifest.json", manifest)
    write_tables(RunData(run))
    assert len(pd.read_csv(run / "win_rates.csv"))
    assert len(pd.read_csv(run / "ratings.csv"))
