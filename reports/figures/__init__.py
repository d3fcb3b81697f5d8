"""Figures: rows of a table in, a Matplotlib figure out; ``save`` writes it as PNG and PDF."""

from .differences import differences_figure
from .forgetting import forgetting_figure
from .learning_curves import learning_curve_figure, learning_curves_by_language_figure
from .seeds import seeds_figure
from .style import save
from .win_rates import win_rates_figure

__all__ = [
    "differences_figure",
    "forgetting_figure",
    "learning_curve_figure",
    "learning_curves_by_language_figure",
    "save",
    "seeds_figure",
    "win_rates_figure",
]
