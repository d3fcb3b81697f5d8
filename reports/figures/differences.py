"""Paired differences with intervals and verdicts, language by language (forest plot)."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..records.comparison import INCONCLUSIVE
from ..records.run_data import Frame
from .rows import grid, interval, legend, mark, note, places_of, shared_label
from .style import BLACK, GREY, VERDICT_MARKS, styled, units


@styled
def differences_figure(table: Frame, by: str = "candidate") -> Figure:
    """A forest plot of rows of ``comparisons.csv`` or, ``by`` contrast, of ``policy.csv``, for one suite and metric.

    A column per candidate (or contrast), a row per language, group and all languages: the paired difference with its
    95% interval, marked by its verdict. The solid line is no difference, the dotted one the margin below it. Rates are
    in percentage points. A row that could not be compared says so.
    """
    factor, unit = units(table["mean_candidate"], table["mean_reference"])
    places = places_of(table)
    names = list(dict.fromkeys(table[by]))
    figure, axes = grid(names, places)
    for ax, name in zip(axes, names, strict=True):
        part = table[table[by].eq(name)]
        draw_differences(ax, part, places, factor)
    references = list(dict.fromkeys(table["reference"]))
    against = references[0] if len(references) == 1 else "second arm"
    shared_label(figure, axes, f"Difference from {against}, {unit} (95% interval)")
    shown = [x for x in VERDICT_MARKS if (table["verdict"].eq(x) & table["n"].gt(0)).any()]
    margin = Line2D([], [], color=BLACK, linestyle=":", linewidth=0.8, label="margin")
    legend(figure, [*(mark(x, VERDICT_MARKS[x]) for x in shown), margin])
    return figure


def draw_differences(ax: Axes, part: Frame, places: list[str], factor: float) -> None:
    """Rows of comparisons of one candidate, each in the row of its ``language`` among ``places``, and the margin."""
    ax.axvline(0, color=BLACK, linewidth=0.7, zorder=1)
    if len(margins := part["margin"].dropna()):
        ax.axvline(-factor * float(margins.iloc[0]), color=BLACK, linewidth=0.8, linestyle=":", zorder=1)
    for x in part.itertuples():
        row = places.index(x.language)
        if not x.n:
            note(ax, row, "not compared")
            continue
        style = VERDICT_MARKS.get(x.verdict, VERDICT_MARKS[INCONCLUSIVE])
        interval(ax, row, factor * x.ci_low, factor * x.ci_high, style["color"])
        ax.plot(factor * x.difference, row, linestyle="none", zorder=3, markeredgewidth=0.9, **style)
    ax.tick_params(axis="x", color=GREY)
