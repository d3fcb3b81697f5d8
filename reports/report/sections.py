"""All sections of a report, in the order in which they are read."""

from __future__ import annotations

from ..document.document import Document
from ..tables.all import RunTables
from .checkpoints import checkpoints_section
from .compared import comparisons_section, forgetting_section, policy_section, win_rates_section
from .missing import missing_section
from .provenance import provenance_section
from .scores import leaderboard_section, off_target_section, ratings_section, scores_section, short_section

_SECTIONS = (
    short_section,
    leaderboard_section,
    scores_section,
    comparisons_section,
    forgetting_section,
    policy_section,
    win_rates_section,
    ratings_section,
    off_target_section,
    checkpoints_section,
    missing_section,
    provenance_section,
)


def report_document(tables: RunTables) -> Document:
    """What the tables of a run say: the same tables give the same document. Sections without content are left out."""
    config = tables.data.settings.config
    title = f"Report of {config.name}" if config else "Report"
    found = [make(tables) for make in _SECTIONS]
    return Document(title, tuple(x for x in found if x is not None))
