"""The table a run ends with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..document.terminal import print_leaderboard
from ..records.run_data import Frame, RunData, load_run
from ..records.settings import report_settings
from ..tables.all import TABLES, WHOLE, score_table, write_tables
from ..tables.comparisons import headlines
from ..tables.leaderboard import leaderboard

_MOST_SYSTEMS = 8
"""With more systems than this, tables by language don't fit a terminal: the leaderboard stands for them."""


def print_summary(data: RunData, frames: Mapping[str, Frame], console: Console) -> None:
    """Languages down, systems across: means of structured suites, win rates of open ones, each with its interval."""
    scores = frames["scores.csv"]
    if len(data.systems) > _MOST_SYSTEMS:
        print_leaderboard(frames["leaderboard.csv"], console)
        scores = scores.iloc[:0]
    whole = scores[(scores["task"] == WHOLE) & scores["metric"].ne("gap")]
    for (suite, metric), part in whole.groupby(["suite", "metric"], sort=False):
        title = (
            f"{suite}: mean score" if metric == "score" else f"{suite}: {metric} against {data.manifest['reference']}"
        )
        console.print(_table(title, part, data))
    if len(data.missing):
        for (suite, reason), part in data.missing.groupby(["suite", "reason"], sort=False):
            languages = " ".join(part["language"].drop_duplicates())
            console.print(f"gap: {suite}, {languages}: {reason}", style="yellow", markup=False, soft_wrap=True)


def _table(title: str, part: Frame, data: RunData) -> Table:
    systems = [x for x in data.systems if x in set(part["system"])]
    table = Table(title=escape(title), title_justify="left", title_style="bold", header_style="bold")
    table.add_column("language")
    for system in systems:
        table.add_column(system, justify="right")
    table.add_column("n", justify="right")
    table.add_column("unscored", justify="right")
    for language in part["language"].drop_duplicates():
        rows = part[part["language"] == language].set_index("system")
        cells = [_cell(rows.loc[x]) if x in rows.index else "" for x in systems]
        table.add_row(
            language, *cells, str(rows["n"].min()), str(rows["n_unscored"].max()), end_section=_is_last(language, data)
        )
    return table


def _cell(row: Frame) -> str:
    if math.isnan(row["value"]):
        return "-"
    interval = "" if math.isnan(row["ci_low"]) else f" [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return f"{row['value']:.3f}{interval}"


def _is_last(language: str, data: RunData) -> bool:
    return bool(data.languages) and language == data.languages[-1]


def print_run(folder: Path, data: RunData, frames: Mapping[str, Frame], console: Console) -> None:
    """The summary of a run, what its comparisons say, a sentence for each candidate and suite, and where its tables
    are."""
    print_summary(data, frames, console)
    if "comparisons.csv" in frames:
        for line in headlines(frames["comparisons.csv"]):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    for name in TABLES:
        if (folder / name).exists():
            console.print(str(folder / name), markup=False, highlight=False, soft_wrap=True)


def show_run(folder: Path, console: Console) -> None:
    """The summary of a run whose tables are written."""
    data = load_run(folder)
    frames: dict[str, Frame] = {"scores.csv": score_table(data)}
    if len(data.systems) > _MOST_SYSTEMS:
        frames["leaderboard.csv"] = leaderboard(data, frames["scores.csv"], report_settings(folder).rules)
    file = folder / "comparisons.csv"
    if file.exists():
        names: Any = {"candidate": str, "reference": str, "suite": str}
        frames["comparisons.csv"] = pd.read_csv(file, dtype=names, keep_default_na=False)
    print_run(folder, data, frames, console)


def after_run(folder: Path, console: Console) -> None:
    """Writes the tables of a run and shows its summary."""
    write_tables(folder)
    show_run(folder, console)
