"""What the records of a run mean: statistics, tables, figures, a gate. Names are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records.comparison import Comparison
    from .records.rules import Rules
    from .records.run_data import RunData
    from .report.write import write_report
    from .tables.all import RunTables, run_tables, write_tables
    from .tables.comparisons import compare

__all__ = ["Comparison", "Rules", "RunData", "RunTables", "compare", "run_tables", "write_report", "write_tables"]

_WHERE = {
    "Comparison": "records.comparison",
    "Rules": "records.rules",
    "RunData": "records.run_data",
    "RunTables": "tables.all",
    "compare": "tables.comparisons",
    "run_tables": "tables.all",
    "write_report": "report.write",
    "write_tables": "tables.all",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
