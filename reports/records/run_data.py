"""The records of a run directory as tables: the only door to one. No model, no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...harness.api.records import INCOMPLETE, VERDICT_VALUE, Judgment, Score, Signature
from ...harness.errors import StoreError
from ...harness.store.files import read_json
from ...harness.store.run_directory import CellFolder, RunDirectory
from ...harness.text.answers import answers_of
from .settings import ReportSettings, report_settings

Frame: TypeAlias = Any
"""A pandas table. pandas' own annotations give unions at every step that no code can narrow."""

Cell: TypeAlias = tuple[str, str, str]
"""System, suite, language."""

T = TypeVar("T")

_MISSING = ["system", "suite", "language", "reason"]
_JUDGED = ["judge", "candidate", "reference", "suite", "language", "task", "item_id", "source_id"]


class TablesByCell(Mapping[Cell, Frame]):
    """A table for each of some cells, read when it is first asked for."""

    def __init__(self, cells: Sequence[Cell], read: Callable[[Cell], Frame]) -> None:
        self._cells, self._read, self._known = dict.fromkeys(cells), read, dict[Cell, Frame]()

    def __getitem__(self, cell: Cell) -> Frame:
        if cell not in self._cells:
            raise KeyError(cell)
        if cell not in self._known:
            self._known[cell] = self._read(cell)
        return self._known[cell]

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


class RunData:
    """A run directory, finished or half-finished. Each of its parts is read once, when it is first asked for.

    Raises StoreError for a folder that is no run, and from any part that is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run = RunDirectory.open(folder)
        self._made: dict[Hashable, Any] = {}

    @classmethod
    def of_tables(
        cls,
        manifest: dict[str, Any],
        scores: Frame,
        preferences: Frame,
        missing: Frame | None = None,
        estimators: Mapping[tuple[str, str], dict[str, Any]] | None = None,
        settings: ReportSettings | None = None,
    ) -> RunData:
        """Tables that were made elsewhere, as if they were of one run; without answers, requests or a ledger."""
        data = cls.__new__(cls)
        data.__dict__ |= {
            "folder": Path(),
            "_made": {},
            "manifest": manifest,
            "scores": scores,
            "preferences": preferences,
            "missing": pd.DataFrame(columns=_MISSING) if missing is None else missing,
            "estimators": dict(estimators or {}),
            "settings": settings or ReportSettings(),
            "whole_cells": {},
        }
        return data

    def of_suites(self, suites: Sequence[str]) -> RunData:
        """The same run with some of its suites alone."""
        chosen = {k: v for k, v in self.manifest["suites"].items() if k in suites}
        manifest = {**self.manifest, "suites": chosen}
        return RunData.of_tables(manifest, self.scores, self.preferences, self.missing, self.estimators, self.settings)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once: several tables start from the same arrays."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Systems, suites, languages, judges, the reference, and what the run was made with."""
        return self._run.manifest()

    @cached_property
    def settings(self) -> ReportSettings:
        """How results are to be compared. Raises UserError for a wrong config."""
        return report_settings(self._run.config_text(), self.manifest, self.folder)

    @property
    def systems(self) -> list[str]:
        return list(self.manifest["systems"])

    @property
    def suites(self) -> list[str]:
        return list(self.manifest["suites"])

    @property
    def open_suites(self) -> list[str]:
        return [x for x, facts in self.manifest["suites"].items() if facts["kind"] == "open"]

    @property
    def languages(self) -> list[str]:
        return list(self.manifest["languages"])

    @cached_property
    def whole_cells(self) -> dict[Cell, dict[str, Any]]:
        """The cells that are whole -> what was recorded when they were sealed, their ``signature`` parsed."""
        return {x: _sealed(cell) for x in self._planned() if (cell := self._run.cell(*x)).is_sealed}

    def _planned(self) -> Iterator[Cell]:
        for system in self.manifest["systems"]:
            for suite in self.manifest["suites"]:
                for language in self.manifest["languages"]:
                    yield system, suite, language

    def is_older_than(self, file: Path) -> bool:
        """Whether a file was written after every whole cell."""
        sealed = [(self._run.cell(*x).path / "cell.json").stat().st_mtime_ns for x in self.whole_cells]
        return file.exists() and max(sealed, default=0) <= file.stat().st_mtime_ns

    @cached_property
    def scores(self) -> Frame:
        """One row per item and metric: the fields of ``Score``, with system, suite, language and signature."""
        return _concat(
            [
                _table(self._run.cell(*x), Score, "scores", info["signature"], _place(x))
                for x, info in self.whole_cells.items()
            ]
        )

    @cached_property
    def estimators(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(suite, language) -> settings of estimators that the data sets' publishers use."""
        return {x[1:]: found for x, info in self.whole_cells.items() if (found := info.get("estimators"))}

    @cached_property
    def answers(self) -> TablesByCell:
        """Whole cell of an open suite -> its items: item_id, source_id, task, and answer: an ``Answer``, or None."""
        open_ = self.open_suites
        return TablesByCell([x for x in self.whole_cells if x[1] in open_], self._answers)

    def _answers(self, cell: Cell) -> Frame:
        folder = self._run.cell(*cell)
        items = _columns(folder, "items", ["item_id", "source_id", "task"]).to_pandas()
        generated = _columns(folder, "generations", ["item_id", "index", "text", "finish_reason"])
        answers = answers_of(map(_Generated, *(x.to_pylist() for x in generated.columns)))
        return items.assign(answer=pd.Series([answers.get(x) for x in items["item_id"]], items.index, dtype=object))

    @cached_property
    def requests(self) -> TablesByCell:
        """Whole cell -> what its system was asked: item_id, prompt, continuation."""
        columns = ["item_id", "prompt", "continuation"]
        return TablesByCell(
            list(self.whole_cells),
            lambda cell: _columns(self._run.cell(*cell), "generations", columns).to_pandas(),
        )

    @cached_property
    def _judgings(self) -> tuple[Frame, list[dict[str, str]]]:
        tables, unfinished = [], []
        reference = self.manifest["reference"]
        for judge in self.manifest["judges"]:
            for candidate, suite, language in self._planned():
                cell = self._run.judgments(judge, candidate, reference, suite, language)
                if cell.is_sealed:
                    info = _sealed(cell)
                    place = {"judge": judge, "candidate": candidate, "reference": reference}
                    place |= {"suite": suite, "language": language}
                    table = _table(cell, Judgment, "judgments", info["signature"], place)
                    planned = pa.repeat(info.get("orders_per_item", 1), len(table))
                    tables.append(table.append_column("orders_per_item", planned))
                elif reason := _unfinished(cell):
                    unfinished.append({**_place((candidate, suite, language)), "reason": f"judge {judge}: {reason}"})
        return _concat(tables), unfinished

    @cached_property
    def judgments(self) -> Frame:
        """Every judgment of the judgings that are whole.

        One row per item and order: the fields of ``Judgment`` but its details, with judge, candidate, reference, suite,
        language, signature, and ``orders_per_item`` as it was planned.
        """
        return self._judgings[0]

    @cached_property
    def preferences(self) -> Frame:
        """One row per judged item, its orders joined, with judge, candidate and reference."""
        return join_orders(self.judgments)

    @cached_property
    def missing(self) -> Frame:
        """System, suite, language and reason of the cells that were planned and aren't there, and of the judgings that
        were begun and aren't whole."""
        gaps = {(x["suite"], x["language"]): x["reason"] for x in self._gaps}
        absent = [
            {**_place(x), "reason": gaps.get(x[1:], "not run yet")}
            for x in self._planned()
            if x not in self.whole_cells
        ]
        return pd.DataFrame([*absent, *self._judgings[1]], columns=_MISSING)

    @property
    def unfinished_judgings(self) -> Frame:
        """The rows of ``missing`` that are about judgings."""
        return pd.DataFrame(self._judgings[1], columns=_MISSING)

    @cached_property
    def _gaps(self) -> list[dict[str, Any]]:
        file = self.folder / "gaps.json"
        return read_json(file) if file.exists() else []

    @property
    def planned_gaps(self) -> dict[tuple[str, str], str]:
        """(suite, language) -> why the suite has no data for it; data that could not be used are no planned gap."""
        return {(x["suite"], x["language"]): x["reason"] for x in self._gaps if not x.get("failed")}

    @cached_property
    def ledger(self) -> list[dict[str, Any]]:
        """What each call to a server cost, if there were any; a torn last line is left out."""
        file = self._run.ledger
        if not file.exists():
            return []
        rows = []
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last newline was never finished
        for number, line in enumerate(lines, 1):
            try:
                rows.append(_priced(json.loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                raise StoreError(f"{file}, line {number} is damaged: {error}.") from error
        return rows


def join_orders(judgments: Frame) -> Frame:
    """One preference per item from all its judgments, as ``preference_of`` has it, for a whole table.

    Columns: judge, candidate, reference, suite, language, task, item_id, source_id, preference, unscored, signature.
    """
    columns = [*_JUDGED, "preference", "unscored", "signature"]
    if judgments.empty:
        return pd.DataFrame(columns=columns)
    value = judgments["verdict"].map(VERDICT_VALUE).astype(float)
    if "preference" in judgments:  # not in files of schema version 1
        graded = judgments["preference"].astype(float)
        value = graded.where(np.isfinite(graded)).fillna(value)
    grouped = judgments.assign(preference=value).groupby(_JUDGED, sort=False, dropna=False)
    preferences = grouped["preference"].mean().reset_index()
    first = grouped["unscored"].first().to_numpy(dtype=object)
    is_whole = grouped["preference"].count().to_numpy() >= grouped["orders_per_item"].first().to_numpy()
    has_reason = pd.notna(first)
    preferences["unscored"] = pd.Series(first, dtype=object).mask(~has_reason & ~is_whole, INCOMPLETE)
    preferences.loc[has_reason | ~is_whole, "preference"] = np.nan
    return preferences.assign(signature=grouped["signature"].first().array)[columns]


@dataclass(frozen=True)
class _Generated:
    item_id: str
    index: int
    text: str | None
    finish_reason: str | None


_WANTED = {
    Score: {x.name for x in fields(Score)},
    Judgment: {x.name for x in fields(Judgment)} - {"details"},
}


def _table(cell: CellFolder, kind: type, name: str, signature: Signature, place: Mapping[str, str]) -> pa.Table:
    """The records of a cell, with columns that say which cell it is and how its values came about."""
    table = _columns(cell, name, _WANTED[kind])
    for column, value in place.items():
        table = table.append_column(column, pa.repeat(value, len(table)))
    codes = pa.array(np.zeros(len(table), dtype=np.int32))
    return table.append_column("signature", pa.DictionaryArray.from_arrays(codes, [str(signature)]))


def _columns(cell: CellFolder, name: str, wanted: Collection[str]) -> pa.Table:
    """Some columns of a cell's records; one that an older version did not write is left out. Raises StoreError."""
    file = cell.path / f"{name}.parquet"
    try:
        with pq.ParquetFile(file) as source:
            return source.read([x for x in source.schema_arrow.names if x in wanted], use_threads=False)
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} can't be read: {error}.") from error


def _concat(tables: list[pa.Table]) -> Frame:
    """One pandas table, its signatures parsed; a column that an older version did not write is empty there."""
    if not tables:
        return pd.DataFrame()
    table = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return table.assign(signature=table["signature"].cat.rename_categories(Signature.parse))


def _place(cell: Cell) -> dict[str, str]:
    return dict(zip(("system", "suite", "language"), cell, strict=True))


def _sealed(cell: CellFolder) -> dict[str, Any]:
    info = cell.seal_info()
    return {**info, "signature": Signature.parse(info["signature"])}


def _unfinished(cell: CellFolder) -> str | None:
    """How far a judging that was begun came; None if it was not begun."""
    file = cell.path / "gap.json"
    if file.exists():
        return read_json(file)["reason"]
    return "judging was not finished" if cell.begun_with() is not None else None


def _priced(call: dict[str, Any]) -> dict[str, Any]:
    return {**call, "price": None if call["price"] is None else float(call["price"])}
