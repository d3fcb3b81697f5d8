"""``scores.csv``, ``preferences.csv`` and ``leaderboard.csv``: recomputed from the run directory alone.

The columns, their order and their meaning are documented in docs/files.md. The same run gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ..harness.languages import GROUPS, group_of
from ..harness.store import write_atomically
from .run_data import Frame, RunData, load_run
from .stats import Estimate, mean_interval
from .stats.corpus import CORPUS_METRICS, corpus_interval, resampled_score

SCORE_COLUMNS = (
    *("system", "suite", "task", "language", "metric"),
    *("value", "ci_low", "ci_high", "n", "n_unscored", "method", "euroeval_score", "euroeval_half_width", "signature"),
)
PREFERENCE_COLUMNS = (
    *("judge", "candidate", "reference", "suite", "task", "language", "item_id", "source_id"),
    *("preference", "unscored", "signature"),
)
TABLES = ("scores.csv", "preferences.csv", "leaderboard.csv")
WHOLE = "all"
"""Name of the task in rows that pool a suite's tasks, and of the language in rows that pool all languages."""


def write_tables(folder: Path) -> RunData:
    """Writes the three CSV files into the run directory and gives the data they were made from. Raises StoreError."""
    data = load_run(folder)
    scores = score_table(data)
    _write(folder / "scores.csv", scores)
    _write(folder / "preferences.csv", preference_table(data))
    _write(folder / "leaderboard.csv", leaderboard(data, scores))
    return data


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


def preference_table(data: RunData) -> Frame:
    """One row per judge, candidate and item, in the order of the config and then of the items' ids."""
    table = data.preferences.reindex(columns=PREFERENCE_COLUMNS)
    order = {"candidate": data.systems, "suite": data.suites, "language": data.languages}
    keys: dict[str, Any] = {f"_{k}": table[k].map({x: i for i, x in enumerate(v)}) for k, v in order.items()}
    ordered = table.assign(**keys).sort_values(["judge", *keys, "task", "item_id"], kind="stable")
    return ordered[list(PREFERENCE_COLUMNS)]


def _scores(data: RunData) -> Iterator[tuple]:
    if data.scores.empty:
        return
    for (system, suite, task, language, metric), part in data.scores.groupby(
        ["system", "suite", "task", "language", "metric"], sort=False
    ):
        settings = data.estimators.get((suite, language), {}).get("euroeval")
        euroeval = _euroeval_score(metric, task, part, settings) if settings else _NO_ESTIMATE
        signature = _joint_signature(part["signature"])
        yield _cells(system, suite, task, language, metric, _estimate(metric, part), signature, euroeval)
    primary = data.scores[data.scores["primary"]]
    for (system, suite), part in primary.groupby(["system", "suite"], sort=False):
        for language, chosen in _poolings(part, data.languages):
            kind = _joint_kind(chosen)
            yield _row(
                system, suite, WHOLE, language, "score", chosen, "value", kind, pooled=language not in data.languages
            )


def _estimate(metric: str, part: Frame) -> Estimate:
    """A metric of one task: computed from all items at once where it is no mean of item values."""
    if metric in CORPUS_METRICS and part["gold"].notna().any():
        return corpus_interval(metric, _labels(part["gold"]), _labels(part["predicted"]))
    return mean_interval(part["value"].to_numpy(dtype=float), None, _joint_kind(part))  # pyright: ignore[reportArgumentType]


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
    for (judge, candidate, suite), part in data.preferences.groupby(["judge", "candidate", "suite"], sort=False):
        metric = f"win_rate[{judge}]"
        for (task, language), chosen in part.groupby(["task", "language"], sort=False):
            yield _row(candidate, suite, task, language, metric, chosen, "preference", "bounded", pooled=False)
        for language, chosen in _poolings(part, data.languages):
            pooled = language not in data.languages
            yield _row(candidate, suite, WHOLE, language, metric, chosen, "preference", "bounded", pooled)


def _poolings(part: Frame, languages: list[str]) -> Iterator[tuple[str, Frame]]:
    """(name, rows): each language; then the groups of the run's languages, of which this suite may have only some."""
    for language in languages:
        if (part["language"] == language).any():
            yield language, part[part["language"] == language]
    for name in _groups_of(languages):
        if name not in languages:
            chosen = part if name == WHOLE else part[part["language"].map(group_of) == name]
            if len(chosen):
                yield name, chosen


def _row(system, suite, task, language, metric, part: Frame, column: str, kind: str, pooled: bool) -> tuple:
    clusters = part["source_id"] if pooled else None
    e = mean_interval(part[column].to_numpy(dtype=float), clusters, kind)  # pyright: ignore[reportArgumentType]
    return _cells(system, suite, task, language, metric, e, _joint_signature(part["signature"]))


def _cells(
    system, suite, task, language, metric, e: Estimate, signature: str, euroeval: tuple[float, float] = _NO_ESTIMATE
) -> tuple:
    numbers = (e.value, e.ci_low, e.ci_high, e.n, e.n_unscored, e.method, *euroeval)
    return (system, suite, task, language, metric, *numbers, signature)


def _gap_rows(data: RunData) -> Iterator[tuple]:
    for x in data.missing.itertuples():
        nothing = Estimate(math.nan, math.nan, math.nan, math.nan, 0, 0, "none")
        yield _cells(x.system, x.suite, WHOLE, x.language, "gap", nothing, str(x.reason))


def _joint_kind(part: Frame) -> str:
    kinds = set(part["kind"])
    if kinds == {"binary"}:
        return "binary"
    return "bounded" if kinds <= {"binary", "bounded"} else "continuous"


def _joint_signature(signatures: Frame) -> str:
    """The signature, or for several (one per language) what they share, with ``*`` where they differ."""
    distinct = list(dict.fromkeys(signatures))
    if len(distinct) == 1:
        return distinct[0]
    parts = [dict(x.split(":", 1) for x in s.split("|")) for s in distinct]
    shared = {k: v if all(p.get(k) == v for p in parts) else "*" for k, v in parts[0].items()}
    return "|".join(f"{k}:{v}" for k, v in shared.items())


def leaderboard(data: RunData, scores: Frame) -> Frame:
    """A row per system: mean and n per suite and language group, then its rank (1 is best).

    Structured suites give ``SUITE.GROUP``; open suites ``SUITE.GROUP.win_rate[JUDGE]``, where the reference stands at
    0.5 by definition. ``mean_rank`` is the mean over these columns of the system's rank among those that have a value.
    """
    whole = scores[(scores["task"] == WHOLE) & scores["metric"].ne("gap")]
    columns: dict[str, Frame] = {}
    for suite in data.suites:
        for group in _groups_of(data.languages):
            part = whole[(whole["suite"] == suite) & (whole["language"] == group)]
            for metric, chosen in part.groupby("metric", sort=True):
                name = f"{suite}.{group}" if metric == "score" else f"{suite}.{group}.{metric}"
                columns[name] = chosen.set_index("system")["value"].reindex(data.systems)
                columns[f"{name}.n"] = chosen.set_index("system")["n"].reindex(data.systems)
    table = pd.DataFrame(columns, index=pd.Index(data.systems, name="system"))
    values = table[[x for x in table if not x.endswith(".n")]].copy()
    for name in values:
        if "win_rate[" in name:
            values.loc[data.manifest["reference"], name] = 0.5
            table.loc[data.manifest["reference"], name] = 0.5
    ranks = values.rank(ascending=False, method="average").mean(axis=1)
    table.insert(0, "mean_rank", ranks)
    table.insert(0, "rank", ranks.rank(method="min").astype("Int64"))
    table.insert(0, "is_reference", [x == data.manifest["reference"] for x in data.systems])
    for name in [x for x in table if x.endswith(".n")]:
        table[name] = table[name].astype("Int64")
    return table.sort_values(["rank", "system"], kind="stable").reset_index()


def _groups_of(languages: list[str]) -> list[str]:
    """Names of the pooled rows for these languages; a single language stands for itself."""
    if len(languages) == 1:
        return languages
    by_group: dict[str, list[str]] = {}
    for language in languages:
        by_group.setdefault(group_of(language), []).append(language)
    names = [group if len(members) > 1 else members[0] for group, members in by_group.items()]
    return [*(names if len(names) > 1 else []), "all"]


def _write(path: Path, table: Frame) -> None:
    write_atomically(path, table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
