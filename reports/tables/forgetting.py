"""What did a tuning forget? Items that were right and are wrong now, and how the open-ended answers drifted.

The columns are documented in docs/files.md, what is computed in docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from ..items.item_values import ItemValues, score_values
from ..items.measures import MEASURES, measured_answers
from ..items.scopes import Scope, scopes, tuning_scopes
from ..records.run_data import Frame, RunData
from ..records.settings import ReportSettings
from .comparisons import adjusted, check_pairs, paired_rows
from .transitions import TRANSITIONS, transition_rows

FORGETTING_COLUMNS = (
    *("candidate", "reference", "suite", "measure", "scope", "language", "n", "n_choice"),
    *("unscored_candidate", "unscored_reference", "mean_candidate", "mean_reference", "value", "ci_low", "ci_high"),
    *("p_value", "p_adjusted", "method", "signature"),
)


def forgetting_table(
    data: RunData, settings: ReportSettings | None = None, pairs: Sequence[tuple[str, str]] | None = None
) -> Frame:
    """Transitions of right-or-wrong items and drift of open answers (``FORGETTING_COLUMNS``), per language and group,
    and for tuned and never tuned languages. ``pairs`` as in ``comparison_table``; ``settings`` are the run's own.

    Drift is tested; a pair's languages are one family, its pooled rows another. Transitions are not: whether losses
    outweigh gains is the test in ``comparisons.csv``. Raises StoreError and UserError as ``comparison_table`` does.
    """
    settings = settings or data.settings
    wanted = check_pairs(data, pairs)
    places = [*scopes(data.languages), *tuning_scopes(data.languages, settings.tuned)]
    rows: list[dict[str, Any]] = []
    for suite, facts in data.manifest["suites"].items():
        if facts["kind"] == "structured":
            rows += transition_rows(data, score_values(data, suite), wanted, places, settings.rules)
    for values in measured_answers(data):
        rows += _drift_rows(values, wanted, places, settings)
    table = pd.DataFrame(_in_order(rows, data, wanted, places), columns=FORGETTING_COLUMNS)
    families = zip(table["candidate"], table["reference"], table["scope"].ne("language"), strict=True)
    table["p_adjusted"] = adjusted(table["p_value"], families, settings.rules)
    table["n_choice"] = table["n_choice"].astype("Int64")
    return table


def _in_order(rows: list[dict[str, Any]], data: RunData, pairs: Sequence[tuple[str, str]], places: list[Scope]) -> Any:
    by_pair = {x: i for i, x in enumerate(pairs)}
    measures = [*TRANSITIONS, *MEASURES]
    names = [x.name for x in places]

    def key(row: dict[str, Any]) -> tuple[int, ...]:
        pair = by_pair[row["candidate"], row["reference"]]
        return pair, data.suites.index(row["suite"]), measures.index(row["measure"]), names.index(row["language"])

    return sorted(rows, key=key)


def _drift_rows(
    values: ItemValues, pairs: Sequence[tuple[str, str]], places: Sequence[Scope], settings: ReportSettings
) -> Iterator[dict[str, Any]]:
    """Candidate less reference; the margins of the suites are about scores and play no part."""
    for place in places:
        for x in paired_rows(values, place, pairs, settings.rules, margin=None):
            yield {**x.row(), "measure": values.metric, "value": x.difference}
