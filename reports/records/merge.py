"""Several runs as one: their systems side by side, for a leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ...harness.errors import UserError
from ...harness.store.fingerprint import digest
from ...harness.text.languages import LANGUAGES
from .run_data import Frame, RunData

_SCORED = ["system", "suite", "language"]
_JUDGED = ["judge", "candidate", "suite", "language"]


@dataclass
class MergedRuns:
    """Systems of several runs side by side. ``runs``: system -> the runs it stands in. ``notes``: what could not stand
    beside the rest, a sentence each."""

    data: RunData
    runs: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def merge_runs(folders: Sequence[Path]) -> MergedRuns:
    """All systems of several runs. The reference is the first run's.

    A system of the same name and identity in two runs is one system; of a cell that both hold, the first run's counts.
    Another system of the same name is called NAME@RUN. What was made differently is named in the notes: cells of one
    system with different signatures, and preferences over another reference, which are left out.

    Raises UserError for a run that is named twice and a suite that is structured in one run and open in another,
    StoreError for a folder that is no run.
    """
    labels = _labels(folders)
    first = RunData(folders[0])
    merged = MergedRuns(first, {x: [labels[0]] for x in first.systems})
    for folder, label in zip(folders[1:], labels[1:], strict=True):
        _add(merged, RunData(folder), label)
    return merged


def _labels(folders: Sequence[Path]) -> list[str]:
    places = [x.resolve() for x in folders]
    if twice := [str(x) for i, x in enumerate(folders) if places[i] in places[:i]]:
        raise UserError(f"run {twice[0]} is named twice.")
    names = [x.name for x in places]
    return [str(x) if names.count(name) > 1 else name for x, name in zip(folders, names, strict=True)]


def _add(merged: MergedRuns, other: RunData, label: str) -> None:
    data = merged.data
    names = {x: _name(x, data.manifest["systems"], other.manifest["systems"], label) for x in other.systems}
    for new in names.values():
        merged.runs.setdefault(new, []).append(label)
    scores = _renamed(other.scores, {"system": names})
    preferences = _own_preferences(merged, other, names, label)
    merged.notes += _conflicts(data.scores, scores, _SCORED, label)
    merged.notes += _conflicts(data.preferences, preferences, _JUDGED, label)
    missing = _renamed(other.missing, {"system": names})
    merged.data = RunData.of_tables(
        manifest=_manifest(data.manifest, other.manifest, names, label),
        scores=_without_cells(data.scores, scores, _SCORED),
        preferences=_without_cells(data.preferences, preferences, _JUDGED),
        missing=pd.concat([data.missing, missing], ignore_index=True),
        estimators={**other.estimators, **data.estimators},
        settings=data.settings,
    )


def _name(name: str, known: Mapping[str, Any], others: Mapping[str, Any], label: str) -> str:
    return name if name not in known or digest(known[name]) == digest(others[name]) else f"{name}@{label}"


def _renamed(table: Frame, names: Mapping[str, Mapping[str, str]]) -> Frame:
    return table.assign(**{k: table[k].map(v) for k, v in names.items()}) if len(table) else table


def _own_preferences(merged: MergedRuns, other: RunData, names: dict[str, str], label: str) -> Frame:
    """The other run's preferences, if they are over the same reference."""
    ours, theirs = merged.data.manifest["reference"], other.manifest["reference"]
    same = digest(merged.data.manifest["systems"][ours]) == digest(other.manifest["systems"][theirs])
    if len(other.preferences) and not same:
        merged.notes.append(f"win rates of {label} are over another reference ({theirs}) and are left out")
        return other.preferences.iloc[:0]
    table = _renamed(other.preferences, {"candidate": names})
    return table.assign(reference=ours) if len(table) else table


def _conflicts(ours: Frame, theirs: Frame, cell: list[str], label: str) -> list[str]:
    """Cells of one system that both runs hold, and that came about differently."""
    if ours.empty or theirs.empty:
        return []
    a, b = (x.drop_duplicates(cell).set_index(cell)["signature"] for x in (ours, theirs))
    languages: dict[tuple[str, str], list[str]] = {}
    for *names, language in a.index.intersection(b.index):
        if differs := a[*names, language].conflict(b[*names, language]):
            languages.setdefault((" ".join(names), differs), []).append(language)
    return [
        f"{names} {' '.join(where)}: {label} differs from the run before it in {differs}, and is left out"
        for (names, differs), where in languages.items()
    ]


def _without_cells(ours: Frame, theirs: Frame, cell: list[str]) -> Frame:
    """Both tables; of a cell that both hold, ours."""
    if ours.empty or theirs.empty:
        return theirs if ours.empty else ours
    held = pd.MultiIndex.from_frame(ours[cell].drop_duplicates())
    new = ~pd.MultiIndex.from_frame(theirs[cell]).isin(held)
    return pd.concat([ours, theirs[new]], ignore_index=True)


def _manifest(ours: dict[str, Any], theirs: dict[str, Any], names: dict[str, str], label: str) -> dict[str, Any]:
    for suite, facts in theirs["suites"].items():
        known = ours["suites"].get(suite, facts)["kind"]
        if known != facts["kind"]:
            raise UserError(f"suite {suite} is {known} in the runs before {label} and {facts['kind']} in it.")
    return {
        **ours,
        "systems": {**{names[k]: v for k, v in theirs["systems"].items()}, **ours["systems"]},
        "suites": {**theirs["suites"], **ours["suites"]},
        "judges": {**theirs["judges"], **ours["judges"]},
        "languages": [x for x in LANGUAGES if x in {*ours["languages"], *theirs["languages"]}],
    }
