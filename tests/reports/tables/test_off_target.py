"""``off_target.csv``: from hand-written answers whose language is known, in run directories made by hand."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pandas as pd
import pytest
from croco_eval.harness.api.records import Generation, Item, Score
from croco_eval.harness.errors import StoreError
from croco_eval.harness.store.files import write_json
from croco_eval.harness.store.parquet import read_records, write_records
from croco_eval.harness.store.run_directory import SCHEMA_VERSION, RunDirectory
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.tables.all import write_tables
from croco_eval.reports.tables.off_target import COLUMNS, off_target_table
from croco_eval.tasks.open_ended.open import open_prompts
from scipy.stats import binomtest

RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах."
ICELANDIC = "Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum."


def texts(language: str, number: int) -> list[str]:
    return list(open_prompts(language).values())[:number]


def write_run(folder: Path, cells: dict[tuple[str, str, str], list[str]], kinds: dict[str, str] | None = None) -> Path:
    """A run with these answers in its cells: (system, suite, language) -> answers. All suites are open by default."""
    run = RunDirectory(folder)
    for place, answers in cells.items():
        items = [Item(f"i{n}/{place[2]}", f"i{n}", "t", "?") for n in range(len(answers))]
        given = [
            Generation(x.item_id, 0, "?", None, answer, "stop", None, None, 1)
            for x, answer in zip(items, answers, strict=True)
        ]
        tables = {"items": (Item, items), "generations": (Generation, given), "scores": (Score, [])}
        run.cell(*place).seal(tables, {"fingerprint": {}, "signature": "seed:0", "n_items": len(items)})
    systems, suites, languages = (list(dict.fromkeys(x)) for x in zip(*cells, strict=True))
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "systems": {x: {} for x in systems},
        "suites": {x: {"kind": (kinds or {}).get(x, "open")} for x in suites},
        "languages": languages,
        "judges": {},
        "reference": systems[0],
    }
    write_json(folder / "manifest.json", manifest)
    return folder


def counted(folder: Path, language: str, answers: list[str]) -> pd.Series:
    """The row of a cell with these answers."""
    table = off_target_table(RunData(write_run(folder, {("a", "chat", language): answers})))
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize("language", ["da", "no", "gl", "pt", "mt"])
def test_answers_in_the_language_of_the_cell_are_on_target(tmp_path, language):
    found = counted(tmp_path / "run", language, texts(language, 20))
    assert (found["off_target"], found["rate"]) == (0, 0)
    assert found["n"] + found["uncertain"] == 20
    assert found["n"] >= 19
    assert pd.isna(found["wrong_language"])


def test_danish_answers_in_a_german_cell_are_off_target(tmp_path):
    found = counted(tmp_path / "run", "de", texts("da", 3) + texts("de", 5))
    assert (found["n"], found["off_target"], found["uncertain"], found["wrong_language"]) == (8, 3, 0, "da")
    wilson = binomtest(3, 8).proportion_ci(method="wilson")
    assert (found["rate"], found["ci_low"], found["ci_high"]) == pytest.approx((3 / 8, wilson.low, wilson.high))


def test_short_and_empty_answers_are_uncertain_and_not_part_of_the_rate(tmp_path):
    found = counted(tmp_path / "run", "de", ["", "Yes.", "42", "Hverdag", *texts("en", 1), *texts("de", 1)])
    assert (found["n"], found["off_target"], found["uncertain"]) == (2, 1, 4)
    assert found["rate"] == 0.5


@pytest.mark.parametrize("answers", [[], ["", ""]])
def test_cell_in_which_nothing_can_be_told_has_no_rate(tmp_path, answers):
    found = counted(tmp_path / "run", "de", answers)
    assert (found["n"], found["off_target"], found["uncertain"]) == (0, 0, len(answers))
    assert all(math.isnan(found[x]) for x in ("rate", "ci_low", "ci_high"))
    assert pd.isna(found["wrong_language"])


def test_sentence_that_two_neighbours_could_have_written_is_uncertain(tmp_path):
    found = counted(tmp_path / "run", "da", ["Jeg har en bil og et hus i byen", *texts("da", 1)])
    assert (found["n"], found["off_target"], found["uncertain"]) == (1, 0, 1)


def test_answer_in_another_script_is_off_target_in_every_language(tmp_path):
    cells = {("a", "chat", x): [RUSSIAN] for x in ("no", "mt", "en")}
    table = off_target_table(RunData(write_run(tmp_path / "run", cells)))
    assert list(table["off_target"]) == [1, 1, 1]
    assert list(table["wrong_language"]) == ["other"] * 3


def test_neighbour_outside_the_registry_is_not_taken_for_the_language(tmp_path):
    found = counted(tmp_path / "run", "no", [ICELANDIC])
    assert (found["n"], found["uncertain"]) == (0, 1)


@pytest.mark.parametrize(
    ("answers", "expected"), [({"sv": 2, "en": 3, "da": 1}, "en"), ({"sv": 2, "fr": 2}, "fr"), ({"mt": 1}, "mt")]
)
def test_wrong_language_is_the_most_frequent_and_of_equals_the_first_in_the_registry(tmp_path, answers, expected):
    given = [t for language, number in answers.items() for t in texts(language, number)]
    assert counted(tmp_path / "run", "de", given)["wrong_language"] == expected


def test_reasoning_before_the_answer_may_be_in_any_language(tmp_path):
    english, german = " ".join(texts("en", 5)), texts("de", 1)[0]
    given = [f"<think>{english}</think>{german}", f"<think>{english}", german]
    found = counted(tmp_path / "run", "de", given)
    assert (found["n"], found["off_target"], found["uncertain"]) == (2, 0, 1)


def test_only_the_beginning_of_a_long_answer_is_read(tmp_path):
    german, danish = " ".join(texts("de", 40)), " ".join(texts("da", 40))
    assert min(len(german), len(danish)) > 2000
    found = counted(tmp_path / "run", "de", [german + danish * 5, danish + german * 5])
    assert (found["n"], found["off_target"]) == (2, 1)


def test_rows_are_the_whole_cells_of_open_suites_in_the_order_of_the_config(tmp_path):
    places = [(s, suite, x) for s in ("tuned", "base") for suite in ("talk", "quiz", "chat") for x in ("sv", "da")]
    folder = write_run(tmp_path / "run", {x: texts(x[2], 2) for x in places}, {"quiz": "structured"})
    (RunDirectory(folder).cell("base", "talk", "sv").path / "cell.json").unlink()
    table = off_target_table(RunData(folder))
    found = list(table[["system", "suite", "language"]].itertuples(index=False, name=None))
    assert found == [x for x in places if x[1] != "quiz" and x != ("base", "talk", "sv")]


def test_order_of_the_stored_answers_does_not_change_the_table(tmp_path):
    folder = write_run(tmp_path / "run", {("a", "chat", "de"): [*texts("sv", 2), *texts("fr", 2), "", *texts("de", 3)]})
    before = off_target_table(RunData(folder))
    (file,) = folder.rglob("generations.parquet")
    write_records(file, Generation, read_records(file, Generation)[::-1])
    pd.testing.assert_frame_equal(off_target_table(RunData(folder)), before)


def test_tables_step_writes_the_table_and_twice_the_same_bytes(tmp_path):
    folder = write_run(tmp_path / "run", {("a", "chat", x): [*texts("da", 2), ""] for x in ("de", "da")})
    write_tables(RunData(folder))
    written = (folder / "off_target.csv").read_bytes()
    rows = list(csv.reader(written.decode().splitlines()))
    assert rows[0] == list(COLUMNS)
    assert [x[2:6] for x in rows[1:]] == [["de", "2", "2", "1"], ["da", "2", "0", "1"]]
    assert [x[6] for x in rows[1:]] == ["1.000000", "0.000000"]
    assert [x[-1] for x in rows[1:]] == ["da", ""]
    write_tables(RunData(folder))
    assert (folder / "off_target.csv").read_bytes() == written


def test_run_without_open_suites_has_a_table_without_rows(tmp_path):
    folder = write_run(tmp_path / "run", {("a", "quiz", "de"): texts("da", 2)}, {"quiz": "structured"})
    table = off_target_table(RunData(folder))
    assert (len(table), list(table.columns)) == (0, list(COLUMNS))


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match="not a run directory"):
        off_target_table(RunData(tmp_path))


@pytest.mark.parametrize("damage", [None, b"", b"PAR1 no longer"])
def test_answers_that_cannot_be_read_are_named(tmp_path, damage):
    folder = write_run(tmp_path / "run", {("a", "chat", "de"): texts("de", 2)})
    (file,) = folder.rglob("generations.parquet")
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    with pytest.raises(StoreError, match=r"generations\.parquet can't be read"):
        off_target_table(RunData(folder))
