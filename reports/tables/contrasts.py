"""Which way of tuning is better? Two arms against each other on the items both answered (``policy.csv``)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ...harness.config.run_config import CONTRASTS
from ..records.comparison import COMPARISON_COLUMNS
from ..records.rules import Rules
from ..records.run_data import Frame, RunData
from .comparisons import check_pairs, judged, raw_comparisons

POLICY_COLUMNS = ("contrast", *COMPARISON_COLUMNS)


def policy_table(data: RunData, arms: Mapping[str, str], rules: Rules) -> Frame:
    """One row per contrast, suite, metric and scope (``POLICY_COLUMNS``); empty without two arms to compare.

    ``arms``: way of tuning -> system (``ReportSettings.arms``); contrasts with a missing arm are left out.

    The arms are paired item by item and tested directly. Open-ended suites pair the two arms' preferences over the
    run's reference; an arm that is the reference stands at 0.5. All rows are one family. Raises as
    ``comparison_table`` does.
    """
    pairs = {f"{a} vs {b}": (arms[a], arms[b]) for a, b in CONTRASTS if a in arms and b in arms}
    raw = raw_comparisons(data, rules, check_pairs(data, list(pairs.values())))
    of_contrast = [(name, x) for name, pair in pairs.items() for x in raw if x.pair == pair]
    rows = judged([x for _, x in of_contrast], lambda _: 0, rules)
    named = [{"contrast": name, **x.row()} for (name, _), x in zip(of_contrast, rows, strict=True)]
    return pd.DataFrame(named, columns=POLICY_COLUMNS)
