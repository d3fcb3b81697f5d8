"""How numbers read in a report."""

from __future__ import annotations

import math
from typing import Any


def number(value: float, digits: int = 3) -> str:
    """A rounded number; nothing for NaN."""
    return "" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """A rounded number with its sign."""
    return "" if math.isnan(value) else f"{round(value, digits) + 0.0:+.{digits}f}"


def within(value: float, low: float, high: float, digits: int = 3, sign: bool = False) -> str:
    """A value with its interval."""
    shown = signed(value, digits) if sign else number(value, digits)
    return shown if math.isnan(low) or math.isnan(high) else f"{shown} [{number(low, digits)}, {number(high, digits)}]"


def p_value(value: float) -> str:
    """Three digits, or that it is smaller."""
    return "" if math.isnan(value) else "<0.001" if value < 0.0005 else f"{value:.3f}"


def whole(value: Any) -> str:
    """A count; nothing where there is none."""
    return "" if value is None or value != value else str(int(value))


def words(items: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
