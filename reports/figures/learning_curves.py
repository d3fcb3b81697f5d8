"""Learning curves: the metric and its difference from the reference, checkpoint by checkpoint."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from ..records.run_data import Frame
from ..tables.checkpoints import BEST, KEEP
from .rows import legend, mark
from .style import BLACK, BLUE, GREY, LIGHT, VERDICT_MARKS, WIDTH, place_name, styled, units

_COLUMNS = 4


@styled
def learning_curve_figure(table: Frame) -> Figure:
    """One training run in its widest scope: rows of ``checkpoints.csv`` of one training, suite, metric and scope.

    Above, the mean against the step and the reference's mean; below, the paired difference with its 95% band, marked
    where it is significant after correction. Vertical lines show the best checkpoint and the one to keep.
    """
    factor, unit = units(table["mean_candidate"], table["mean_reference"])
    figure = Figure(figsize=(WIDTH * 0.72, 3.7))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.25])
    figure.subplots_adjust(left=0.14, right=0.97, top=0.97, bottom=0.21, hspace=0.12)
    unit_of_mean = "%" if factor == 100 else "units of the metric"
    upper.plot(table["step"], factor * table["mean_candidate"], color=BLUE, marker="o", markersize=3)
    upper.plot(table["step"], factor * table["mean_reference"], color=GREY, linestyle="--")
    upper.set_ylabel(f"Mean, {unit_of_mean}")
    _difference(lower, table, factor)
    lower.set_ylabel(f"Difference,\n{unit}")
    lower.set_xlabel("Training step")
    steps = sorted(set(table["step"]))
    lower.xaxis.set_major_locator(FixedLocator(steps) if len(steps) <= 10 else MaxNLocator(8, integer=True))
    choices = table["choice"].fillna("").str.split()
    lines: dict[str, tuple[str, Any]] = {BEST: (BLACK, "-."), KEEP: (BLACK, "-")}
    for word, (color, dashes) in lines.items():
        for step in table.loc[[word in x for x in choices], "step"]:
            for ax in (upper, lower):
                ax.axvline(step, color=color, linestyle=dashes, linewidth=0.7, zorder=1)
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=3, label=str(table["training"].iloc[0])),
        Line2D([], [], color=GREY, linestyle="--", label=str(table["reference"].iloc[0])),
        *_verdict_marks(table),
        *(Line2D([], [], color=c, linestyle=d, linewidth=0.7, label=x) for x, (c, d) in lines.items()),
    ]
    legend(figure, handles)
    return figure


@styled
def learning_curves_by_language_figure(table: Frame) -> Figure:
    """Small multiples: the difference from the reference against the step, a panel per language and group.

    ``table``: rows of ``checkpoints.csv`` of one training, suite and metric. All panels share their axes; the band is
    the 95% interval, marks are the verdicts after correction over all panels.
    """
    factor, unit = units(table["mean_candidate"], table["mean_reference"])
    places = list(dict.fromkeys(table["language"]))
    rows = -(-len(places) // _COLUMNS)
    height = 1.15 * rows + 0.85
    figure = Figure(figsize=(WIDTH, height))
    panels: Any = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    figure.subplots_adjust(left=0.1, right=0.985, top=1 - 0.22 / height, bottom=0.72 / height, wspace=0.08, hspace=0.32)
    for i, ax in enumerate(panels.flat):
        if i >= len(places):
            ax.set_axis_off()
            continue
        part = table[table["language"].eq(places[i])]
        _difference(ax, part, factor, markersize=3)
        ax.set_title(place_name(places[i]), pad=2, fontsize=7)
        if i + _COLUMNS >= len(places):
            ax.tick_params(labelbottom=True)
    panels[0, 0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.text(0.54, 0.42 / height, "Training step", ha="center", va="top")
    middle = (0.72 / height + 1 - 0.22 / height) / 2
    reference = table["reference"].iloc[0]
    figure.text(0.012, middle, f"Difference from {reference}, {unit}", rotation=90, ha="left", va="center")
    legend(figure, _verdict_marks(table))
    return figure


def _difference(ax: Axes, part: Frame, factor: float, markersize: float = 4) -> None:
    part = part[part["n"].gt(0)]
    ax.axhline(0, color=BLACK, linewidth=0.7, zorder=1)
    ax.grid(axis="y", color=LIGHT, linewidth=0.4)
    ax.set_axisbelow(True)
    step = part["step"].astype(float)
    low, high = (factor * part[x] for x in ("ci_low", "ci_high"))
    ax.fill_between(step, low, high, color=BLUE, alpha=0.18, linewidth=0)
    ax.plot(step, factor * part["difference"], color=BLUE, linewidth=0.9, zorder=2)
    for verdict, style in VERDICT_MARKS.items():
        here = part[part["verdict"].eq(verdict)]
        values = factor * here["difference"]
        ax.plot(here["step"], values, linestyle="none", zorder=3, **{**style, "markersize": markersize})


def _verdict_marks(table: Frame) -> list[Line2D]:
    shown = [x for x in VERDICT_MARKS if (table["verdict"].eq(x) & table["n"].gt(0)).any()]
    return [mark(x, VERDICT_MARKS[x]) for x in shown]
