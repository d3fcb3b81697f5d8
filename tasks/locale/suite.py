"""The suite ``locale``: names and conventions of a language, from CLDR, through lm-eval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...harness.api.suite import SuiteOptions
from ...harness.errors import DataError
from ...harness.text.languages import LANGUAGES

if TYPE_CHECKING:
    from ..lm_eval.adapter import LmEvalTask

DEFAULT_SIZE = 100
"""Items of each family, unless the config sets a limit."""

VERSION = "1"


class LocaleSuite:
    """Families of questions with known answers, parallel in all 15 languages."""

    kind: Literal["structured"] = "structured"
    description = "names and conventions of the language, from CLDR: 13 families, known answers, any size"

    def languages(self, options: SuiteOptions) -> tuple[str, ...]:
        """All 15; Maltese without currencies, English without translation."""
        return tuple(LANGUAGES)

    def load(self, language: str, options: SuiteOptions) -> LmEvalTask:
        """``limit`` is the number of items of each family."""
        from ..lm_eval.adapter import LmEvalTask, ScorePolicy, TaskSpec, task_manager
        from .cldr import cldr_version
        from .items import families_in

        families = families_in(language)
        if not families:
            raise DataError(f"suite 'locale' has no questions in {language!r}.")
        settings = {"language": language, "size": options.limit or DEFAULT_SIZE, "seed": options.seed}
        return LmEvalTask(
            task_manager(Path(__file__).parent / "yaml"),
            {x: TaskSpec(f"locale_{x}", {"dataset_kwargs": settings}) for x in families},
            version=f"{VERSION}+{cldr_version()}",
            limit=None,
            few_shot=options.few_shot,
            language=language,
            policy=ScorePolicy(primary="acc"),
        )


locale_suite = LocaleSuite()
