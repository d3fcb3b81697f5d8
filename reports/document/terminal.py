"""Comparisons and leaderboards on a terminal."""

from __future__ import annotations

import math

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..items.item_values import SCORE
from ..items.scopes import WHOLE
from ..records.run_data import Frame
from ..tables.comparisons import FORGOT, IMPROVED, MATCHED, headline

_STYLES = {IMPROVED: "green", MATCHED: "cyan", FORGOT: "red"}


def print_comparisons(table: Frame, console: Console) -> None:
    """A table for each pair, suite and metric, one row per language and group; then what they say, in a sentence."""
    if table.empty:
        console.print("There is no candidate to compare with the reference.")
    for (candidate, reference, suite, metric), part in table.groupby(
        ["candidate", "reference", "suite", "metric"], sort=False
    ):
        of_metric = "" if metric == SCORE else f", {metric}"
        title = f"{candidate} against {reference}: {suite}{of_metric}"
        console.print(_comparisons(title, part))
        for reason in part.loc[part["n"].eq(0), "signature"].drop_duplicates():
            console.print(f"not compared: {reason}", style="yellow", markup=False, soft_wrap=True)
    for candidate in table["candidate"].drop_duplicates():
        console.print(headline(table, candidate), markup=False, highlight=False, soft_wrap=True)


def _comparisons(title: str, part: Frame) -> Table:
    table = _plain(title)
    table.add_column("language", no_wrap=True)
    for name in ("n", "unsc.", "cand.", "ref.", "difference", "adj. p", "mde"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    rows = list(part.itertuples())
    for x, following in zip(rows, [*rows[1:], None], strict=True):
        ends = x.scope == "language" and following is not None and following.scope != "language"
        if not x.n:
            table.add_row(x.language, "0", *[""] * 6, "not compared", style="yellow", end_section=ends)
            continue
        table.add_row(
            x.language,
            str(x.n),
            f"{x.unscored_candidate}/{x.unscored_reference}",
            *(_number(v) for v in (x.mean_candidate, x.mean_reference)),
            f"{x.difference:+.3f}{_interval(x.ci_low, x.ci_high)}",
            *(_number(v) for v in (x.p_adjusted, x.mde)),
            f"[{_STYLES[x.verdict]}]{x.verdict}[/]" if x.verdict in _STYLES else x.verdict,
            end_section=ends,
        )
    return table


def _plain(title: str | None = None) -> Table:
    return Table(
        title=title and escape(title),
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 0),
        pad_edge=False,
        show_edge=False,
    )


def print_leaderboard(table: Frame, console: Console) -> None:
    """Rank, letters and the means over all languages."""
    named = [x for x in table if f"{x}.n" in table]
    means = [x for x in named if x.split(".")[1] == WHOLE] or named
    shown = _plain()
    for name in ("rank", "system", "mean rank", "letters", *means):
        shown.add_column(escape(name), justify="left" if name == "system" else "right", no_wrap=name == "mean rank")
    for row in table.to_dict("records"):
        rank = "" if math.isnan(row["mean_rank"]) else str(row["rank"])
        spread = f"{_number(row['mean_rank'], 2)}{_interval(row['mean_rank_low'], row['mean_rank_high'], 2)}"
        shown.add_row(rank, escape(row["system"]), spread, row["letters"], *(_number(row[x]) for x in means))
    console.print(shown)
    for row in table[table["flags"].ne("")].itertuples():
        console.print(f"not ranked with the others: {row.system}: {row.flags}", style="yellow", markup=False)


def _number(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _interval(low: float, high: float, digits: int = 3) -> str:
    return "" if math.isnan(low) else escape(f" [{low:.{digits}f}, {high:.{digits}f}]")
