"""The suite ``locale-open``: open-ended prompts with the facts that a good answer holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from ...harness.api.records import Item
from ...harness.api.suite import SuiteOptions
from ...harness.text.languages import LANGUAGES
from ..open_ended.prompt_task import PromptTask

if TYPE_CHECKING:
    from .open_items import OpenItem

DEFAULT_SIZE = 20
"""Prompts of each family, unless the config sets a limit."""

VERSION = "1"


class LocaleOpenSuite:
    """Prompts to describe a territory, compare two, list the days in order or explain a date, each with its facts."""

    kind: Literal["open"] = "open"
    description = "open-ended prompts about CLDR facts, with the facts a good answer must hold"

    def languages(self, options: SuiteOptions) -> tuple[str, ...]:
        """All 15; Maltese without the family that asks for a currency."""
        return tuple(LANGUAGES)

    def load(self, language: str, options: SuiteOptions) -> PromptTask:
        """``limit`` is the number of prompts of each family."""
        from .cldr import cldr_version
        from .open_items import build_open_items, open_families_in

        size = options.limit or DEFAULT_SIZE
        items = [x for f in open_families_in(language) for x in build_open_items(f, language, size, options.seed)]
        return PromptTask([_record(x) for x in items], f"{VERSION}+{cldr_version()}", options.seed)


def _record(item: OpenItem) -> Item:
    metadata = {"facts": item.facts, "ordered": item.ordered, "provenance": item.provenance}
    return Item(item.item_id, item.source_id, item.family, item.prompt, json.dumps(metadata, ensure_ascii=False))


locale_open_suite = LocaleOpenSuite()
