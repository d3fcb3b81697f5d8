"""A punkt model that knows no abbreviations, in the form NLTK reads: enough to split plain sentences."""

from __future__ import annotations

from pathlib import Path


def write_punkt(nltk_data: Path) -> None:
    """Writes the English model into a folder of ``NLTK_DATA``."""
    folder = nltk_data / "tokenizers" / "punkt_tab" / "english"
    folder.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (folder / name).write_text("", encoding="utf-8")
