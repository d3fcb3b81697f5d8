"""What a paired test of two systems found: one record, from the test to the CSV files, the gate and the figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import nan
from typing import Any

import pandas as pd

from ...harness.api.records import Signature
from .run_data import Frame

IMPROVED, MATCHED, FORGOT, INCONCLUSIVE = "improved", "matched", "forgot", "inconclusive"
"""Verdicts of a comparison."""


@dataclass(frozen=True)
class Comparison:
    """A paired test of two systems over the same items of a suite, in one language or several (``scope``).

    Means and ``difference`` (candidate less reference) are over the ``n`` items that both systems have scored; NaN
    where nothing can be said. ``effect_size``: Cohen's d for paired values. ``margin``: the loss that still counts as
    none, in the metric's units. ``mde``: the true difference that a test at alpha, uncorrected, finds with a
    probability of 80%. ``method``: of the test, of the interval and of the test of non-inferiority. ``signature``: how
    the values came about; for a row without numbers, why it has none.
    """

    candidate: str
    reference: str
    suite: str
    metric: str
    scope: str
    language: str
    n: int = 0
    unscored_candidate: int = 0
    unscored_reference: int = 0
    mean_candidate: float = nan
    mean_reference: float = nan
    difference: float = nan
    ci_low: float = nan
    ci_high: float = nan
    effect_size: float = nan
    p_value: float = nan
    p_adjusted: float = nan
    p_noninferior: float = nan
    p_noninferior_adjusted: float = nan
    margin: float = nan
    mde: float = nan
    verdict: str = ""
    method: str = "none"
    signature: Signature | str = ""

    @property
    def pair(self) -> tuple[str, str]:
        return self.candidate, self.reference

    def row(self) -> dict[str, Any]:
        """Its columns, the signature in its written form."""
        return {**vars(self), "signature": str(self.signature)}

    @staticmethod
    def frame(rows: Iterable[Comparison]) -> Frame:
        """A table with a column per field, as ``comparisons.csv`` has it."""
        return pd.DataFrame([x.row() for x in rows], columns=COMPARISON_COLUMNS)


COMPARISON_COLUMNS = tuple(x.name for x in fields(Comparison))
