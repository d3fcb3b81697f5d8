"""What is not there, and why: cells, judgings, items without a score."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..document.document import Block, Section, TextTable, section
from ..records.run_data import Frame
from ..tables.all import RunTables

_MOST_ROWS = 40


def missing_sentence(tables: RunTables) -> str:
    """How much is missing, for the top of the report; empty if nothing is."""
    data = tables.data
    cells = len(data.systems) * len(data.suites) * len(data.languages)
    absent = len(data.missing[["system", "suite", "language"]].drop_duplicates())
    unscored = int(_unscored(tables)["items"].sum())
    parts = [f"{absent} of {cells} cells are missing or not wholly judged"] if absent else []
    parts += [f"{unscored} values are unscored"] if unscored else []
    return f"{'; '.join(parts)}: see Missing and unscored." if parts else ""


def missing_section(tables: RunTables) -> Section | None:
    """Gaps and unscored items by reason."""
    blocks: list[Block] = []
    if len(missing := tables.data.missing):
        rows = [
            (suite, _some(part["system"], tables.data.systems), _some(part["language"], tables.data.languages), reason)
            for (suite, reason), part in missing.groupby(["suite", "reason"], sort=False)
        ]
        blocks.append(TextTable("Missing cells", ("suite", "systems", "languages", "reason"), tuple(rows), n_names=4))
    if len(unscored := _unscored(tables)):
        most = unscored.sort_values("items", ascending=False, kind="stable").head(_MOST_ROWS)
        rows = [(x.system, x.suite, x.metric, x.reason, x.languages, str(x.items)) for x in most.itertuples()]
        columns = ("system", "suite", "metric", "reason", "languages", "items")
        blocks.append(TextTable("Unscored items", columns, tuple(rows), n_names=5))
        if len(unscored) > len(most):
            blocks.append(f"{len(unscored) - len(most)} more reasons with fewer items are in the records.")
    return section("Missing and unscored", blocks)


def _unscored(tables: RunTables) -> Frame:
    """One row per system, suite, metric and reason."""
    data = tables.data
    found: list[Frame] = []
    if len(data.scores):
        scores = data.scores[data.scores["primary"].to_numpy(dtype=bool) & data.scores["unscored"].notna().to_numpy()]
        found.append(scores[["system", "suite", "language", "unscored"]].assign(metric="score"))
    if len(data.preferences):
        table = data.preferences[data.preferences["unscored"].notna()]
        metric = "win_rate[" + table["judge"].astype(str) + "]"
        found.append(
            table.rename(columns={"candidate": "system"})[["system", "suite", "language", "unscored"]].assign(
                metric=metric
            )
        )
    columns = ["system", "suite", "metric", "reason", "languages", "items"]
    if not found:
        return pd.DataFrame(columns=columns)
    table: Any = pd.concat(found)
    rows = [
        (*names, _some(part["language"], data.languages), len(part))
        for names, part in table.groupby(["system", "suite", "metric", "unscored"], sort=False)
    ]
    return pd.DataFrame(rows, columns=columns)


def _some(names: Frame, all_names: list[str]) -> str:
    found = set(names)
    return "all" if found == set(all_names) and len(found) > 1 else " ".join(x for x in all_names if x in found)
