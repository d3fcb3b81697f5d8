"""``report/`` in a run directory: ``report.md`` and the figures it shows."""

from __future__ import annotations

from pathlib import Path

from ..document.write import write_document
from ..tables.all import RunTables
from .sections import report_document


def write_report(tables: RunTables, figures: bool = True) -> Path:
    """Writes ``report/report.md`` into the run directory and, if wanted, ``report/figures/*.png`` and ``.pdf``; gives
    the path of the text.

    The same tables give the same bytes. Raises StoreError if something can't be written.
    """
    return write_document(report_document(tables), tables.data.folder / "report" / "report.md", figures)
