"""By which rules systems are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...harness.errors import UserError
from ...harness.registry import did_you_mean
from ..stats.inputs import Array, Values
from ..stats.multiplicity import benjamini_hochberg, holm

Correction = Literal["holm", "bh"]
CORRECTIONS: dict[str, Callable[[Values], Array]] = {"holm": holm, "bh": benjamini_hochberg}
"""Name of a correction for several tests -> the function that adjusts a family's p-values."""


@dataclass(frozen=True)
class Rules:
    """How systems are compared. ``margins`` replaces ``margin`` by suite; margins are in the metric's units.

    Plain numbers: configs and gate policies are checked where they are read, options by ``checked``.
    """

    alpha: float = 0.05
    correction: Correction = "holm"
    margin: float = 0.02
    margins: Mapping[str, float] = field(default_factory=dict)
    level: float = 0.95
    n_resamples: int = 10_000
    seed: int = 0

    def margin_of(self, suite: str) -> float:
        return self.margins.get(suite, self.margin)


def checked(rules: Rules) -> Rules:
    """The same rules. Raises UserError for a value that is no level, margin or number of resamples."""
    if not 0 < rules.alpha < 0.5:
        raise UserError(f"alpha must lie between 0 and 0.5, not {rules.alpha}.")
    if not 0 < rules.level < 1:
        raise UserError(f"the level of intervals must lie between 0 and 1, not {rules.level}.")
    if rules.correction not in CORRECTIONS:
        raise UserError(f"unknown correction {rules.correction!r}{did_you_mean(rules.correction, CORRECTIONS)}")
    for name, value in {"margin": rules.margin, **{f"margin of {k}": v for k, v in rules.margins.items()}}.items():
        if not 0 < value < float("inf"):
            raise UserError(f"{name} must be a positive number, the loss that still counts as none, not {value}.")
    if rules.n_resamples < 100:
        raise UserError(f"n_resamples must be at least 100, not {rules.n_resamples}.")
    return rules
