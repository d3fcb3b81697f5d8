"""What the statistical functions return: frozen, plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True)
class Estimate:
    """A value with its two-sided interval. ``n`` counts scored items, ``n_unscored`` those left out.

    Where nothing can be said (no items; one cluster) ``value`` or the interval's ends are NaN.
    """

    value: float
    ci_low: float
    ci_high: float
    se: float
    n: int
    n_unscored: int
    method: str

    @classmethod
    def nothing(cls, n_unscored: int) -> Estimate:
        """What is known without a single scored item."""
        return cls(math.nan, math.nan, math.nan, math.nan, 0, n_unscored, "none")

    def renamed(self, method: str) -> Estimate:
        return replace(self, method=method)


@dataclass(frozen=True)
class Test:
    """A p-value with the effect it is about and that effect's interval, in the units of the values (rates in [0, 1]).

    ``n`` counts the items that were used. A p-value is never 0; it is NaN where no test is possible (no items, and for
    some tests a single cluster), and the corrections for several tests leave such a p-value out.
    """

    p_value: float
    statistic: float
    effect: float
    ci_low: float
    ci_high: float
    n: int
    method: str

    __test__: ClassVar[bool] = False  # keeps pytest from collecting the class by its name

    @classmethod
    def nothing(cls) -> Test:
        """What is known without a single scored item."""
        return cls(math.nan, math.nan, math.nan, math.nan, math.nan, 0, "none")
