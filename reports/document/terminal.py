"""A document on a terminal: plain tables in which no number is ever cut, verdicts in colour."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..records.comparison import FORGOT, IMPROVED, MATCHED
from .document import Block, Listing, Picture, Remark, TextTable

_STYLES = {
    IMPROVED: "green",
    MATCHED: "cyan",
    FORGOT: "red",
    "not compared": "yellow",
    "GO": "green",
    "NO-GO": "bold red",
    "INCONCLUSIVE": "yellow",
    "warning": "yellow",
    "alarm": "red",
}


def show(blocks: Iterable[Block], console: Console) -> None:
    """Prints the blocks one below the other; figures are left out."""
    for i, block in enumerate(blocks):
        if isinstance(block, TextTable):
            if block.caption:
                _line(f"\n{block.caption}" if i else block.caption, "bold", console)
            console.print(_table(block), crop=False)
        elif isinstance(block, Listing):
            for item in block.items:
                _line(item, "", console)
        elif isinstance(block, Remark):
            _line(block.text, _STYLES.get(block.tone, ""), console)
        elif not isinstance(block, Picture):
            _line(block, "", console)


def _line(text: str, style: str, console: Console) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _table(block: TextTable) -> Table:
    """A column is never narrower than its longest word, even if the terminal is."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    for i, name in enumerate(block.columns):
        cells = [row[i] for row in block.rows]
        least = max((cell_len(word) for text in (name, *cells) for word in text.split()), default=0)
        is_number = i >= block.n_names and all(x[:1] in "+-<0123456789" for x in cells)
        table.add_column(Text(name), justify="right" if is_number else "left", min_width=least)
    for i, row in enumerate(block.rows):
        cells = [
            Text(x, _STYLES.get(x, "") if name == "verdict" else "") for name, x in zip(block.columns, row, strict=True)
        ]
        table.add_row(*cells, end_section=i in block.group_ends)
    return table
