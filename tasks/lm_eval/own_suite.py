"""A user's own lm-eval task as a suite: YAML files in the folder that the config's ``task_path`` names.

In the config, ``- {name: my-suite, task: my_task_{language}}``. ``{language}`` stands for the code of each language
(Norwegian is ``no``, and ``nb`` is tried too); a language without such a task is a gap.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...harness.api.suite import SuiteOptions
from ...harness.errors import UserError
from ...harness.text.languages import LANGUAGES

if TYPE_CHECKING:
    from .adapter import LmEvalTask


class LmEvalSuite:
    """The suite of a task that the user wrote."""

    kind: Literal["structured"] = "structured"
    description = (
        "your own lm-eval YAML task: give the suite a name and `task: NAME_{language}`, and the config a `task_path`"
    )

    def languages(self, options: SuiteOptions) -> tuple[str, ...]:
        """Languages for which the folder has a task. Raises UserError if it has none at all."""
        from .adapter import check_task_name

        manager, folder = self._manager(options)
        names = {x: _task_name(manager, options.task or "", x) for x in LANGUAGES}
        found = tuple(x for x, name in names.items() if name is not None)
        if not found:
            check_task_name(manager, (options.task or "").format(language="en"), folder)
        return found

    def load(self, language: str, options: SuiteOptions) -> LmEvalTask:
        """The task in a language, its data loaded when first needed."""
        from .adapter import LmEvalTask, TaskSpec

        manager, _ = self._manager(options)
        name = _task_name(manager, options.task or "", language)
        return LmEvalTask(
            manager,
            {options.name: TaskSpec(name or "")},
            version="user",
            limit=options.limit,
            few_shot=options.few_shot,
            language=language,
        )

    def _manager(self, options: SuiteOptions) -> tuple[Any, str]:
        if not options.task:
            raise UserError("suite 'lm-eval' needs a task: write `- {name: my-suite, task: my_task_{language}}`.")
        if not options.task_path:
            raise UserError(
                f"suite {options.name!r} names the task {options.task!r}, but the config has no task_path to look in."
            )
        return _manager_of(options.task_path), options.task_path


@cache
def _manager_of(folder: str) -> Any:
    from .adapter import task_manager

    return task_manager(Path(folder))


def _task_name(manager: Any, template: str, language: str) -> str | None:
    for code in (language, "nb") if language == "no" else (language,):
        name = template.replace("{language}", code)
        if name in manager.task_index:
            return name
    return None


lm_eval_suite = LmEvalSuite()
