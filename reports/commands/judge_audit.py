"""``croco-eval judge-audit``: can the judges of a run be trusted?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..document.document import Block, TextTable
    from ..records.run_data import Frame

_SHARES = {
    "order_consistency": "consistent",
    "first_position": "first shown",
    "prefers_longer": "longer",
    "known_answers": "known",
    "unscored": "unscored",
}
_HABITS = {
    "prefers-first": ("the answer shown first", "use both orders, and do not trust results of a single order"),
    "prefers-second": ("the answer shown second", "use both orders, and do not trust results of a single order"),
    "prefers-longer": ("the longer answer", "read its win rates beside the length-controlled ones"),
    "prefers-shorter": ("the shorter answer", "read its win rates beside the length-controlled ones"),
}


def judge_audit(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Show how far the judges of a run can be trusted, from their judgments alone; writes judge_audit.csv."""
    from rich.console import Console

    from ..document.terminal import show
    from ..records.run_data import RunData
    from ..tables.csv_files import write_csv
    from ..tables.judge_audit import FILE
    from ..tables.judge_audit import judge_audit as make_audit

    data = RunData(run)
    table = make_audit(data)
    write_csv(run / FILE, table)
    show([*_blocks(table, data.unfinished_judgings), str(run / FILE)], Console())


def _blocks(table: Frame, unfinished: Frame) -> Iterator[Block]:
    from ..document.document import Remark

    yield from _tables(table)
    for x in unfinished.itertuples():
        yield Remark(f"left out: {x.system}, {x.suite}, {x.language}: {x.reason}")
    yield from (Remark(x, "alarm") for x in sentences(table))
    if table["flag"].ne("").any():
        yield "* differs from one half, by Holm's correction over the languages"


def sentences(table: Frame) -> list[str]:
    """One sentence for each judge, suite and habit that is flagged, with the rate and the languages it was found in."""
    from ..items.scopes import WHOLE

    said = []
    for (judge, suite, flag), rows in table[table["flag"].ne("")].groupby(["judge", "suite", "flag"], sort=False):
        x = rows[rows["language"].eq(WHOLE)] if rows["language"].eq(WHOLE).any() else rows
        x = x.iloc[(x["value"] - 0.5).abs().to_numpy().argmax()]
        rate, ends = (x["value"], (x["ci_low"], x["ci_high"]))
        if flag in ("prefers-second", "prefers-shorter"):
            rate, ends = 1 - rate, (1 - ends[1], 1 - ends[0])
        interval = "" if math.isnan(ends[0]) else f" [{ends[0]:.0%}, {ends[1]:.0%}]"
        where = "all languages together" if x["language"] == WHOLE else str(x["language"])
        others = [y for y in rows["language"] if y not in (WHOLE, x["language"])]
        also = f"; flagged in {' '.join(others)}" if others else ""
        what, advice = _HABITS[str(flag)]
        units = "decided judgments" if x["measure"] == "first_position" else "decided items"
        said.append(
            f"judge {judge} prefers {what} in {rate:.0%}{interval} of {x['n']:,} {units} on {suite} ({where}{also}): "
            f"{advice}."
        )
    return said


def _tables(table: Frame) -> Iterator[TextTable]:
    judged = table[table["measure"].isin(list(_SHARES))]
    for (judge, suite), part in judged.groupby(["judge", "suite"], sort=False):
        yield _by_language(f"judge {judge}: {suite}", part, "measure", _SHARES)
    pairs = table[table["measure"].isin(["cohen_kappa", "krippendorff_alpha", "self_agreement"]) & table["n"].gt(0)]
    if len(pairs):
        yield _agreement(pairs)
    answers = table[table["measure"].eq("off_target")]
    for suite, part in answers.groupby("suite", sort=False):
        yield _by_language(f"{suite}: answers in another language", part, "system", {x: x for x in part["system"]})


def _by_language(caption: str, part: Frame, across: str, names: dict[str, str]) -> TextTable:
    from ..document.document import TextTable

    present = [x for x in names if part[part[across].eq(x)]["n"].gt(0).any()]
    lines = []
    for language, rows in part.groupby("language", sort=False):
        cells = rows.drop_duplicates(across).set_index(across)
        numbers = (_number(cells.loc[x]) if x in cells.index else "" for x in present)
        lines.append((str(language), *numbers, f"{rows['n'].max():,}"))
    counted = "judgments" if across == "measure" else "answers"
    return TextTable(caption, ("language", *(names[x] for x in present), counted), tuple(lines))


def _agreement(pairs: Frame) -> TextTable:
    """Of each suite the row that pools its languages, or that of its only one."""
    from ..document.document import TextTable

    names = {"cohen_kappa": "kappa", "krippendorff_alpha": "alpha", "self_agreement": "same verdict again"}
    lines = []
    for x in pairs.drop_duplicates(["judge", "other_judge", "suite", "measure"], keep="last").to_dict("records"):
        judges = f"{x['judge']}, {x['other_judge']}" if x["judge"] else "all"
        row = (judges, x["suite"], x["language"], names[x["measure"]], _number(x), f"{x['n']:,}", x["note"])
        lines.append(row)
    columns = ("judges", "suite", "language", "measure", "value", "n", "note")
    return TextTable("agreement", columns, tuple(lines), n_names=4)


def _number(row: Any) -> str:
    if math.isnan(row["value"]):
        return "-"
    return f"{row['value']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]".replace(" [nan, nan]", "") + (
        "*" if row["flag"] else ""
    )
