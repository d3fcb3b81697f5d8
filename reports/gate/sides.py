"""The two systems that a gate compares, side by side: both of one run (a baseline: see ``baseline.py``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ...harness.errors import UserError
from ...harness.registry import did_you_mean
from ...harness.store.files import read_json
from ..records.run_data import Frame, RunData, load_run
from ..tables.comparisons import check_pairs
from .export import OFF_TARGET, system_items

Gaps = Mapping[tuple[str, str], str]
"""(suite, language) -> reason."""


@dataclass(frozen=True)
class Sources:
    """``data`` holds both systems, ``off_target`` the same of answers in another language (1, else 0). ``planned_gaps``
    are no hole in what is gated: the suites have no data there. ``notes`` say what of a baseline is not gated."""

    candidate: str
    reference: str
    data: RunData
    off_target: RunData
    planned_gaps: Gaps
    notes: tuple[str, ...] = field(default=())


def within_run(folder: Path, candidate: str | None, reference: str | None, with_off_target: bool) -> Sources:
    """Two systems of one run: by default its only candidate and its reference.

    Raises UserError for a name that can't be and where the candidate must be named, StoreError for a damaged run.
    """
    data = load_run(folder)
    second = reference or str(data.manifest["reference"])
    check_name(second, data.systems, folder)
    first = candidate or only([x for x in data.systems if x != second], folder, "--candidate")
    check_pairs(data, [(first, second)])
    pair = [first, second]
    items = pd.DataFrame()
    if with_off_target:
        items = pd.concat([system_items(folder, data, x) for x in pair], ignore_index=True)
        items = items[items["metric"].eq(OFF_TARGET)]
    return Sources(first, second, data, as_run(data, items, pair), planned_gaps(folder))


def planned_gaps(folder: Path) -> dict[tuple[str, str], str]:
    """What the suites have no data for; data that could not be used are no planned gap."""
    file = folder / "gaps.json"
    gaps = read_json(file) if file.exists() else []
    return {(x["suite"], x["language"]): x["reason"] for x in gaps if not x.get("failed")}


def as_run(data: RunData, items: Frame, systems: Sequence[str], missing: Iterable[tuple[str, ...]] = ()) -> RunData:
    """Item values of these systems as a run of structured suites. ``missing``: system, suite, language, reason."""
    suites = items["suite"].unique() if len(items) else ()
    manifest = {
        **data.manifest,
        "systems": {x: {} for x in systems},
        "suites": {x: {"kind": "structured"} for x in suites},
    }
    gaps = pd.DataFrame(list(missing), columns=["system", "suite", "language", "reason"])
    return RunData(manifest, items.assign(primary=True), data.preferences.iloc[:0], gaps)


def only(names: Sequence[str], where: Path, option: str) -> str:
    """The only name. Raises UserError if there is none, or if ``option`` must say which."""
    if len(names) == 1:
        return names[0]
    if not names:
        raise UserError(f"{where} holds no system beside its reference; compare it with another run by --baseline.")
    raise UserError(f"{where} holds several systems ({', '.join(names)}); say which one with {option}.")


def check_name(name: str, known: Sequence[str], where: Path) -> None:
    """Raises UserError, with the near names, for a system that isn't there."""
    if name not in known:
        raise UserError(f"{where} holds no system {name!r} ({', '.join(known)}){did_you_mean(name, known) or '.'}")
