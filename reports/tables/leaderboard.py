"""``leaderboard.csv``: a row per system, of one run or of several.

The columns are documented in docs/files.md, how ranks and letters come about in docs/statistics.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...harness.api.records import Signature
from ..items.item_values import SCORE, TIE, ItemValues, item_values
from ..items.scopes import WHOLE, Scope, pooled_scopes
from ..records.rules import Rules
from ..records.run_data import Frame, RunData
from ..stats.inputs import Array
from .ranks import Board, letters, mean_ranks, told_apart

SCHEMA_VERSION = 1
"""Of leaderboard.csv; raised when a column changes its name or meaning."""

LEADING_COLUMNS = (
    *("schema_version", "system", "is_reference", "rank", "mean_rank", "mean_rank_low", "mean_rank_high"),
    *("letters", "flags"),
)

Profile = tuple[tuple[str, Signature], ...]
"""How a system's values in some languages came about: (language, signature)."""


@dataclass(frozen=True)
class Column:
    """A suite's metric in a language group, or over all languages (``is_whole``). ``flags``: system -> why it is not
    ranked with the others."""

    matrix: ItemValues
    scope: Scope
    is_whole: bool
    flags: dict[str, str]
    ranked: tuple[str, ...]

    @property
    def name(self) -> str:
        """``SUITE.GROUP``, for open suites ``SUITE.GROUP.win_rate[JUDGE]``."""
        of_metric = "" if self.matrix.metric == SCORE else f".{self.matrix.metric}"
        return f"{self.matrix.suite}.{self.scope.name}{of_metric}"


def leaderboard(data: RunData, scores: Frame, rules: Rules) -> Frame:
    """A row per system, best first: ``LEADING_COLUMNS``, then value, interval and n of each ``Column``.

    ``mean_rank``: the mean over the columns of a system's rank among those ranked there, with a bootstrap interval
    over sources; ``rank`` (1 is best) is by that mean. Systems that share a letter can't be told apart in any suite
    over all languages. A system whose values in a column came about differently from most (another signature, other
    languages) is shown there, flagged, and not ranked. In win rates the reference stands at 0.5 by definition.
    """
    columns = [x for matrix in item_values(data) for x in _columns(matrix, data)]
    boards = _boards(columns)
    systems = list(data.systems)
    ranks = mean_ranks(boards, len(systems), rules.n_resamples, rules.level, rules.seed)
    place = pd.Series(ranks[:, 0].round(9)).rank(method="min").astype("Int64")
    table = pd.DataFrame(
        {
            "schema_version": SCHEMA_VERSION,
            "system": systems,
            "is_reference": [x == data.manifest["reference"] for x in systems],
            "rank": place,
            **{name: ranks[:, i] for i, name in enumerate(("mean_rank", "mean_rank_low", "mean_rank_high"))},
            "letters": _letters(columns, ranks[:, 0], systems, rules),
            "flags": [_flags(x, columns) for x in systems],
            **dict(_values(columns, scores, data)),
        }
    )
    return table.sort_values(["rank", "system"], kind="stable").reset_index(drop=True)


def _columns(matrix: ItemValues, data: RunData) -> Iterator[Column]:
    pooled = pooled_scopes(data.languages)
    for scope in pooled:
        known = {x: tuple((y, z) for y in scope.languages if (z := matrix.signature(x, y))) for x in matrix.systems}
        profiles = {x: y for x, y in known.items() if y}
        if not profiles:
            continue
        usual = _usual(profiles, data.manifest["reference"])
        flags = {x: _difference(y, usual) for x, y in profiles.items() if y != usual}
        ranked = [x for x in profiles if x not in flags and _has_values(matrix, x, scope)]
        pivot = [matrix.pivot] if matrix.pivot and ranked else []
        yield Column(
            matrix, scope, scope is pooled[-1], flags, tuple(x for x in data.systems if x in {*ranked, *pivot})
        )


def _usual(profiles: dict[str, Profile], reference: str) -> Profile:
    """What most systems have; of equals the most languages, then the reference's, then the first by name."""
    count = Counter(profiles.values())
    return min(count, key=lambda x: (-count[x], -len(x), x != profiles.get(reference), [(y, str(z)) for y, z in x]))


def _difference(profile: Profile, usual: Profile) -> str:
    ours, theirs = dict(profile), dict(usual)
    parts = [y for x in ours if x in theirs and (y := ours[x].conflict(theirs[x]))]
    if missing := [x for x in theirs if x not in ours]:
        parts.append(f"no {' '.join(missing)}")
    if more := [x for x in ours if x not in theirs]:
        parts.append(f"also {' '.join(more)}")
    return ", ".join(dict.fromkeys(parts))


def _has_values(matrix: ItemValues, system: str, scope: Scope) -> bool:
    return not np.isnan(matrix.values[matrix.systems.index(system), np.isin(matrix.languages, scope.languages)]).all()


def _flags(system: str, columns: list[Column]) -> str:
    return "; ".join(f"{x.name}: {x.flags[system]}" for x in columns if system in x.flags)


def _values(columns: list[Column], scores: Frame, data: RunData) -> Iterator[tuple[str, object]]:
    """Each column's value, interval and n, as they stand in ``scores.csv``."""
    whole = scores[scores["task"].eq(WHOLE)].set_index(["suite", "metric", "language", "system"]).sort_index()
    for x in columns:
        part = whole.loc[(x.matrix.suite, x.matrix.metric, x.scope.name)].reindex(data.systems)
        if x.matrix.pivot:
            part.loc[x.matrix.pivot, "value"] = TIE
        for name, source in (("", "value"), (".ci_low", "ci_low"), (".ci_high", "ci_high")):
            yield f"{x.name}{name}", part[source].to_numpy(dtype=float)
        yield f"{x.name}.n", part["n"].astype("Int64").array


def _boards(columns: list[Column]) -> list[Board]:
    by_matrix: dict[int, list[Column]] = {}
    for x in columns:
        by_matrix.setdefault(id(x.matrix), []).append(x)
    return [_board(members) for members in by_matrix.values()]


def _board(columns: list[Column]) -> Board:
    matrix = columns[0].matrix
    ranked = [(np.flatnonzero(np.isin(matrix.languages, x.scope.languages)), _numbers(x)) for x in columns if x.ranked]
    return Board(_with_pivot(matrix), matrix.source_codes, matrix.language_codes, ranked)


def _numbers(column: Column) -> Array:
    return np.array([column.matrix.systems.index(x) for x in column.ranked], dtype=np.intp)


def _with_pivot(matrix: ItemValues) -> Array:
    if matrix.pivot is None:
        return matrix.values
    values = matrix.values.copy()
    values[matrix.systems.index(matrix.pivot)] = TIE
    return values


def _letters(columns: list[Column], ranks: Array, systems: list[str], rules: Rules) -> list[str]:
    """From the columns over all languages."""
    last = [x for x in columns if x.ranked and x.is_whole]
    boards = [Board(_with_pivot(x.matrix), x.matrix.source_codes, x.matrix.language_codes, ()) for x in last]
    p_values = told_apart(boards, [_numbers(x) for x in last], len(systems), rules.n_resamples, rules.seed)
    order = sorted((i for i in range(len(systems)) if not math.isnan(ranks[i])), key=lambda i: (ranks[i], systems[i]))
    found = letters(p_values, order, rules.alpha)
    return [found.get(i, "") for i in range(len(systems))]
