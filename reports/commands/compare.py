"""``croco-eval compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    candidate: Annotated[str | None, typer.Option("--candidate", help="A system [default: all but B].")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="The system it is compared with [default: the run's reference].")
    ] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="Probability of a false claim in a family.")] = None,
    margin: Annotated[
        float | None, typer.Option("--margin", help="Loss that still counts as none, for every suite.")
    ] = None,
    correction: Annotated[str | None, typer.Option("--correction", help="holm or bh.")] = None,
) -> None:
    """Compare systems on the items both have, and write comparisons.csv. What isn't named is as in the run's config."""
    from rich.console import Console

    from ..document.terminal import show
    from ..records.run_data import RunData
    from ..report.brief import comparison_blocks
    from ..tables.comparisons import compare as make_comparisons
    from ..tables.csv_files import write_csv

    table = make_comparisons(RunData(run), candidate, reference, alpha=alpha, margin=margin, correction=correction)
    write_csv(run / "comparisons.csv", table)
    show([*comparison_blocks(table), str(run / "comparisons.csv")], Console())
