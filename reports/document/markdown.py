"""A report as Markdown: pipe tables, figures as links to their PNG files with the PDF beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .document import Block, Document, Listing, Picture, Remark, TextTable

_SPECIAL = re.compile(r"[\\`*|]|<(?=[A-Za-z/!?])|(?<=\])\(|(?<!\w)_|_(?!\w)|^#(?=#* )|^[-+>](?= )")
"""What Markdown would read as its own, in one line of text or one cell."""


def to_markdown(document: Document, figures: str | None) -> str:
    """The whole text. ``figures``: the folder of the figures, relative to the file; None leaves the figures out."""
    lines = [f"# {_escaped(document.title)}"]
    for section in document.sections:
        lines += ["", f"## {_escaped(section.title)}"]
        for block in section.blocks:
            if figures is not None or not isinstance(block, Picture):
                lines += ["", *_lines(block, figures or "")]
    return "\n".join(lines) + "\n"


def _lines(block: Block, figures: str) -> Iterator[str]:
    if isinstance(block, str | Remark):
        yield _escaped(block if isinstance(block, str) else block.text)
    elif isinstance(block, Listing):
        yield from (f"- {_escaped(x)}" for x in block.items)
    elif isinstance(block, Picture):
        name = f"{figures}/{block.name}"
        yield f"![{_escaped(block.caption)}]({name}.png)"
        yield ""
        yield f"{_escaped(block.caption)} ([PDF]({name}.pdf))"
    else:
        yield from _table(block)


def _table(table: TextTable) -> Iterator[str]:
    if table.caption:
        yield f"**{_escaped(table.caption)}**"
        yield ""
    yield _row(table.columns)
    yield _row([":--" if i < table.n_names else "--:" for i in range(len(table.columns))])
    yield from (_row([_escaped(x) for x in row]) for row in table.rows)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """The text as it is, in one line."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
