"""What a report consists of, whatever it is written as: sections of text, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Listing:
    """Sentences of equal rank."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Remark:
    """A paragraph that stands out. ``tone``: a verdict, ``warning`` or ``alarm``."""

    text: str
    tone: str = "warning"


@dataclass(frozen=True)
class TextTable:
    """A table as it is read: rounded numbers, intervals in brackets. ``n_names``: leading columns that hold names;
    ``group_ends``: numbers of the rows that end a group of rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_names: int = 1
    group_ends: tuple[int, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A figure: ``name`` of its files without ending; ``draw`` makes it."""

    name: str
    caption: str
    draw: Callable[[], Figure]


Block = str | Remark | Listing | TextTable | Picture
"""A paragraph is a plain string."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in reading order."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    sections: tuple[Section, ...]

    def pictures(self) -> Iterator[Picture]:
        """All figures in reading order."""
        for section in self.sections:
            yield from (x for x in section.blocks if isinstance(x, Picture))


def section(title: str, blocks: Sequence[Block]) -> Section | None:
    """A section, or None if there is nothing to put in it."""
    return Section(title, tuple(blocks)) if blocks else None
