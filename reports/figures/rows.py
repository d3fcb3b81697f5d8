"""What forest plots share: a row per language, then groups and all languages, a column of axes per candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...harness.text.languages import LANGUAGES, group_of
from ..records.run_data import Frame
from .style import GREY, LIGHT, WIDTH, place_name, shortened

ROW, HEAD, FOOT = 0.165, 0.32, 0.72
"""Inches: height of a row, above the rows (titles), and below them (axis and legend)."""


def grid(titles: Sequence[str], places: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Axes side by side with one row per place from the top down, languages set off from groups by lines."""
    height = HEAD + FOOT + ROW * len(places)
    figure = Figure(figsize=(WIDTH, height))
    left = 1.42 / WIDTH
    grid_ = figure.add_gridspec(
        1, len(titles), left=left, right=0.985, top=1 - HEAD / height, bottom=FOOT / height, wspace=0.08
    )
    axes: list[Any] = []
    for i, title in enumerate(titles):
        ax = figure.add_subplot(grid_[0, i], sharex=axes[0] if axes else None, sharey=axes[0] if axes else None)
        ax.set_title(shortened(title, 88 // len(titles)), pad=4)
        ax.tick_params(axis="y", length=0, labelleft=i == 0)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color=LIGHT, linewidth=0.4)
        ax.set_axisbelow(True)
        for line in _dividers(places):
            ax.axhline(line, color=LIGHT, linewidth=0.6)
        axes.append(ax)
    axes[0].set_yticks(range(len(places)), [place_name(x) for x in places])
    axes[0].set_ylim(len(places) - 0.5, -0.5)
    for name, label in zip(places, axes[0].get_yticklabels(), strict=True):
        label.set_fontweight("normal" if name in LANGUAGES else "bold")
    return figure, axes


def _dividers(places: Sequence[str]) -> list[float]:
    """Between languages of different groups, and between the languages and what pools them."""
    kinds = [group_of(x) if x in LANGUAGES else "pooled" for x in places]
    return [i + 0.5 for i in range(len(kinds) - 1) if kinds[i] != kinds[i + 1]]


def places_of(table: Frame) -> list[str]:
    """Languages and groups in the table's own order, each once."""
    return list(dict.fromkeys(table["language"]))


def interval(ax: Axes, row: int | float, low: float, high: float, color: str) -> None:
    """A horizontal line from ``low`` to ``high``; nothing if they are NaN."""
    if low == low and high == high:
        ax.plot([low, high], [row, row], color=color, linewidth=1.0, solid_capstyle="butt", zorder=2)


def note(ax: Axes, row: int, text: str) -> None:
    """A remark in the place of a row that has no numbers."""
    ax.text(0.5, row, text, transform=ax.get_yaxis_transform(), ha="center", va="center", fontsize=6, color=GREY)


def shared_label(figure: Figure, axes: Sequence[Axes], text: str) -> None:
    """One label of the x axis under all axes."""
    left, right = axes[0].get_position().x0, axes[-1].get_position().x1
    height = float(figure.get_size_inches()[1])
    figure.text((left + right) / 2, (FOOT - 0.3) / height, text, ha="center", va="top", fontsize=8)


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """A legend in one line at the foot."""
    height = float(figure.get_size_inches()[1])
    figure.legend(
        handles=list(handles),
        loc="lower center",
        ncol=len(handles),
        bbox_to_anchor=(0.5, 0.02 / height),
        handletextpad=0.4,
        columnspacing=1.4,
        borderaxespad=0.1,
    )


def mark(label: str, style: dict[str, Any]) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], linestyle="none", label=label, **style)
