"""What a finished run could have seen: the difference that each of its comparisons detects, by its own noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ..items.item_values import PairedValues, item_values
from ..items.scopes import scopes
from ..records.run_data import Frame, RunData
from ..stats.clusters import Grouping
from ..stats.power import Design, required_items
from .comparisons import check_pairs
from .paired_tests import detectable, takes_mcnemar

POWER_COLUMNS = (
    *("candidate", "reference", "suite", "metric", "scope", "language"),
    *("n", "clusters", "se", "mde", "items_needed"),
)


def power_table(
    data: RunData,
    pairs: Sequence[tuple[str, str]] | None = None,
    difference: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
) -> Frame:
    """One row per pair, suite, metric and scope (``POWER_COLUMNS``); every system against the reference without pairs.

    ``n``: items both have scored, in ``clusters`` of shared sources. ``se``: standard error of the mean difference.
    ``mde``: the true difference that a two-sided test at alpha, uncorrected, finds with this power; at 80% the one of
    ``comparisons.csv``. ``items_needed``: how many such items find ``difference``. NaN and NA without noise to go by;
    ``mde`` also where even the largest possible difference would be missed. Raises UserError for an unknown system,
    ValueError for a difference that isn't positive.
    """
    rows = _rows(data, check_pairs(data, pairs), difference, power, alpha)
    table = pd.DataFrame(rows, columns=POWER_COLUMNS)
    return table.astype({"items_needed": "Int64"})


def _rows(
    data: RunData, pairs: Sequence[tuple[str, str]], difference: float | None, power: float, alpha: float
) -> Iterator[tuple]:
    places = scopes(data.languages)
    found = list(item_values(data))
    for pair in pairs:
        for values in found:
            for scope in places:
                paired = values.paired(*pair, scope.languages)
                place = (*pair, values.suite, values.metric, scope.kind, scope.name)
                yield (*place, *_numbers(paired, scope.kind != "language", difference, power, alpha))


def _numbers(paired: PairedValues, pooled: bool, difference: float | None, power: float, alpha: float) -> tuple:
    differences = paired.candidate - paired.reference
    group = Grouping.of(len(differences), paired.clusters, paired.languages if pooled else None).sums(differences)
    if not group.count:
        return 0, 0, math.nan, math.nan, None
    mde = detectable(paired, group, pooled, alpha, power)
    design = None
    if difference and takes_mcnemar(paired, pooled):
        design = Design.paired_binary(max(difference, np.count_nonzero(group.sums) / group.n))
    elif group.has_spread:
        design = Design.from_se(group.se(), group.n, group.count)
    items = required_items(difference, design, power, alpha) if difference and design else None
    return group.n, group.count, group.se(), mde, items
