"""A candidate against a baseline: another run, or item values in a CSV file that people may edit."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from croco_eval.harness.errors import UserError
from croco_eval.harness.store.files import read_json, write_json
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.reports.gate.check import check_run
from croco_eval.reports.gate.export import ITEM_COLUMNS, read_items, system_items, write_items
from croco_eval.reports.gate.policy import GatePolicy
from croco_eval.reports.records.run_data import RunData
from helpers.gate_runs import DANISH, GERMAN, answers, chat_run, quiz_run, resign, with_losses

N = 120


def gate(run: Path, baseline: Path, candidate: str | None = None, reference: str | None = None, **policy):
    return check_run(
        RunData(run), GatePolicy.model_validate({"n_resamples": 1000, **policy}), candidate, reference, baseline
    )


def verdicts(result) -> dict[str, str]:
    return {x.name: x.verdict for x in result.rows}


def export(run: Path, file: Path, system: str = "tuned") -> Path:
    write_items(file, system_items(RunData(run), system))
    return file


RIGHT = {"da": answers(N, 0.7, 1), "de": answers(N, 0.7, 2)}


@pytest.fixture
def yesterday(tmp_path) -> Path:
    return quiz_run(tmp_path / "yesterday", RIGHT, {k: np.zeros(N) for k in RIGHT})


@pytest.fixture
def today(tmp_path) -> Path:
    """Still far better than the base, but Danish lost 30 items since yesterday."""
    return quiz_run(tmp_path / "today", {**RIGHT, "da": with_losses(RIGHT["da"], 30)}, {k: np.zeros(N) for k in RIGHT})


# What is compared


def test_candidate_is_compared_with_the_same_system_of_the_baseline(yesterday, today):
    result = gate(today, yesterday, margin=0.05, scopes=["language"])
    assert (result.candidate, result.reference) == ("tuned", "tuned@yesterday")
    assert verdicts(result) == {"quiz da": "NO-GO", "quiz de": "GO"}
    assert [x.comparison.difference for x in result.rows] == pytest.approx([-30 / N, 0])
    assert check_run(RunData(today), GatePolicy(margin=0.05)).verdict == "GO"


def test_another_system_of_the_baseline_can_be_named(yesterday, today):
    assert gate(today, yesterday, reference="base").verdict == "GO"
    assert gate(yesterday, today, candidate="base", reference="tuned").verdict == "NO-GO"


def test_exported_values_give_what_the_run_gives(yesterday, today, tmp_path):
    file = export(yesterday, tmp_path / "yesterday.csv")
    assert gate(today, file).rows == gate(today, yesterday).rows


def test_export_holds_every_digit_and_every_reason(tmp_path):
    run = quiz_run(tmp_path / "run", {"da": [1.0, None, 0.0]}, {"da": [1.0, 1.0, 1.0]})
    file = export(run, tmp_path / "items.csv")
    stored = read_items(file)
    assert list(stored["value"].fillna(-1)) == [1, -1, 0]
    assert list(stored["unscored"].notna()) == [False, True, False]
    assert file.read_text(encoding="utf-8").splitlines()[0] == ",".join(ITEM_COLUMNS)


def test_order_of_the_lines_changes_nothing(yesterday, today, tmp_path):
    file = export(yesterday, tmp_path / "items.csv")
    before = gate(today, file).rows
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([head, *lines[::-1]]) + "\n", encoding="utf-8")
    assert gate(today, file).rows == before


def test_win_rates_over_the_same_reference_are_compared_with_each_other(tmp_path):
    texts = {"base": [DANISH] * N, "tuned": [DANISH] * N}
    won = ["candidate"] * 80 + ["reference"] * 40
    old = chat_run(tmp_path / "old", texts, won)
    new = chat_run(tmp_path / "new", texts, won[30:] + ["reference"] * 30)
    assert verdicts(check_run(RunData(new), GatePolicy(min_items=1)))["chat da win_rate[j]"] == "INCONCLUSIVE"
    (row,) = gate(new, old).rows
    assert (row.verdict, row.comparison.difference) == ("NO-GO", pytest.approx(-30 / N))


def test_win_rates_over_another_reference_are_refused(tmp_path):
    texts = {"base": [DANISH] * N, "tuned": [DANISH] * N}
    old, new = (chat_run(tmp_path / x, texts, ["tie"] * N) for x in ("old", "new"))
    manifest = read_json(old / "manifest.json")
    write_json(old / "manifest.json", {**manifest, "systems": {"base": {"weights": "other"}, "tuned": {}}})
    with pytest.raises(UserError, match=r"chat in da, win_rate\[j\]: baseline .* differ in reference-id \("):
        gate(new, old)


def test_answers_in_another_language_are_compared_too(tmp_path):
    texts = {"base": [DANISH] * N, "tuned": [DANISH.format(i) for i in range(N)]}
    old = chat_run(tmp_path / "old", texts, ["tie"] * N)
    texts["tuned"] = [(GERMAN if i < 30 else DANISH).format(i) for i in range(N)]
    new = chat_run(tmp_path / "new", texts, ["tie"] * N)
    for baseline in (old, export(old, tmp_path / "old.csv")):
        assert verdicts(gate(new, baseline, max_off_target=0.1))["chat da off_target"] == "NO-GO"


# What can't be compared


def test_language_that_the_baseline_lacks_is_inconclusive(today, tmp_path):
    old = quiz_run(tmp_path / "old", {"da": RIGHT["da"]}, {"da": RIGHT["da"]})
    result = gate(today, old, scopes=["language"])
    assert verdicts(result) == {"quiz da": "NO-GO", "quiz de": "INCONCLUSIVE"}
    assert result.rows[1].reason == "de: tuned@old: not in the baseline"


def test_cell_that_the_baseline_did_not_finish_is_inconclusive(yesterday, today):
    (RunDirectory(yesterday).cell("tuned", "quiz", "de").path / "cell.json").unlink()
    result = gate(today, yesterday, scopes=["language"])
    assert result.rows[1].reason == "de: tuned@yesterday: not run yet"


def test_language_of_the_baseline_alone_is_a_note(today, tmp_path):
    more = {**RIGHT, "cy": RIGHT["da"]}
    result = gate(today, quiz_run(tmp_path / "old", more, more))
    assert result.notes == ("quiz in cy is in the baseline alone",)


def test_nothing_in_common_is_refused(today, tmp_path):
    old = quiz_run(tmp_path / "old", {"cy": RIGHT["da"]}, {"cy": RIGHT["da"]})
    with pytest.raises(UserError, match="no suite and language in common"):
        gate(today, old)


def test_other_signature_is_refused_with_the_fields_that_differ(yesterday, today):
    resign(yesterday, "tuned", "quiz", "de", "suite:quiz|data:old|seed:0")
    with pytest.raises(UserError, match=r"quiz in de: baseline .*yesterday and the run differ in data \(old, de1\)"):
        gate(today, yesterday)


def test_items_that_are_not_the_same_are_refused(yesterday, today, tmp_path):
    file = export(yesterday, tmp_path / "items.csv")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(",m7/da,", ",other/da,"), encoding="utf-8")
    with pytest.raises(UserError, match=r"quiz in da: baseline .* has 120 items and the run 120, 119 of them the same"):
        gate(today, file)
    file.write_text(text.replace("/da,", "/xx,"), encoding="utf-8")
    with pytest.raises(UserError, match=r"120 items and the run 120, 0 of them the same"):
        gate(today, file)


def test_systems_that_can_t_be_are_refused(yesterday, today, tmp_path):
    with pytest.raises(UserError, match=r"today holds no system 'tunde' \(base, tuned\) - did you mean 'tuned'"):
        gate(today, yesterday, candidate="tunde")
    with pytest.raises(UserError, match=r"yesterday holds no system 'bse'"):
        gate(today, yesterday, reference="bse")
    with pytest.raises(UserError, match="there is no baseline"):
        gate(today, tmp_path / "nothing.csv")


# CSV files that were edited by hand


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _write(file: Path, rows: list[dict[str, str]], columns=ITEM_COLUMNS) -> None:
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


Edit = Callable[[list[dict[str, str]]], object]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda x: x.append(dict(x[0])), r"line 242: item 'm0/da' of quiz, da stands on line 2 too"),
        (lambda x: x[3].update(value="nan"), r"line 5: value 'nan' is no score"),
        (lambda x: x[3].update(value="inf"), r"line 5: value 'inf' is no score"),
        (lambda x: x[3].update(value="0,5"), r"line 5: value '0,5' is not a number"),
        (lambda x: x[3].update(value=""), r"line 5: value is empty and unscored doesn't say why"),
        (lambda x: x[3].update(unscored="refused"), r"line 5: there is a value \(.*\) and a reason"),
        (lambda x: x[3].update(value="0.5"), r"line 5: value 0.5 of a binary metric is neither 0 nor 1"),
        (lambda x: x[3].update(value="-1", kind="bounded"), r"line 5: value -1 lies outside \[0, 1\]"),
        (lambda x: x[3].update(kind="binery"), r"line 5: kind is 'binery'"),
        (lambda x: x[3].update(language="dn"), r"line 5: unknown language 'dn'"),
        (lambda x: x[3].update(item_id=""), r"line 5: item_id is empty"),
        (lambda x: x[3].update(signature="suite:quiz|data:x|seed:0"), r"quiz in da: baseline .* differ in data"),
        (lambda x: x.pop(3), r"has 119 items and the run 120, 119 of them the same"),
        (lambda x: x.clear(), "holds no items"),
    ],
)
def test_edited_file_is_refused_with_one_sentence(yesterday, today, tmp_path, edit: Edit, said):
    file = export(yesterday, tmp_path / "items.csv")
    rows = _rows(file)
    edit(rows)
    _write(file, rows)
    with pytest.raises(UserError, match=said) as refused:
        gate(today, file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("column", ITEM_COLUMNS)
def test_missing_column_is_named(yesterday, tmp_path, column):
    file = export(yesterday, tmp_path / "items.csv")
    _write(file, _rows(file), [x for x in ITEM_COLUMNS if x != column])
    with pytest.raises(UserError, match=f"lacks the column '{column}'"):
        read_items(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the column 'system'"),
        (b"\xff\xfe", "can't be read"),
        ((",".join(ITEM_COLUMNS) + "\na,b\n").encode(), "line 2: 2 cells, but the first line names 11 columns"),
        ((",".join(ITEM_COLUMNS) + '\n"a\n').encode(), "can't be read"),
    ],
)
def test_file_that_is_no_such_table_is_refused(tmp_path, content, said):
    file = tmp_path / "items.csv"
    file.write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_items(file)


def test_further_columns_and_norwegian_s_other_code_do_no_harm(tmp_path):
    values = {"no": answers(N, 0.5, 0)}
    run = quiz_run(tmp_path / "run", values, values)
    file = export(run, tmp_path / "items.csv")
    rows = [{**x, "language": "nb", "note": "seen"} for x in _rows(file)]
    _write(file, rows, [*ITEM_COLUMNS, "note"])
    assert gate(run, file, margin=0.1).verdict == "GO"
