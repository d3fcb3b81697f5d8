"""One look for all figures: fonts, sizes, colours that the colour-blind can tell apart; and how a figure is saved."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...harness.store.files import write_atomically
from ...harness.text.languages import LANGUAGES
from ..items.scopes import WHOLE
from ..records.comparison import FORGOT, IMPROVED, INCONCLUSIVE, MATCHED

P = ParamSpec("P")

WIDTH = 7.0
"""Inches: the text width of a page with one column."""

DPI = 200
BLACK, GREY, LIGHT = "#000000", "#767676", "#D9D9D9"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
"""Okabe and Ito's palette."""

VERDICT_MARKS: dict[str, dict[str, Any]] = {
    IMPROVED: {"color": BLUE, "marker": "^", "markerfacecolor": BLUE},
    MATCHED: {"color": GREEN, "marker": "s", "markerfacecolor": GREEN},
    FORGOT: {"color": VERMILLION, "marker": "v", "markerfacecolor": VERMILLION},
    INCONCLUSIVE: {"color": GREY, "marker": "o", "markerfacecolor": "white"},
}
"""Verdicts differ in shape and filling too, for a print without colours."""

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 4,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.hashsalt": "croco-eval",
}

_GROUP_NAMES = {
    "high": "High-resource",
    "transfer": "Transfer",
    "low": "Low-resource",
    WHOLE: "All languages",
    "tuned": "Tuned",
    "never_tuned": "Never tuned",
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """The function, drawing in this style whatever the settings of the process are."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    return inner


def save(figure: Figure, stem: Path, dpi: int = DPI) -> list[Path]:
    """Writes ``stem`` + .png and .pdf and gives their paths; the same figure gives the same bytes.

    Raises StoreError if they can't be written.
    """
    FigureCanvasAgg(figure)
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    paths = []
    for ending, facts in metadata.items():
        buffer = io.BytesIO()
        with mpl.rc_context(_SETTINGS):
            figure.savefig(buffer, format=ending, dpi=dpi, metadata=facts)
        paths.append(stem.with_name(f"{stem.name}.{ending}"))
        write_atomically(paths[-1], buffer.getvalue())
    return paths


def place_name(name: str) -> str:
    """A language as ``Danish (da)``, a group in words."""
    return f"{LANGUAGES[name].name} ({name})" if name in LANGUAGES else _GROUP_NAMES.get(name, name)


def units(*columns: Any) -> tuple[float, str]:
    """What to multiply by, and the name of the unit: percentage points where all values lie in [0, 1]."""
    are_rates = all(((x >= 0) & (x <= 1) | x.isna()).all() for x in columns)
    return (100.0, "percentage points") if are_rates else (1.0, "units of the metric")


def shortened(text: str, length: int = 26) -> str:
    """A text that fits, cut in the middle where names differ least."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[-(length - 1 - head) :]}"
