"""Which share of the items went from right to wrong, and which from wrong to right?"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..records.run_data import Frame
from .rows import grid, legend, mark, note, places_of, shared_label
from .style import BLACK, BLUE, VERMILLION, styled

_SIDES = {"forgotten": (-1, VERMILLION, "right → wrong"), "gained": (1, BLUE, "wrong → right")}


@styled
def forgetting_figure(table: Frame) -> Figure:
    """Bars of the transitions of one suite's right-or-wrong items: rows of ``forgetting.csv`` with the measures
    ``forgotten``, ``gained`` and both ``..._adjusted``.

    A column per candidate, a row per language and group. To the left the share of items that the reference has right
    and the candidate wrong, to the right the other way round, with 95% intervals; a diamond is the share beyond what
    guessing gives, where items are multiple choice.
    """
    places = places_of(table)
    names = list(dict.fromkeys(table["candidate"]))
    figure, axes = grid(names, places)
    for ax, name in zip(axes, names, strict=True):
        _draw(ax, table[table["candidate"].eq(name)], places)
    axes[0].xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{abs(x):g}"))
    shared_label(figure, axes, "Share of items, % (95% interval)")
    handles = [mark(label, {"color": color, "marker": "s"}) for _, color, label in _SIDES.values()]
    if table["n_choice"].gt(0).any():
        style = {"color": BLACK, "marker": "D", "markerfacecolor": "white", "markersize": 3.5}
        handles.append(mark("beyond guessing", style))
    legend(figure, handles)
    return figure


def _draw(ax: Axes, part: Frame, places: list[str]) -> None:
    ax.axvline(0, color=BLACK, linewidth=0.7, zorder=3)
    for x in part.itertuples():
        sign, color, _ = _SIDES[x.measure.removesuffix("_adjusted")]
        row, scale = places.index(x.language), 100 * sign
        if not x.n:
            if x.measure == "forgotten":
                note(ax, row, "not compared")
        elif x.measure.endswith("_adjusted"):
            if x.n_choice:
                ax.plot(scale * x.value, row, "D", color=BLACK, markerfacecolor="white", markersize=3, zorder=5)
        else:
            ax.barh(row, scale * x.value, height=0.66, color=color, alpha=0.75, zorder=2)
            ax.plot([scale * x.ci_low, scale * x.ci_high], [row, row], color=BLACK, linewidth=0.8, zorder=4)
