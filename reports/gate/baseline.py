"""A system of a run against one of a baseline: another run, or item values that were exported from one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...harness.errors import UserError
from ..items.item_values import SCORE
from ..items.measures import OFF_TARGET
from ..records.run_data import Frame, RunData
from .export import read_items, system_items
from .pair import GatePair, as_run, check_name, only

_JUDGED = r"win_rate\[(.*)\]"
_ABSENT = "not in the baseline"
_Missing = list[tuple[str, ...]]


def against_baseline(
    run: RunData, baseline: Path, candidate: str | None, reference: str | None, suites: Sequence[str] | None
) -> GatePair:
    """A system of a run and one of a baseline: a run directory, or a CSV file of item values.

    Items are paired by suite, language and id. By default the candidate is the run's only system, or its only one
    beside its reference; the baseline's system is the one of the same name, or its only one. ``suites`` limits what is
    looked at. Raises UserError where both did not answer the same items in the same way, StoreError for a damaged run.
    """
    candidate = candidate or default_candidate(run)
    check_name(candidate, run.systems, run.folder)
    theirs, broken = _baseline_items(baseline, candidate, reference)
    name = f"{theirs['system'].iloc[0]}@{baseline.stem}"
    ours, theirs = (_compared_as(x, suites) for x in (system_items(run, candidate), theirs.assign(system=name)))
    _check_cells(ours, theirs, run.folder, baseline)
    cells = set(_cells(ours))
    theirs_alone = [x for x in dict.fromkeys(_cells(theirs)) if x not in cells]
    both = pd.concat([ours, theirs[[x in cells for x in _cells(theirs)]]], ignore_index=True)
    is_off_target = both["metric"].eq(OFF_TARGET)
    present = set(_cells(theirs))
    absent = [(name, *x, _ABSENT) for x in _places(run) if (*x, SCORE) not in present and x not in broken]
    absent += [(name, *place, reason) for place, reason in broken.items()]
    no_values = [(name, *x, f"{_ABSENT} as {OFF_TARGET}") for x in _places(run) if (*x, OFF_TARGET) not in present]
    return GatePair(
        candidate,
        name,
        _both_systems(run, both[~is_off_target], [candidate, name], absent),
        as_run(run, both[is_off_target], [candidate, name], no_values),
        run.planned_gaps,
        tuple(f"{_cell_name(x)} is in the baseline alone" for x in theirs_alone),
    )


def default_candidate(data: RunData) -> str:
    """The run's only system, or its only one beside its reference. Raises UserError if one must be named."""
    others = [x for x in data.systems if x != data.manifest["reference"]]
    return only(others or data.systems, data.folder, "--candidate")


def _baseline_items(path: Path, candidate: str, wanted: str | None) -> tuple[Frame, dict[tuple[str, str], str]]:
    """The baseline's item values, and (suite, language) -> reason for its cells that were begun and aren't whole."""
    if not path.exists():
        raise UserError(f"there is no baseline {path}.")
    if path.is_dir():
        data = RunData(path)
        name = _baseline_system(path, data.systems, candidate, wanted)
        of_system = data.missing[data.missing["system"].eq(name)].itertuples()
        missing = [x for x in of_system if (x.suite, x.language) not in data.planned_gaps]
        items = system_items(data, name)
        if items.empty:
            raise UserError(f"baseline {path} holds no values of system {name!r}; finish it with `croco-eval run`.")
        return items, {(str(x.suite), str(x.language)): str(x.reason) for x in missing}
    items = read_items(path)
    name = _baseline_system(path, list(dict.fromkeys(items["system"])), candidate, wanted)
    return items[items["system"].eq(name)], {}


def _baseline_system(path: Path, systems: Sequence[str], candidate: str, wanted: str | None) -> str:
    if wanted is None:
        return candidate if candidate in systems else only(systems, path, "--reference")
    check_name(wanted, systems, path)
    return wanted


def _compared_as(items: Frame, suites: Sequence[str] | None) -> Frame:
    """The items of these suites, with what they are compared as: their win rate, ``off_target``, or their score."""
    chosen = items if suites is None else items[items["suite"].isin(suites)]
    is_score = ~chosen["metric"].str.fullmatch(_JUDGED) & chosen["metric"].ne(OFF_TARGET)
    return chosen.assign(compared_as=chosen["metric"].mask(is_score, SCORE))


def _cells(items: Frame) -> Iterator[tuple[str, str, str]]:
    return zip(items["suite"], items["language"], items["compared_as"], strict=True)


def _places(data: RunData) -> list[tuple[str, str]]:
    return [(suite, language) for suite in data.suites for language in data.languages]


def _check_cells(ours: Frame, theirs: Frame, folder: Path, baseline: Path) -> None:
    """Raises UserError unless both have something in common, and it is the same items, asked and scored in one way."""
    own, other = (dict(list(x.groupby(["suite", "language", "compared_as"], sort=False))) for x in (ours, theirs))
    common = [x for x in own if x in other]
    if not common:
        raise UserError(f"{folder} and baseline {baseline} have no suite and language in common.")
    for cell in common:
        where = f"{_cell_name(cell)}: baseline {baseline}"
        for left in own[cell]["signature"].unique():
            for right in other[cell]["signature"].unique():
                if differs := right.conflict(left):
                    raise UserError(
                        f"{where} and the run differ in {differs}; make the baseline again with the run's settings."
                    )
        left, right = (set(zip(x[cell]["task"], x[cell]["item_id"], strict=True)) for x in (own, other))
        if left != right:
            raise UserError(
                f"{where} has {len(right)} items and the run {len(left)}, {len(left & right)} of them the same, "
                "although both have one signature; items were lost or changed, so make the baseline again."
            )


def _cell_name(cell: Any) -> str:
    suite, language, metric = cell
    return f"{suite} in {language}" if metric == SCORE else f"{suite} in {language}, {metric}"


def _both_systems(data: RunData, items: Frame, systems: list[str], absent: _Missing) -> RunData:
    """Both systems as if they were of one run, with the candidate run's reference under the win rates."""
    judged = items["compared_as"].ne(SCORE)
    preferences = items[judged]
    preferences = preferences.assign(
        judge=preferences["metric"].str.extract(_JUDGED, expand=False),
        candidate=preferences["system"],
        reference=data.manifest["reference"],
        preference=preferences["value"],
    )
    own = data.missing[data.missing["system"].eq(systems[0])]
    gaps = pd.concat([own, pd.DataFrame(absent, columns=list(own.columns))], ignore_index=True)
    manifest = {**data.manifest, "systems": {x: {} for x in systems}}
    return RunData.of_tables(manifest, items[~judged].assign(primary=True), preferences, gaps)
