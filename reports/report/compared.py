"""Sections about two systems on the same items: comparisons, forgetting, ways of tuning, win rates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..document.document import Block, Picture, Section, TextTable, section
from ..document.numbers import number, p_value, signed, within
from ..items.item_values import SCORE
from ..items.measures import MEASURES
from ..records.run_data import Frame
from ..tables.all import RunTables
from ..tables.transitions import TRANSITIONS
from .systems import only, pages, shown_systems

_COLUMNS = ("language", "n", "unscored", "candidate", "reference", "difference", "d", "p", "adj. p", "mde", "verdict")


def comparisons_section(tables: RunTables) -> Section | None:
    """Every shown candidate against the reference, suite by suite."""
    if "comparisons.csv" not in tables.frames:
        return None
    table = only(tables.frames["comparisons.csv"], shown_systems(tables))
    blocks: list[Block] = []
    for (suite, metric), part in table.groupby(["suite", "metric"], sort=False):
        blocks += _differences("differences", part, str(suite), str(metric))
        for (candidate, reference), rows in part.groupby(["candidate", "reference"], sort=False):
            blocks.append(_comparison_table(f"{_of(suite, metric)}: {candidate} against {reference}", rows))
    intro = (
        "Paired, item by item. d is the effect size, mde the true difference that is found with a probability of 80%; "
        "unscored counts items of candidate and reference. improved and forgot are significant after correction, "
        "matched is shown to be no worse by as much as the margin, inconclusive is neither."
    )
    return section("Comparisons with the reference", [intro, *blocks] if blocks else [])


def _of(suite: object, metric: object) -> str:
    return str(suite) if metric == SCORE else f"{suite}, {metric}"


def _differences(kind: str, part: Frame, suite: str, metric: str, by: str = "candidate") -> Iterator[Picture]:
    caption = f"{_of(suite, metric)}: differences with 95% intervals and verdicts"
    return _pictures("differences_figure", part, (kind, suite, metric), caption, by, by=by)


def _pictures(
    figure: str, part: Frame, names: tuple[str, str, str], caption: str, column: str = "candidate", **settings: str
) -> Iterator[Picture]:
    """A figure for every few of the values of a column that have numbers. ``figure``: the function in ``figures`` that
    draws it, with ``settings``; ``names``: what ``file_name`` makes its files' name of."""

    def draw(rows: Frame):
        from .. import figures

        return lambda: getattr(figures, figure)(rows, **settings)

    part = part[part.groupby(column)["n"].transform("max").gt(0)]
    groups = pages(list(dict.fromkeys(part[column])))
    for i, group in enumerate(groups, 1):
        several = len(groups) > 1
        shown = f"{caption} ({i} of {len(groups)})" if several else caption
        yield Picture(file_name(*names, i if several else None), shown, draw(part[part[column].isin(group)]))


def file_name(kind: str, suite: str, metric: str, number_of_page: int | None = None) -> str:
    """Name of a figure's files: ``differences-chat-win_rate-llm-2``."""
    parts = [kind, suite, "" if metric == SCORE else metric.replace("[", "-").replace("]", ""), number_of_page or ""]
    return "-".join(str(x) for x in parts if x)


def _comparison_table(caption: str, rows: Frame) -> TextTable | str:
    """A row per language and group; a sentence if none could be compared."""
    if not rows["n"].any():
        return f"{caption}: not compared ({'; '.join(rows['signature'].drop_duplicates())})."
    lines = [
        (
            x["language"],
            str(x["n"]),
            f"{x['unscored_candidate']}/{x['unscored_reference']}",
            number(x["mean_candidate"]),
            number(x["mean_reference"]),
            within(x["difference"], x["ci_low"], x["ci_high"], sign=True),
            signed(x["effect_size"], 2),
            p_value(x["p_value"]),
            p_value(x["p_adjusted"]),
            number(x["mde"]),
            x["verdict"] if x["n"] else f"not compared: {x['signature']}",
        )
        for x in rows.to_dict("records")
    ]
    return TextTable(caption, _COLUMNS, tuple(lines))


def forgetting_section(tables: RunTables) -> Section | None:
    """Transitions of right-or-wrong items, and drift of open answers."""
    if "forgetting.csv" not in tables.frames:
        return None
    table = only(tables.frames["forgetting.csv"], shown_systems(tables))
    moved = table[table["measure"].isin(TRANSITIONS)]
    blocks: list[Block] = []
    for suite, part in moved.groupby("suite", sort=False):
        caption = f"{suite}: items that went from right to wrong, and from wrong to right"
        blocks += _pictures("forgetting_figure", part, ("forgetting", str(suite), SCORE), caption)
        for (candidate, reference), rows in part.groupby(["candidate", "reference"], sort=False):
            blocks.append(_transition_table(f"{suite}: {candidate} against {reference}", rows))
    for (suite, candidate), rows in table[table["measure"].isin(MEASURES)].groupby(["suite", "candidate"], sort=False):
        blocks.append(
            _drift_table(
                f"{suite}: drift of {candidate} from {rows['reference'].iloc[0]}",
                rows,
                tables.data.settings.rules.alpha,
            )
        )
    intro = (
        "forgotten: right before, wrong now; gained: the other way round; adjusted: beyond what guessing among the "
        "options gives. Shares of items. Drift is candidate less reference; * where it is significant after correction."
    )
    return section("Forgetting", [intro, *blocks] if blocks else [])


def _transition_table(caption: str, rows: Frame) -> TextTable:
    lines = []
    for language, by_measure in _by_language(rows).items():
        shares = [within(x["value"], x["ci_low"], x["ci_high"]) for x in (by_measure[y] for y in TRANSITIONS)]
        first = by_measure[TRANSITIONS[0]]
        lines.append((language, str(first["n"]), str(first["n_choice"]), *shares))
    columns = ("language", "n", "multiple choice", "forgotten", "gained", "forgotten, adjusted", "gained, adjusted")
    return TextTable(caption, columns, tuple(lines))


def _by_language(rows: Frame) -> dict[str, dict[str, dict[str, Any]]]:
    """Language -> measure -> row."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for x in rows.to_dict("records"):
        found.setdefault(x["language"], {})[x["measure"]] = x
    return found


def _drift_table(caption: str, rows: Frame, alpha: float) -> TextTable:
    measures = [x for x in MEASURES if rows["measure"].eq(x).any()]
    lines = []
    for language, by_measure in _by_language(rows).items():
        n = max(x["n"] for x in by_measure.values())
        lines.append((language, str(n), *(_drift(by_measure[x], x, alpha) for x in measures)))
    return TextTable(caption, ("language", "n", *(x.replace("_", " ") for x in measures)), tuple(lines))


def _drift(x: dict, measure: str, alpha: float) -> str:
    shown = within(x["value"], x["ci_low"], x["ci_high"], 1 if measure == "length" else 3, sign=True)
    return f"{shown} *" if x["p_adjusted"] < alpha else shown


def policy_section(tables: RunTables) -> Section | None:
    """The ways of tuning against each other."""
    if "policy.csv" not in tables.frames:
        return None
    blocks: list[Block] = []
    for (suite, metric), part in tables.frames["policy.csv"].groupby(["suite", "metric"], sort=False):
        blocks += _differences("policy", part, str(suite), str(metric), "contrast")
        for (contrast, candidate, reference), rows in part.groupby(["contrast", "candidate", "reference"], sort=False):
            blocks.append(
                _comparison_table(f"{_of(suite, metric)}: {contrast} ({candidate} against {reference})", rows)
            )
    intro = "Two arms against each other on the items both answered; all rows are one family of tests."
    return section("Ways of tuning", [intro, *blocks])


def win_rates_section(tables: RunTables) -> Section | None:
    """How often each shown candidate is preferred."""
    if "win_rates.csv" not in tables.frames:
        return None
    table = only(tables.frames["win_rates.csv"], shown_systems(tables))
    blocks: list[Block] = []
    for (judge, suite), part in table.groupby(["judge", "suite"], sort=False):
        caption = f"{suite}: win rates by judge {judge}"
        blocks += _pictures("win_rates_figure", part, ("win-rates", str(suite), str(judge)), caption)
        for candidate, rows in part.groupby("candidate", sort=False):
            blocks.append(
                _win_rate_table(f"{suite}, judge {judge}: {candidate} over {rows['reference'].iloc[0]}", rows)
            )
    intro = (
        "Share of items on which the candidate is preferred, ties counting one half; then at equal length (two "
        "estimators that can differ by many points: compare a column with itself) and at equal style."
    )
    return section("Win rates", [intro, *blocks] if blocks else [])


def _win_rate_table(caption: str, rows: Frame) -> TextTable:
    estimators = ("win_rate", "lc_alpaca_eval", "lc_croco", "bt_style")
    lines = [
        (
            x["language"],
            str(x["n"]),
            str(x["n_unscored"]),
            f"{x['wins']}/{x['ties']}/{x['losses']}",
            *(within(x[y], x[f"{y}_ci_low"], x[f"{y}_ci_high"]) for y in estimators),
            p_value(x["p_adjusted"]),
        )
        for x in rows.to_dict("records")
    ]
    columns = ("language", "n", "unscored", "won/tied/lost", "win rate", *estimators[1:], "adj. p")
    return TextTable(caption, columns, tuple(lines))
