"""What a finished run could have seen: the difference that each of its comparisons detects, by its own noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ..items.item_values import Sides, panels
from ..items.scopes import scopes
from ..records.run_data import Frame, RunData
from ..stats.clusters import Grouping
from ..stats.detectable import detectable_binary
from ..stats.power import Design, minimum_detectable_effect, required_items
from .comparisons import check_pairs

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
    found = list(panels(data))
    for pair in pairs:
        for panel in found:
            for scope in places:
                sides = panel.sides(*pair, scope.languages)
                place = (*pair, panel.suite, panel.metric, scope.kind, scope.name)
                yield (*place, *_numbers(sides, scope.kind != "language", difference, power, alpha))


def _numbers(sides: Sides, pooled: bool, difference: float | None, power: float, alpha: float) -> tuple:
    differences = sides.candidate - sides.reference
    group = Grouping.of(len(differences), sides.clusters, sides.languages if pooled else None).sums(differences)
    if not group.count:
        return 0, 0, math.nan, math.nan, None
    known = (group.n, group.count, group.se())
    if sides.kind == "binary" and not pooled and not sides.has_shared_sources:
        share = int(np.count_nonzero(np.nan_to_num(differences))) / group.n
        mde = detectable_binary(group.n, share, power, alpha)
        return *known, mde, difference and _binary_items(difference, share, power, alpha)
    if not group.has_spread:
        return *known, math.nan, None
    design = Design.from_se(group.se(), group.n, group.count)
    mde = minimum_detectable_effect(group.n, design, power, alpha)
    farthest = math.inf if sides.kind == "continuous" else 0.5 if sides.against_half else 1.0
    return *known, mde if mde <= farthest else math.nan, difference and required_items(difference, design, power, alpha)


def _binary_items(difference: float, discordance: float, power: float, alpha: float) -> int:
    return required_items(difference, Design.paired_binary(max(difference, discordance)), power, alpha)
