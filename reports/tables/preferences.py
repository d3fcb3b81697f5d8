"""``preferences.csv``: what each judge thinks of each item.

The columns are documented in docs/files.md.
"""

from __future__ import annotations

from typing import Any

from ..records.run_data import Frame, RunData

PREFERENCE_COLUMNS = (
    *("judge", "candidate", "reference", "suite", "task", "language", "item_id", "source_id"),
    *("preference", "unscored", "signature"),
)


def preference_table(data: RunData) -> Frame:
    """One row per judge, candidate and item, in the order of the config and then of the items' ids."""
    table = data.preferences.reindex(columns=PREFERENCE_COLUMNS)
    order = {"candidate": data.systems, "suite": data.suites, "language": data.languages}
    keys: dict[str, Any] = {f"_{k}": table[k].map({x: i for i, x in enumerate(v)}) for k, v in order.items()}
    ordered = table.assign(**keys).sort_values(["judge", *keys, "task", "item_id"], kind="stable")
    return ordered.assign(signature=ordered["signature"].map(str))[list(PREFERENCE_COLUMNS)]
