"""A document as a Markdown file with its figures beside it."""

from __future__ import annotations

from pathlib import Path

from ...harness.store.files import write_atomically
from .document import Document
from .markdown import to_markdown

FIGURES = "figures"


def write_document(document: Document, file: Path, figures: bool = True) -> Path:
    """Writes a document as Markdown and its figures into a folder beside it, which holds those of this document alone.
    Gives the path of the text. Raises StoreError."""
    folder = file.parent / FIGURES
    written = _write_figures(document, folder) if figures else set()
    for old in sorted(folder.glob("*.p[nd][gf]")):
        if old not in written:
            old.unlink()
    write_atomically(file, to_markdown(document, FIGURES if figures else None))
    return file


def _write_figures(document: Document, folder: Path) -> set[Path]:
    from ..figures import save

    return {path for x in document.pictures() for path in save(x.draw(), folder / x.name)}
