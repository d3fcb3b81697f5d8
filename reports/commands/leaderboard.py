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
    from ..document.document import Remark
    from ..document.terminal import show
    from ..records.merge import merge_runs
    from ..report.brief import leaderboard_blocks
    from ..tables.csv_files import write_csv
    from ..tables.leaderboard import leaderboard as make_leaderboard
    from ..tables.scores import score_table

    merged = merge_runs(runs)
    table = make_leaderboard(merged.data, score_table(merged.data), merged.data.settings.rules)
    flagged = table[table["flags"].ne("")]
    reasons = [*merged.notes, *(f"{x.system}: {x.flags}" for x in flagged.itertuples())]
    if reasons and len(runs) > 1 and not flag:
        raise UserError(
            f"these runs can't stand in one ranking: {'. '.join(reasons[:5])}"
            f"{f' (and {len(reasons) - 5} more)' if len(reasons) > 5 else ''}. "
            "--flag shows such values, flagged and unranked."
        )
    if len(runs) > 1:
        table.insert(1, "run", ["+".join(merged.runs[x]) for x in table["system"]])
    write_csv(out, table)
    show([*leaderboard_blocks(table), *map(Remark, merged.notes), str(out)], Console())
