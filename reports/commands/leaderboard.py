"""``croco-eval leaderboard``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="Run directories; the first one's reference is the reference.")],
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
    flag: Annotated[
        bool, typer.Option("--flag", help="Show what can't be compared, flagged and unranked, instead of refusing.")
    ] = False,
) -> None:
    """Put the systems of one or several runs on one leaderboard."""
    from rich.console import Console

    from ...harness.errors import UserError
    from ..document.terminal import print_leaderboard
    from ..records.merge import join_runs
    from ..records.settings import report_settings
    from ..tables.all import score_table, write_csv
    from ..tables.leaderboard import leaderboard as make_leaderboard

    joined = join_runs(runs)
    table = make_leaderboard(joined.data, score_table(joined.data), report_settings(runs[0]).rules)
    flagged = table[table["flags"].ne("")]
    reasons = [*joined.notes, *(f"{x.system}: {x.flags}" for x in flagged.itertuples())]
    if reasons and len(runs) > 1 and not flag:
        raise UserError(
            f"these runs can't stand in one ranking: {'. '.join(reasons[:5])}"
            f"{f' (and {len(reasons) - 5} more)' if len(reasons) > 5 else ''}. "
            "--flag shows such values, flagged and unranked."
        )
    if len(runs) > 1:
        table.insert(1, "run", ["+".join(joined.runs[x]) for x in table["system"]])
    write_csv(out, table)
    console = Console()
    print_leaderboard(table, console)
    for note in joined.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    typer.echo(str(out))
