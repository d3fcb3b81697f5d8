"""How often is each candidate preferred, language by language, and at equal length or style?"""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from ..records.run_data import Frame
from .rows import grid, interval, legend, mark, note, places_of, shared_label
from .style import BLACK, BLUE, GREEN, ORANGE, PURPLE, styled

_MARKS: dict[str, tuple[str, dict[str, Any]]] = {
    "win_rate": ("win rate", {"color": BLUE, "marker": "o", "markerfacecolor": BLUE}),
    "lc_alpaca_eval": (
        "length-controlled (AlpacaEval 2)",
        {"color": ORANGE, "marker": "s", "markerfacecolor": "none", "markersize": 4.5},
    ),
    "lc_croco": (
        "length-adjusted (CroCo)",
        {"color": GREEN, "marker": "^", "markerfacecolor": "none", "markersize": 4.5},
    ),
    "bt_style": (
        "style-controlled",
        {"color": PURPLE, "marker": "D", "markerfacecolor": "none", "markersize": 4},
    ),
}


@styled
def win_rates_figure(table: Frame) -> Figure:
    """Rows of ``win_rates.csv`` of one judge and suite: a column per candidate, a row per language and group.

    The plain win rate with its 95% interval, and the length- and style-aware ones beside it as open marks; their
    intervals are in the table. The line is one half: as often preferred as not.
    """
    places = places_of(table)
    names = list(dict.fromkeys(table["candidate"]))
    figure, axes = grid(names, places)
    for ax, name in zip(axes, names, strict=True):
        ax.axvline(50, color=BLACK, linewidth=0.7, zorder=1)
        for x in table[table["candidate"].eq(name)].to_dict("records"):
            row = places.index(x["language"])
            if not x["n"]:
                note(ax, row, "not judged")
                continue
            interval(ax, row, 100 * x["win_rate_ci_low"], 100 * x["win_rate_ci_high"], BLUE)
            for number, (measure, (_, style)) in enumerate(_MARKS.items()):
                ax.plot(100 * x[measure], row, linestyle="none", markeredgewidth=0.9, zorder=4 - 0.1 * number, **style)
    references = list(dict.fromkeys(table["reference"]))
    shared_label(figure, axes, f"Preferred to {references[0]}, % of items (95% interval)")
    legend(figure, [mark(label, style) for label, style in _MARKS.values()])
    return figure
