"""What a run ends with: its tables, and their summary on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from ..document.document import Block, Remark, TextTable
from ..document.numbers import number
from ..document.terminal import show
from ..items.item_values import SCORE
from ..items.scopes import WHOLE
from ..records.run_data import Frame, RunData
from ..tables.all import TABLES, RunTables, write_tables
from ..tables.comparisons import headlines
from .brief import leaderboard_blocks

_MOST_SYSTEMS = 8
"""With more systems than this, tables by language don't fit a terminal: the leaderboard stands for them."""


def after_run(folder: Path, console: Console) -> None:
    """Writes the tables of a run and shows its summary. Raises StoreError for a run that is damaged, UserError for a
    wrong config."""
    show(summary(write_tables(RunData(folder))), console)


def summary(tables: RunTables) -> Iterator[Block]:
    """Means and win rates by language, what the comparisons say, a sentence for each candidate and suite, and where the
    tables are."""
    data = tables.data
    if len(data.systems) > _MOST_SYSTEMS:
        yield from leaderboard_blocks(tables.frames["leaderboard.csv"])
    else:
        yield from _by_language(data, tables.frames["scores.csv"])
    for (suite, reason), part in data.missing.groupby(["suite", "reason"], sort=False):
        yield Remark(f"gap: {suite}, {' '.join(part['language'].drop_duplicates())}: {reason}")
    if "comparisons.csv" in tables.frames:
        yield from headlines(tables.frames["comparisons.csv"])
    yield from (str(data.folder / x) for x in TABLES if x in tables.frames)


def _by_language(data: RunData, scores: Frame) -> Iterator[TextTable]:
    """Languages down, systems across: means of structured suites, win rates of open ones, each with its interval."""
    whole = scores[scores["task"].eq(WHOLE) & scores["metric"].ne("gap")]
    for (suite, metric), part in whole.groupby(["suite", "metric"], sort=False):
        against = f"{metric} against {data.manifest['reference']}"
        systems = [x for x in data.systems if part["system"].eq(x).any()]
        languages = list(part["language"].drop_duplicates())
        rows = []
        for language in languages:
            here = part[part["language"].eq(language)]
            cells = {x["system"]: _cell(x) for x in here.to_dict("records")}
            counts = (str(here["n"].min()), str(here["n_unscored"].max()))
            rows.append((language, *(cells.get(x, "") for x in systems), *counts))
        ends = tuple(i for i, x in enumerate(languages) if x == data.languages[-1])
        caption = f"{suite}: {'mean score' if metric == SCORE else against}"
        yield TextTable(caption, ("language", *systems, "n", "unscored"), tuple(rows), group_ends=ends)


def _cell(x: dict[Any, Any]) -> str:
    interval = f" [{number(x['ci_low'], 2)}, {number(x['ci_high'], 2)}]" if x["ci_low"] == x["ci_low"] else ""
    return f"{number(x['value']) or '-'}{interval}"
