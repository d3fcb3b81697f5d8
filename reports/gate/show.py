"""The gate's result on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .files import number
from .verdict import GateResult

_STYLES = {"GO": "green", "NO-GO": "bold red", "INCONCLUSIVE": "yellow"}


def show(result: GateResult, console: Console) -> None:
    """A short table, what is not gated, and the verdict in one sentence."""
    table = Table(header_style="bold")
    for name in ("row", "n", "difference", "verdict", "why"):
        table.add_column(name, justify="right" if name in ("n", "difference") else "left")
    for row in result.rows:
        x = row.measured
        numbers = (str(x.n or ""), number(x.difference, "+.4f"))
        style = _STYLES[row.verdict]
        table.add_row(escape(row.name), *numbers, f"[{style}]{row.verdict}[/]", escape(row.reason))
    if result.rows:
        console.print(table)
    for note in result.notes:
        console.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    console.print(result.headline, style=_STYLES[result.verdict], markup=False, highlight=False, soft_wrap=True)
