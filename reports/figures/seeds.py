"""How far does each arm lie from its base, seed by seed? Chance over items beside chance over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..records.run_data import Frame
from .differences import draw_differences
from .rows import grid, legend, mark, shared_label
from .style import BLACK, GREY, LIGHT, VERDICT_MARKS, styled, units


@styled
def seeds_figure(tables: Mapping[str, Frame], arms: Mapping[str, Sequence[str]]) -> Figure:
    """A column per measure, a row per arm and seed.

    ``tables``: title -> rows of ``comparisons.csv`` against the base, one per system. ``arms``: arm -> its systems, one
    per seed. Differences with their 95% intervals over items, marked by their verdicts; the bar is the mean over seeds.
    """
    systems = [x for of in arms.values() for x in of]
    figure, axes = grid(list(tables), systems)
    for label in axes[0].get_yticklabels():
        label.set_fontweight("normal")
    whole = pd.concat(tables.values())
    factor, unit = units(whole["mean_candidate"], whole["mean_reference"])
    for ax, table in zip(axes, tables.values(), strict=True):
        draw_differences(ax, table.assign(language=table["candidate"]), systems, factor)
        first = 0
        for of in arms.values():
            mean = factor * table.loc[table["candidate"].isin(of), "difference"].mean()
            ax.plot([mean, mean], [first - 0.4, first + len(of) - 0.6], color=GREY, linewidth=2.5, alpha=0.4, zorder=1)
            first += len(of)
            ax.axhline(first - 0.5, color=LIGHT, linewidth=0.6)
    base = whole["reference"].iloc[0]
    shared_label(figure, axes, f"Difference from {base}, {unit} (95% interval over items)")
    shown = [x for x in VERDICT_MARKS if x in set(whole["verdict"])]
    mean = Line2D([], [], color=GREY, linewidth=2.5, alpha=0.4, label="mean over seeds")
    margin = Line2D([], [], color=BLACK, linestyle=":", linewidth=0.8, label="margin")
    legend(figure, [*(mark(x, VERDICT_MARKS[x]) for x in shown), margin, mean])
    return figure
