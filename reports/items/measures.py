"""What the open-ended answers look like, item by item, whatever they say: length, repetition, language, cut off or not.

A panel per suite and measure, so that two systems are compared on them as on any other item values.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from ...harness.errors import StoreError
from ...harness.store.run_directory import CellFolder, RunDirectory
from ...harness.text.answers import repetition, strip_reasoning
from ...harness.text.langid import identify
from ..records.run_data import Frame, RunData
from ..stats.inputs import Kind
from .item_values import Panel, panel_of

MEASURES: dict[str, Kind] = {
    "length": "continuous",
    "repetition": "bounded",
    "cut_off": "binary",
    "off_target": "binary",
}
"""``length``: characters. ``repetition``: share of word 4-grams that stood in the answer before. ``cut_off``: the
answer ended at the token limit. ``off_target``: it is in another language than its cell's; unscored where that can't be
told."""


def answer_panels(folder: Path, data: RunData) -> Iterator[Panel]:
    """A panel for each open suite and measure. Raises StoreError for damaged records."""
    run = RunDirectory(folder)
    for suite, facts in data.manifest["suites"].items():
        if facts["kind"] != "open":
            continue
        cells = [
            _measured(cell).assign(system=system, language=language, signature=cell.seal_info()["signature"])
            for language in data.languages
            for system in data.systems
            if (cell := run.cell(system, suite, language)).is_sealed
        ]
        table: Any = pd.concat(cells, ignore_index=True) if cells else pd.DataFrame()
        if len(table):
            table["off_target"] = _off_target(table)
            for measure in MEASURES:
                yield _panel(data, table, suite, measure)


def _measured(cell: CellFolder) -> Frame:
    answers = read_columns(cell, "generations", ["item_id", "index", "text", "finish_reason"])
    answers = answers[answers["text"].notna()].sort_values("index", kind="stable").drop_duplicates("item_id")
    table = read_columns(cell, "items", ["item_id", "source_id", "task"]).merge(answers, on="item_id", how="left")
    texts = [strip_reasoning(x) if isinstance(x, str) else None for x in table["text"]]
    known = [x is not None for x in texts]
    return table.assign(
        text=texts,
        length=[None if x is None else float(len(x)) for x in texts],
        repetition=[None if x is None else repetition(x.casefold()) for x in texts],
        cut_off=table["finish_reason"].eq("length").astype(float).where(known),
    )


def _off_target(table: Frame) -> list[float | None]:
    return [_is_off_target(x, y) for x, y in zip(table["text"], table["language"], strict=True)]


def _is_off_target(text: Any, language: str) -> float | None:
    known = identify(text).is_in(language) if isinstance(text, str) else None
    return None if known is None else float(not known)


def _panel(data: RunData, table: Frame, suite: str, measure: str) -> Panel:
    value = table[measure].astype(float)
    reason = value.isna().map({True: "can't be told", False: None})
    rows = table.assign(**{measure: value, "kind": MEASURES[measure], "unscored": reason})
    return panel_of(data, rows, suite, measure, measure)


def read_columns(cell: CellFolder, name: str, columns: list[str]) -> Any:
    """Some columns of a sealed cell's records. Raises StoreError."""
    file = cell.path / f"{name}.parquet"
    try:
        with pq.ParquetFile(file) as source:
            return source.read(columns).to_pandas()
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} can't be read: {error}.") from error
