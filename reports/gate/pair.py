"""The two systems that a gate compares, side by side: both of one run (a baseline: see ``baseline.py``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ...harness.errors import UserError
from ...harness.registry import did_you_mean
from ..records.run_data import Frame, RunData
from ..tables.comparisons import check_pairs
from .export import off_target_items

Gaps = Mapping[tuple[str, str], str]
"""(suite, language) -> reason."""


@dataclass(frozen=True)
class GatePair:
    """``data`` holds both systems, ``off_target`` the same of answers in another language (1, else 0). ``planned_gaps``
    are no hole in what is gated: the suites have no data there. ``notes`` say what of a baseline is not gated."""

    candidate: str
    reference: str
    data: RunData
    off_target: RunData
    planned_gaps: Gaps
    notes: tuple[str, ...] = field(default=())


def within_run(run: RunData, candidate: str | None, reference: str | None, with_off_target: bool) -> GatePair:
    """Two systems of one run: by default its only candidate and its reference.

    Raises UserError for a name that can't be and where the candidate must be named, StoreError for a damaged run.
    """
    second = reference or str(run.manifest["reference"])
    check_name(second, run.systems, run.folder)
    first = candidate or only([x for x in run.systems if x != second], run.folder, "--candidate")
    check_pairs(run, [(first, second)])
    pair = [first, second]
    parts = [off_target_items(run, x) for x in pair] if with_off_target else []
    items = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return GatePair(first, second, run, as_run(run, items, pair), run.planned_gaps)


def as_run(data: RunData, items: Frame, systems: Sequence[str], missing: Iterable[tuple[str, ...]] = ()) -> RunData:
    """Item values of these systems as a run of structured suites. ``missing``: system, suite, language, reason."""
    suites = items["suite"].unique() if len(items) else ()
    manifest = {
        **data.manifest,
        "systems": {x: {} for x in systems},
        "suites": {x: {"kind": "structured"} for x in suites},
    }
    gaps = pd.DataFrame(list(missing), columns=["system", "suite", "language", "reason"])
    return RunData.of_tables(manifest, items.assign(primary=True), data.preferences.iloc[:0], gaps)


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
