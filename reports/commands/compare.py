"""``croco-eval compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
    from dataclasses import replace

    from rich.console import Console

    from ..document.terminal import print_comparisons
    from ..records.run_data import load_run
    from ..records.settings import report_settings
    from ..tables.all import write_csv
    from ..tables.comparisons import comparison_table

    rules = report_settings(run).rules
    named: dict[str, Any] = {"alpha": alpha, "margin": margin, "correction": correction}
    if margin is not None:
        named["margins"] = {}
    rules = replace(rules, **{k: v for k, v in named.items() if v is not None})
    data = load_run(run)
    against = reference or data.manifest["reference"]
    candidates = [candidate] if candidate else [x for x in data.systems if x != against]
    table = comparison_table(data, rules, [(x, against) for x in candidates])
    write_csv(run / "comparisons.csv", table)
    print_comparisons(table, Console())
    typer.echo(str(run / "comparisons.csv"))
