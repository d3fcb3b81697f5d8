"""The suite ``open``: 40 open-ended prompts, natural in every language, for real models and LLM judges."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from ...harness.api.records import Item
from ...harness.api.suite import SuiteOptions
from ...harness.config.strict import read_yaml
from ...harness.text.languages import LANGUAGES
from .prompt_task import PromptTask

VERSION = "1"


def open_prompts(language: str) -> dict[str, str]:
    """Prompt id (``category/name``, the same in every language) -> prompt."""
    return read_yaml(files(f"{__package__}.prompts") / f"{language}.yaml")


class OpenSuite:
    """Prompts of ten kinds: advice, explanation, rewriting, planning, stories, false premises, summaries, reasoning,
    conversation, ideas."""

    kind: Literal["open"] = "open"
    description = "40 parallel open-ended prompts, written by hand in each language, for LLM judges"

    def languages(self, options: SuiteOptions) -> tuple[str, ...]:
        """All 15."""
        return tuple(LANGUAGES)

    def load(self, language: str, options: SuiteOptions) -> PromptTask:
        """``limit`` is the number of prompts, in the files' order."""
        prompts = list(open_prompts(language).items())[: options.limit]
        items = [Item(f"{key}/{language}", key, key.split("/")[0], text) for key, text in prompts]
        return PromptTask(items, VERSION, options.seed)


open_suite = OpenSuite()
