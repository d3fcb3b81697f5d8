"""One system's values item by item: what ``--export`` writes and ``--baseline`` reads. Columns: docs/files.md."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from ...harness.api.records import Generation, Item, MetricKind
from ...harness.errors import UserError
from ...harness.store.files import write_atomically
from ...harness.store.fingerprint import digest
from ...harness.store.parquet import read_records
from ...harness.store.run_directory import CellFolder, RunDirectory
from ...harness.text.langid import is_in_language
from ...harness.text.languages import get_language
from ..records.run_data import Frame, RunData

ITEM_COLUMNS = (
    *("system", "suite", "language", "task", "metric", "kind", "item_id", "source_id"),
    *("value", "unscored", "signature"),
)
OFF_TARGET = "off_target"
_KEY = ("system", "suite", "language", "task", "metric", "item_id")
_CHARACTERS = 2000
"""So much of an answer is read, as for ``off_target.csv``."""


def system_items(folder: Path, data: RunData, system: str) -> Frame:
    """All item values of a system (``ITEM_COLUMNS``): primary scores, preferences over the reference, off-target."""
    parts = [_scores(data, system), _preferences(data, system), _off_target(folder, data, system)]
    full = [x for x in parts if len(x)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=ITEM_COLUMNS)


def _scores(data: RunData, system: str) -> Frame:
    if data.scores.empty:
        return pd.DataFrame(columns=ITEM_COLUMNS)
    rows = data.scores[(data.scores["system"] == system) & data.scores["primary"]]
    return rows[list(ITEM_COLUMNS)]


def _preferences(data: RunData, system: str) -> Frame:
    """Preferences as values of ``win_rate[JUDGE]``. Over whom they are is a part of their signature."""
    rows = data.preferences[data.preferences["candidate"] == system]
    metric = "win_rate[" + rows["judge"] + "]"
    over = rows["reference"].map(
        {x: f"reference:{x}|reference-id:{digest(identity)}|" for x, identity in data.manifest["systems"].items()}
    )
    return rows.assign(
        system=system, metric=metric, kind="bounded", value=rows["preference"], signature=over + rows["signature"]
    )[list(ITEM_COLUMNS)]


def _off_target(folder: Path, data: RunData, system: str) -> Frame:
    run = RunDirectory(folder)
    rows = [
        row
        for suite, facts in data.manifest["suites"].items()
        if facts["kind"] == "open"
        for language in data.languages
        if (cell := run.cell(system, suite, language)).is_sealed
        for row in _off_target_rows(cell, system, suite, language)
    ]
    return pd.DataFrame(rows, columns=ITEM_COLUMNS)


def _off_target_rows(cell: CellFolder, system: str, suite: str, language: str) -> Iterator[tuple]:
    """1 for an answer in another language, 0 for one in its own, unscored where that can't be told."""
    answers = {x.item_id: x.text for x in read_records(cell.path / "generations.parquet", Generation) if not x.index}
    signature = cell.seal_info()["signature"]
    for x in read_records(cell.path / "items.parquet", Item):
        is_right = is_in_language((answers.get(x.item_id) or "")[:_CHARACTERS], language)
        value, unscored = (math.nan, "language can't be told") if is_right is None else (float(not is_right), None)
        place = (system, suite, language, x.task, OFF_TARGET, "binary", x.item_id, x.source_id)
        yield (*place, value, unscored, signature)


def write_items(path: Path, items: Frame) -> None:
    """Writes item values as CSV; numbers keep all their digits. Raises StoreError."""
    write_atomically(path, items[list(ITEM_COLUMNS)].to_csv(index=False, lineterminator="\n"))


def read_items(path: Path) -> Frame:
    """Item values from a CSV file that ``write_items`` wrote, or a hand made like it.

    Raises UserError, with the line, for missing columns, ids that stand twice and values that can't be.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_checked_rows(path, csv.reader(file, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"baseline {path} can't be read: {error}.") from None
    if not rows:
        raise UserError(f"baseline {path} holds no items.")
    return pd.DataFrame(rows, columns=ITEM_COLUMNS)


def _checked_rows(path: Path, reader: Any) -> Iterator[tuple]:
    head = next(reader, [])
    if missing := [x for x in ITEM_COLUMNS if x not in head]:
        raise UserError(
            f"baseline {path} lacks the column {missing[0]!r}; it needs {', '.join(ITEM_COLUMNS)}, "
            "as `croco-eval check RUN --export FILE` writes them."
        )
    seen: dict[tuple, int] = {}
    for cells in reader:
        where = f"baseline {path}, line {reader.line_num}"
        if len(cells) != len(head):
            raise UserError(f"{where}: {len(cells)} cells, but the first line names {len(head)} columns.")
        row = dict(zip(head, cells, strict=True))
        row["language"] = _language(row["language"], where)
        key = tuple(row[x] for x in _KEY)
        if key in seen:
            raise UserError(
                f"{where}: item {row['item_id']!r} of {row['suite']}, {row['language']} stands on line {seen[key]} too."
            )
        seen[key] = reader.line_num
        yield tuple(_typed(row, where)[x] for x in ITEM_COLUMNS)


def _language(code: str, where: str) -> str:
    try:
        return get_language(code).code
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _typed(row: dict[str, str], where: str) -> dict[str, Any]:
    for name in ("system", "suite", "metric", "item_id", "source_id", "signature"):
        if not row[name]:
            raise UserError(f"{where}: {name} is empty.")
    kinds = get_args(MetricKind)
    if row["kind"] not in kinds:
        raise UserError(f"{where}: kind is {row['kind']!r}, not one of {', '.join(kinds)}.")
    return {**row, "value": _value(row, where), "unscored": row["unscored"] or None}


def _value(row: dict[str, str], where: str) -> float:
    """The value; NaN for an item that is unscored, with its reason."""
    text = row["value"].strip()
    if not text:
        if row["unscored"]:
            return math.nan
        raise UserError(f"{where}: value is empty and unscored doesn't say why; fill in one of them.")
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{where}: value {text!r} is not a number.") from None
    if row["unscored"]:
        raise UserError(f"{where}: there is a value ({text}) and a reason why there is none; take one of them away.")
    if not math.isfinite(value):
        raise UserError(
            f"{where}: value {text!r} is no score; for an unscored item leave it empty and say why in unscored."
        )
    if row["kind"] != "continuous" and not 0 <= value <= 1:
        raise UserError(f"{where}: value {text} lies outside [0, 1], where {row['kind']} values lie.")
    if row["kind"] == "binary" and value not in (0, 1):
        raise UserError(f"{where}: value {text} of a binary metric is neither 0 nor 1.")
    return value
