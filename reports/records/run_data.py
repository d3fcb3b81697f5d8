"""What a finished, or half-finished, run directory holds, as tables. No model, no network."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...harness.api.records import VERDICT_VALUE, Judgment, Score
from ...harness.errors import StoreError
from ...harness.store.files import read_json
from ...harness.store.run_directory import CellFolder, RunDirectory

Frame: TypeAlias = Any
"""A pandas table. pandas' own annotations give unions at every step that no code can narrow."""


Made = TypeVar("Made")


@dataclass(frozen=True)
class RunData:
    """``scores``: one row per item and metric, with system, suite, language, signature. ``preferences``: one row per
    judged item, with judge, candidate and reference. ``missing``: cells that were planned and aren't there, and
    judgings that were begun and aren't whole. ``estimators``: (suite, language) -> settings of estimators that the
    data sets' publishers use."""

    manifest: dict[str, Any]
    scores: Frame
    preferences: Frame
    missing: Frame
    estimators: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` gives, made once: several tables start from the same arrays."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @property
    def systems(self) -> list[str]:
        return list(self.manifest["systems"])

    @property
    def suites(self) -> list[str]:
        return list(self.manifest["suites"])

    @property
    def languages(self) -> list[str]:
        return list(self.manifest["languages"])


def load_run(folder: Path) -> RunData:
    """Everything the tables are made from. Raises StoreError for a folder that is no run or is damaged."""
    run = RunDirectory.open(folder)
    manifest = run.manifest()
    gaps = _gaps(folder)
    scores, missing, estimators = [], [], {}
    for system in manifest["systems"]:
        for suite in manifest["suites"]:
            for language in manifest["languages"]:
                cell = run.cell(system, suite, language)
                if cell.is_sealed:
                    scores.append(_table(cell, Score, "scores", system=system, suite=suite, language=language))
                    if found := cell.seal_info().get("estimators"):
                        estimators[suite, language] = found
                else:
                    reason = gaps.get((suite, language), "not run yet")
                    missing.append({"system": system, "suite": suite, "language": language, "reason": reason})
    judgments, unfinished = _judgments(run, manifest)
    return RunData(
        manifest,
        _concat(scores),
        join_orders(judgments),
        pd.DataFrame([*missing, *unfinished], columns=["system", "suite", "language", "reason"]),
        estimators,
    )


def load_judgments(folder: Path) -> tuple[Frame, Frame]:
    """Every judgment of the judgings that are whole, and which ones are not, as in ``RunData.missing``.

    One row per item and order: the fields of ``Judgment`` but its details, with judge, candidate, reference, suite,
    language, signature, and ``orders_per_item`` as it was planned. Raises StoreError for a folder that is no run or is
    damaged.
    """
    run = RunDirectory.open(folder)
    judgments, unfinished = _judgments(run, run.manifest())
    return judgments, pd.DataFrame(unfinished, columns=["system", "suite", "language", "reason"])


def _judgments(run: RunDirectory, manifest: dict[str, Any]) -> tuple[Frame, list[dict[str, str]]]:
    tables, unfinished = [], []
    for cell, where in _judgings(run, manifest):
        if cell.is_sealed:
            table = _table(cell, Judgment, "judgments", **where)
            planned = cell.seal_info().get("orders_per_item", 1)
            tables.append(table.append_column("orders_per_item", pa.repeat(planned, len(table))))
        elif reason := _unfinished(cell):
            place = {"system": where["candidate"], "suite": where["suite"], "language": where["language"]}
            unfinished.append({**place, "reason": f"judge {where['judge']}: {reason}"})
    return _concat(tables), unfinished


def _gaps(folder: Path) -> dict[tuple[str, str], str]:
    file = folder / "gaps.json"
    return {(x["suite"], x["language"]): x["reason"] for x in read_json(file)} if file.exists() else {}


def _judgings(run: RunDirectory, manifest: dict[str, Any]) -> Iterator[tuple[CellFolder, dict[str, str]]]:
    reference = manifest["reference"]
    for judge in manifest["judges"]:
        for candidate in manifest["systems"]:
            for suite in manifest["suites"]:
                for language in manifest["languages"]:
                    where = {"judge": judge, "candidate": candidate, "reference": reference}
                    cell = run.judgments(judge, candidate, reference, suite, language)
                    yield cell, {**where, "suite": suite, "language": language}


def _unfinished(cell: CellFolder) -> str | None:
    """How far a judging that was begun came; None if it was not begun."""
    file = cell.path / "gap.json"
    if file.exists():
        return read_json(file)["reason"]
    return "judging was not finished" if cell.begun_with() is not None else None


def _table(cell: CellFolder, kind: type, name: str, **columns: str) -> pa.Table:
    """The records of a cell, with columns that say which cell it is."""
    file = cell.path / f"{name}.parquet"
    try:
        with pq.ParquetFile(file) as source:
            table = source.read([x for x in source.schema_arrow.names if x in _WANTED[kind]], use_threads=False)
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} can't be read: {error}.") from error
    for column, value in {**columns, "signature": cell.seal_info()["signature"]}.items():
        table = table.append_column(column, pa.repeat(value, len(table)))
    return table


_WANTED = {
    Score: {x.name for x in fields(Score)},
    Judgment: {x.name for x in fields(Judgment)} - {"details"},
}


def _concat(tables: list[pa.Table]) -> Frame:
    """One pandas table; a column that an older version did not write is empty there."""
    return pa.concat_tables(tables, promote_options="permissive").to_pandas() if tables else pd.DataFrame()


def join_orders(judgments: Frame) -> Frame:
    """One preference per item from all its judgments: their mean; unscored as soon as one of them is, or is not there.

    A judgment counts as its graded preference if it has one, else as its verdict. Columns: judge, candidate,
    reference, suite, language, task, item_id, source_id, preference, unscored, signature.
    """
    keys = ["judge", "candidate", "reference", "suite", "language", "task", "item_id", "source_id", "signature"]
    columns = [*keys[:-1], "preference", "unscored", "signature"]
    if judgments.empty:
        return pd.DataFrame(columns=columns)
    value = judgments["verdict"].map(VERDICT_VALUE).astype(float)
    if "preference" in judgments:  # not in files of schema version 1
        value = judgments["preference"].astype(float).where(value.notna()).fillna(value)
    table = judgments.assign(preference=value)
    grouped = table.groupby(keys, sort=False, dropna=False)
    joined = grouped["preference"].mean().reset_index()
    size = grouped.size().to_numpy()
    lacks_order = size < grouped["orders_per_item"].first().to_numpy()
    joined["unscored"] = grouped["unscored"].first().to_numpy(dtype=object)
    joined.loc[lacks_order & joined["unscored"].isna().to_numpy(), "unscored"] = "an order was not judged"
    joined.loc[lacks_order | (grouped["preference"].count().to_numpy() < size), "preference"] = float("nan")
    return joined[columns]
