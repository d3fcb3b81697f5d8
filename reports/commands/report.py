"""``croco-eval report``: what a run says, recomputed from its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw the figures (PNG and PDF).")] = True,
) -> None:
    """Recompute the CSV files of a run and write report/report.md with its figures, without any model."""
    from rich.console import Console

    from ..document.terminal import show
    from ..records.run_data import RunData
    from ..report.summary import summary
    from ..report.write import write_report
    from ..tables.all import write_tables

    tables = write_tables(RunData(run))
    written = write_report(tables, figures)
    show([*summary(tables), str(written)], Console())
