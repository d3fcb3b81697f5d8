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

    from ..report.summary import print_run
    from ..report.write import write_report
    from ..tables.all import write_tables

    tables = write_tables(run)
    written = write_report(run, tables, figures)
    print_run(run, tables.data, tables.frames, Console())
    typer.echo(str(written))
