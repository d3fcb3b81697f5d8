"""How every table is written as a CSV file."""

from __future__ import annotations

from pathlib import Path

from ...harness.store.files import write_atomically
from ..records.run_data import Frame


def write_csv(path: Path, table: Frame) -> None:
    """Writes a table: six decimals, a newline at the end of a line. Raises StoreError."""
    write_atomically(path, table.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
