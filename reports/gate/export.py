"""One system's values item by item: what ``--export`` writes and ``--baseline`` reads. Columns: docs/files.md."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from ...harness.api.records import MetricKind, Signature
from ...harness.errors import UserError
from ...harness.store.files import write_atomically
from ...harness.store.fingerprint import digest
from ...harness.text.languages import get_language
from ..items.measures import OFF_TARGET, measured
from ..records.run_data import Frame, RunData

ITEM_COLUMNS = (
    *("system", "suite", "language", "task", "metric", "kind", "item_id", "source_id"),
    *("value", "unscored", "signature"),
)
_KEY = ("system", "suite", "language", "task", "metric", "item_id")
_parsed = cache(Signature.parse)


def system_items(data: RunData, system: str) -> Frame:
    """All item values of a system (``ITEM_COLUMNS``): primary scores, preferences over the reference, off-target."""
    parts = [_scores(data, system), _preferences(data, system), off_target_items(data, system)]
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
    reference = data.manifest["reference"]
    over = Signature.of({"reference": reference, "reference-id": digest(data.manifest["systems"][reference])})
    return rows.assign(
        system=system,
        metric="win_rate[" + rows["judge"] + "]",
        kind="bounded",
        value=rows["preference"],
        signature=rows["signature"].map(lambda x: over + x),
    )[list(ITEM_COLUMNS)]


def off_target_items(data: RunData, system: str) -> Frame:
    """1 for an answer in another language, 0 for one in its own, unscored where that can't be told."""
    parts = [
        measured(data, cell, OFF_TARGET).assign(system=system, suite=cell[1], language=cell[2], metric=OFF_TARGET)
        for cell in data.answers
        if cell[0] == system
    ]
    return pd.concat(parts, ignore_index=True)[list(ITEM_COLUMNS)] if parts else pd.DataFrame(columns=ITEM_COLUMNS)


def write_items(path: Path, items: Frame) -> None:
    """Writes item values as CSV; numbers keep all their digits. Raises StoreError."""
    table = items.assign(signature=items["signature"].map(str))[list(ITEM_COLUMNS)]
    write_atomically(path, table.to_csv(index=False, lineterminator="\n"))


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
    return {
        **row,
        "value": _value(row, where),
        "unscored": row["unscored"] or None,
        "signature": _parsed(row["signature"]),
    }


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
