"""What a finished, or half-finished, run directory holds, as tables. No model, no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from ..harness.errors import StoreError
from ..harness.store import CellFolder, RunDirectory, read_json

Frame: TypeAlias = Any
"""A pandas table. pandas' own annotations give unions at every step that no code can narrow."""

ORDER_VALUE = {"candidate": 1.0, "tie": 0.5, "reference": 0.0}


@dataclass(frozen=True)
class RunData:
    """``scores``: one row per item and metric, with system, suite, language, signature. ``preferences``: one row per
    judged item, with judge, candidate and reference. ``missing``: cells that were planned and aren't there."""

    manifest: dict[str, Any]
    scores: Frame
    preferences: Frame
    missing: Frame

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
    scores, missing = [], []
    for system in manifest["systems"]:
        for suite in manifest["suites"]:
            for language in manifest["languages"]:
                cell = run.cell(system, suite, language)
                if cell.is_sealed:
                    scores.append(_table(cell, "scores", system=system, suite=suite, language=language))
                else:
                    reason = gaps.get((suite, language), "not run yet")
                    missing.append({"system": system, "suite": suite, "language": language, "reason": reason})
    preferences = [_table(cell, "judgments", **where) for cell, where in _judged(run, manifest)]
    return RunData(
        manifest,
        _concat(scores),
        _join_orders(_concat(preferences)),
        pd.DataFrame(missing, columns=["system", "suite", "language", "reason"]),
    )


def _gaps(folder: Path) -> dict[tuple[str, str], str]:
    file = folder / "gaps.json"
    return {(x["suite"], x["language"]): x["reason"] for x in read_json(file)} if file.exists() else {}


def _judged(run: RunDirectory, manifest: dict[str, Any]):
    reference = manifest["reference"]
    for judge in manifest["judges"]:
        for candidate in manifest["systems"]:
            for suite in manifest["suites"]:
                for language in manifest["languages"]:
                    cell = run.judgments(judge, candidate, reference, suite, language)
                    if cell.is_sealed:
                        where = {"judge": judge, "candidate": candidate, "reference": reference}
                        yield cell, {**where, "suite": suite, "language": language}


def _table(cell: CellFolder, name: str, **columns: str) -> Frame:
    file = cell.path / f"{name}.parquet"
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} can't be read: {error}.") from error
    for column, value in reversed(columns.items()):
        table.insert(0, column, value)
    table["signature"] = cell.seal_info()["signature"]
    return table


def _concat(tables: list[Frame]) -> Frame:
    full = [x for x in tables if len(x)]
    return pd.concat(full, ignore_index=True) if full else (tables[0] if tables else pd.DataFrame())


def _join_orders(judgments: Frame) -> Frame:
    """One preference per item from all its judgments: their mean; unscored as soon as one of them is.

    Columns: judge, candidate, reference, suite, language, task, item_id, source_id, preference, unscored, signature.
    """
    keys = ["judge", "candidate", "reference", "suite", "language", "task", "item_id", "source_id", "signature"]
    columns = [*keys[:-1], "preference", "unscored", "signature"]
    if judgments.empty:
        return pd.DataFrame(columns=columns)
    table = judgments.assign(preference=judgments["verdict"].map(ORDER_VALUE))
    grouped = table.groupby(keys, sort=False, dropna=False)
    joined = grouped["preference"].agg(lambda x: x.mean(skipna=False)).reset_index()
    reasons = grouped["unscored"].agg(lambda x: next((v for v in x if isinstance(v, str)), None)).reset_index()
    joined["unscored"] = reasons["unscored"]
    return joined[columns]
