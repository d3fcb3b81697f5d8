"""``croco-eval report``: the tables of a run, recomputed from its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(run: Annotated[Path, typer.Argument(help="Run directory.")]) -> None:
    """Recompute the CSV files of a run from its directory, without any model."""
    from rich.console import Console

    from .summary import show_run
    from .tables import write_tables

    write_tables(run)
    show_run(run, Console())
