"""``scores.csv``: means and win rates with their intervals, per task, language and group.

The columns are documented in docs/files.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...harness.api.records import Signature
from ...harness.text.languages import GROUPS
from ..items.item_values import KINDS, SCORE, kind_numbers
from ..items.scopes import WHOLE, scopes
from ..records.run_data import Frame, RunData
from ..stats import Estimate, mean_interval
from ..stats.corpus import CORPUS_METRICS, corpus_interval, resampled_score
from ..stats.inputs import Array

SCORE_COLUMNS = (
    *("system", "suite", "task", "language", "metric"),
    *("value", "ci_low", "ci_high", "n", "n_unscored", "method", "euroeval_score", "euroeval_half_width", "signature"),
)


def score_table(data: RunData) -> Frame:
    """One row per system, suite, task, language and metric; then rows that pool tasks, and languages by group.

    A row that pools tasks has metric ``score``: the mean of the items' primary metrics. Win rates of candidates over
    the reference stand in the same table as metric ``win_rate[JUDGE]``. Gaps are rows with n = 0.
    """
    rows = [*_scores(data), *_win_rates(data), *_gap_rows(data)]
    table = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    rank: dict[str, Any] = {
        "system": {x: i for i, x in enumerate(data.systems)},
        "suite": {x: i for i, x in enumerate(data.suites)},
        "language": {x: i for i, x in enumerate((*data.languages, *GROUPS))},
    }
    ordered = table.assign(_task=table["task"].eq(WHOLE), **{f"_{k}": table[k].map(v) for k, v in rank.items()})
    ordered = ordered.sort_values(["_system", "_suite", "_language", "_task", "task", "metric"], kind="stable")
    return ordered[list(SCORE_COLUMNS)].reset_index(drop=True)


def _scores(data: RunData) -> Iterator[tuple]:
    if data.scores.empty:
        return
    values = _Values(data.scores, "value")
    keys = ["system", "suite", "task", "language", "metric"]
    for (system, suite, task, language, metric), rows in data.scores.groupby(keys, sort=False).indices.items():
        settings = data.estimators.get((suite, language), {}).get("euroeval")
        euroeval = _euroeval_score(metric, task, data.scores.iloc[rows], settings) if settings else _NO_ESTIMATE
        estimate = _corpus_estimate(metric, data.scores, rows) or values.mean(rows, pooled=False)
        yield _cells(system, suite, task, language, metric, estimate, values.signature(rows), euroeval)
    primary = data.scores[data.scores["primary"].to_numpy(dtype=bool)]
    yield from _pooled(primary, "value", data.languages, SCORE, "system")


def _corpus_estimate(metric: str, table: Frame, rows: Array) -> Estimate | None:
    """A metric of one task that is computed from all items at once; None for those that are means of item values."""
    if metric not in CORPUS_METRICS or not table["gold"].iloc[rows].notna().any():
        return None
    return corpus_interval(metric, _labels(table["gold"].iloc[rows]), _labels(table["predicted"].iloc[rows]))


def _labels(column: Frame) -> list[str | None]:
    return [x if isinstance(x, str) else None for x in column]


_NO_ESTIMATE = (math.nan, math.nan)


def _euroeval_score(metric: str, task: str, part: Frame, settings: dict[str, Any]) -> tuple[float, float]:
    """Mean and half width by EuroEval's own rule, over the items in the data set's order."""
    scored = part[part["value"].notna()]
    if scored.empty:
        return _NO_ESTIMATE
    rule = {"iterations": settings["iterations"], "seed": settings["seed"]}
    drawn_before = settings["drawn_before"].get(task, ())
    if metric in CORPUS_METRICS:
        return resampled_score(None, metric, list(scored["gold"]), list(scored["predicted"]), drawn_before, **rule)
    return resampled_score(list(scored["value"]), metric, [], [], drawn_before, **rule)


def _win_rates(data: RunData) -> Iterator[tuple]:
    if data.preferences.empty:
        return
    table = data.preferences.assign(kind="bounded")
    for judge, part in table.groupby("judge", sort=False):
        metric = f"win_rate[{judge}]"
        values = _Values(part, "preference")
        keys = ["candidate", "suite", "task", "language"]
        for (candidate, suite, task, language), rows in part.groupby(keys, sort=False).indices.items():
            estimate = values.mean(rows, pooled=False)
            yield _cells(candidate, suite, task, language, metric, estimate, values.signature(rows))
        yield from _pooled(part, "preference", data.languages, metric, "candidate")


def _pooled(table: Frame, column: str, languages: list[str], metric: str, system_column: str) -> Iterator[tuple]:
    """Rows that pool a suite's tasks: in each language; then in the groups of the run's languages, with translations as
    clusters. A suite may have only some of the languages."""
    values = _Values(table, column)
    for (system, suite), rows in table.groupby([system_column, "suite"], sort=False).indices.items():
        for scope in scopes(languages):
            chosen = rows[values.are_in(rows, scope.languages)]
            if len(chosen):
                estimate = values.mean(chosen, pooled=scope.kind != "language")
                yield _cells(system, suite, WHOLE, scope.name, metric, estimate, values.signature(chosen))


class _Values:
    """A table's item values as arrays, to be summarised for chosen rows."""

    def __init__(self, table: Frame, column: str) -> None:
        self._language, self._languages = pd.factorize(table["language"].to_numpy(dtype=object))
        self._values = table[column].to_numpy(dtype=float)
        self._kinds = kind_numbers(table)
        self._sources = pd.factorize(table["source_id"])[0]
        self._signature, self._signatures = pd.factorize(table["signature"])

    def are_in(self, rows: Array, languages: Sequence[str]) -> Array:
        return np.isin(self._languages, languages)[self._language[rows]]

    def mean(self, rows: Array, pooled: bool) -> Estimate:
        kind = KINDS[self._kinds[rows].max()]
        return mean_interval(self._values[rows], self._sources[rows] if pooled else None, kind)

    def signature(self, rows: Array) -> Signature:
        return Signature.joint(self._signatures[np.unique(self._signature[rows])])


def _cells(
    system,
    suite,
    task,
    language,
    metric,
    e: Estimate,
    signature: Signature | str,
    euroeval: tuple[float, float] = _NO_ESTIMATE,
) -> tuple:
    numbers = (e.value, e.ci_low, e.ci_high, e.n, e.n_unscored, e.method, *euroeval)
    return (system, suite, task, language, metric, *numbers, signature)


def _gap_rows(data: RunData) -> Iterator[tuple]:
    for x in data.missing.itertuples():
        yield _cells(x.system, x.suite, WHOLE, x.language, "gap", Estimate.nothing(0), str(x.reason))
