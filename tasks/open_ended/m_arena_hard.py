"""The suite ``m-arena-hard``: open-ended prompts of m-ArenaHard v2.1 in the study's languages, for the judges."""

from __future__ import annotations

import json
from typing import Literal

from ...harness.api.records import Item
from ...harness.api.suite import SuiteOptions
from ...harness.errors import DataError
from ..draw import draw
from ..published.dataset import Source, load, local_files
from .prompt_task import PromptTask

VERSION = "2.1"
DATASET = "CohereLabs/m-ArenaHard-v2.1"
STUDY_LANGUAGES = ("da", "de", "en", "es", "fr", "it", "nl", "cy", "ga", "gl", "mt")
_COLUMNS = ("question_id", "category", "subcategory", "prompt", "language")


class MArenaHardSuite:
    """Translated prompts. Translations share their ``question_id``; category and subcategory are kept."""

    kind: Literal["open"] = "open"
    description = "hard open-ended prompts, parallel, for LLM judges (m-ArenaHard v2.1)"

    def languages(self, options: SuiteOptions) -> tuple[str, ...]:
        """The 11 of the study; with local files, those that have one."""
        return tuple(x for x in STUDY_LANGUAGES if self._is_covered(x, options))

    def _is_covered(self, language: str, options: SuiteOptions) -> bool:
        local = local_files(options.data_root, options.name, "", language)
        return local is None or not local.holds_suite or local.find("test", True) is not None

    def load(self, language: str, options: SuiteOptions) -> PromptTask:
        """``limit`` is the number of prompts, of all categories together. Raises DataError."""
        source = Source(DATASET, language, options.revisions.get(DATASET), columns=_COLUMNS)
        rows = load(source, local_files(options.data_root, options.name, "", language))["test"]
        rows = rows.select(draw([str(x) for x in rows["question_id"]], options.limit))
        items = [
            Item(
                item_id=f"{x['question_id']}/{language}",
                source_id=str(x["question_id"]),
                task=str(x["category"]),
                prompt=x["prompt"],
                metadata=json.dumps({"category": x["category"], "subcategory": x["subcategory"]}, ensure_ascii=False),
            )
            for x in rows
        ]
        if len({x.item_id for x in items}) < len(items):
            raise DataError(f"data set {source.name}: 'question_id' is not unique.")
        return PromptTask(items, VERSION, options.seed)


m_arena_hard = MArenaHardSuite()
