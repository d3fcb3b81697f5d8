"""What commands print of comparisons and leaderboards: shorter tables than the report's, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..document.document import Block, Remark, TextTable
from ..document.numbers import number, within
from ..items.item_values import SCORE
from ..items.scopes import WHOLE
from ..records.run_data import Frame
from ..tables.comparisons import headlines


def comparison_blocks(table: Frame) -> Iterator[Block]:
    """A table for each pair, suite and metric, one row per language and group; then what they say, in a sentence."""
    if table.empty:
        yield "There is no candidate to compare with the reference."
    for (candidate, reference, suite, metric), part in table.groupby(
        ["candidate", "reference", "suite", "metric"], sort=False
    ):
        of_metric = "" if metric == SCORE else f", {metric}"
        yield _comparisons(f"{candidate} against {reference}: {suite}{of_metric}", part)
        for reason in part.loc[part["n"].eq(0), "signature"].drop_duplicates():
            yield Remark(f"not compared: {reason}")
    yield from headlines(table)


def _comparisons(caption: str, part: Frame) -> TextTable:
    rows = [
        (
            x["language"],
            str(x["n"]),
            f"{x['unscored_candidate']}/{x['unscored_reference']}" if x["n"] else "",
            *(number(x[y]) for y in ("mean_candidate", "mean_reference")),
            within(x["difference"], x["ci_low"], x["ci_high"], sign=True),
            *(number(x[y]) for y in ("p_adjusted", "mde")),
            x["verdict"] if x["n"] else "not compared",
        )
        for x in part.to_dict("records")
    ]
    columns = ("language", "n", "unsc.", "cand.", "ref.", "difference", "adj. p", "mde", "verdict")
    return TextTable(caption, columns, tuple(rows), group_ends=(int(part["scope"].eq("language").sum()) - 1,))


def leaderboard_blocks(table: Frame) -> Iterator[Block]:
    """Rank, letters and the means over all languages."""
    named = [x for x in table if f"{x}.n" in table]
    means = [x for x in named if x.split(".")[1] == WHOLE] or named
    rows = [
        (
            "" if math.isnan(x["mean_rank"]) else str(x["rank"]),
            x["system"],
            within(x["mean_rank"], x["mean_rank_low"], x["mean_rank_high"], 2),
            x["letters"],
            *(number(x[y]) for y in means),
        )
        for x in table.to_dict("records")
    ]
    yield TextTable("", ("rank", "system", "mean rank", "letters", *means), tuple(rows), n_names=2)
    for row in table[table["flags"].ne("")].itertuples():
        yield Remark(f"not ranked with the others: {row.system}: {row.flags}")
