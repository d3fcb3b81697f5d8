"""The rows of a gate before their verdict: paired comparisons, answers in another language, money."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...harness.errors import StoreError
from ...harness.store.run_directory import RunDirectory
from ..items.scopes import WHOLE, scopes
from ..records.run_data import RunData
from ..tables.comparisons import ComparisonRules, raw_comparisons
from .export import OFF_TARGET
from .policy import ResolvedPolicy
from .sides import Sources
from .verdict import Measured

_SAME_NAME = ("suite", "metric", "language", "n", "unscored_candidate", "unscored_reference", "difference")
_SAME_NAME = (*_SAME_NAME, "ci_low", "ci_high", "p_value", "p_noninferior", "mde", "method")


def measure(folder: Path, sources: Sources, policy: ResolvedPolicy) -> tuple[list[Measured], list[str]]:
    """Every gated row, and notes of what is not gated. ``folder`` is the candidate's run.

    What the policy gates and can't be compared is a row with a ``hole``; only planned gaps are left out.
    """
    rows = [*_scores(sources, policy), *_off_target(sources, policy), *_cost(folder, policy)]
    gated = {x.suite for x in rows}
    planned = {x: y for x, y in sources.planned_gaps.items() if x[0] in policy.suites}
    rows += [
        Measured(
            "scores", suite, "", WHOLE, math.nan, hole="none of it was scored or judged; judge it, or leave it out"
        )
        for suite in policy.suites
        if suite not in gated and any((suite, x) not in planned for x in sources.data.languages)
    ]
    notes = [f"{suite} in {language} is not gated: {reason}" for (suite, language), reason in planned.items()]
    return rows, [*notes, *sources.notes]


def _scores(sources: Sources, policy: ResolvedPolicy) -> Iterator[Measured]:
    found = {}
    by_margins: dict[tuple[float, ...], list[str]] = {}
    for row in policy.rows:
        by_margins.setdefault(tuple(policy.margins[x, row] for x in policy.suites), []).append(row)
    for margins, rows in by_margins.items():
        of_suite = dict(zip(policy.suites, margins, strict=True))
        for x in _rows(sources.data, sources, policy, of_suite):
            if x.language in rows:
                found[x.suite, x.metric, x.language] = x
    panels = dict.fromkeys((suite, metric) for suite, metric, _ in found)
    return (found[*panel, row] for panel in panels for row in policy.rows if (*panel, row) in found)


def _off_target(sources: Sources, policy: ResolvedPolicy) -> Iterator[Measured]:
    if (bound := policy.max_off_target) is not None:
        for x in _rows(sources.off_target, sources, policy, {}):
            if x.language in policy.rows:
                yield replace(x, measure="off_target", metric=OFF_TARGET, bound=bound, p_noninferior=math.nan)


def _rows(data: RunData, sources: Sources, policy: ResolvedPolicy, margins: Mapping[str, float]) -> Iterator[Measured]:
    """A row per suite, metric and scope; those that lack nothing but planned gaps are left out."""
    chosen = {k: v for k, v in data.manifest["suites"].items() if k in policy.suites}
    data = replace(data, manifest={**data.manifest, "suites": chosen})
    rules = ComparisonRules(
        policy.alpha, policy.correction, margins=margins, n_resamples=policy.n_resamples, seed=policy.seed
    )
    rows = raw_comparisons(data, rules, [(sources.candidate, sources.reference)]).to_dict("records")
    lacking = {(x["suite"], x["metric"], x["language"]): x["signature"] for x in rows if _is_lacking(x)}
    members = {x.name: x.languages for x in scopes(data.languages)}
    for x in rows:
        suite, metric = x["suite"], x["metric"]
        absent = {y: lacking[suite, metric, y] for y in members[x["language"]] if (suite, metric, y) in lacking}
        holes = [f"{y}: {reason}" for y, reason in absent.items() if (suite, y) not in sources.planned_gaps]
        if holes or len(absent) < len(members[x["language"]]):
            yield _measured(x, "; ".join(holes) or None)


def _is_lacking(row: Mapping[Any, Any]) -> bool:
    """Whether a language was not compared: then the signature's place holds the reason."""
    return row["scope"] == "language" and not row["n"] + row["unscored_candidate"] + row["unscored_reference"]


def _measured(row: Mapping[Any, Any], hole: str | None) -> Measured:
    same = {x: row[x] for x in _SAME_NAME}
    means = {"candidate": row["mean_candidate"], "reference": row["mean_reference"]}
    return Measured(measure="scores", bound=row["margin"], hole=hole, **same, **means)


def _cost(folder: Path, policy: ResolvedPolicy) -> Iterator[Measured]:
    if policy.max_cost is not None:
        money, n_unpriced = spent(folder)
        hole = f"{n_unpriced} calls have no price" if n_unpriced and money <= policy.max_cost else None
        yield Measured("cost", "", "", "", policy.max_cost, candidate=money, hole=hole)


def spent(folder: Path) -> tuple[float, int]:
    """(money, calls without a price) by the ledger of a run, if it has one. Raises StoreError if it is damaged."""
    file = RunDirectory(folder).ledger
    if not file.exists():
        return 0.0, 0
    money, n_unpriced = 0.0, 0
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last newline was never finished
    for number, line in enumerate(lines, 1):
        try:
            price = json.loads(line)["price"]
            money += price or 0.0
            n_unpriced += price is None
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{file}, line {number} is damaged: {error}.") from error
    return money, n_unpriced
