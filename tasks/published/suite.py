"""Structured suites whose data are published: which lm-eval task and which data set serve each language, as data.

A suite is one YAML file, such as ``belebele.yaml``. The prompts are those of the lm-eval task; ``dataset`` fetches,
pins and checks the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...harness.api.suite import SuiteOptions
from ...harness.config.strict import Strict, read_yaml
from ...harness.errors import UserError
from ...harness.registry import did_you_mean
from ...harness.text.languages import LANGUAGES
from .dataset import Source, load, local_files

if TYPE_CHECKING:
    from ..lm_eval.adapter import LmEvalTask


class TaskEntry(Strict):
    """One lm-eval task, or group, in one language, and the data set it reads.

    ``name``: in our tables, the suite's by default. ``kind``: one of the suite's kinds of task. ``source_id``: the
    columns that translations of an item share, or ``row`` where they stand in the same order in all languages.
    ``few_shot``: examples by the task's own YAML. ``drawn_before``: sizes of the splits that EuroEval resamples before
    the evaluated one.
    """

    task: str
    name: str | None = None
    kind: str | None = None
    dataset: str
    config: str | None = None
    splits: tuple[str, ...] = ("test",)
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    labels: dict[str, tuple[Any, ...]] = {}
    also: tuple[str, ...] = ()
    headerless: tuple[str, ...] = ()
    source_id: tuple[str, ...] | Literal["row"] | None = None
    few_shot: int = 0
    drawn_before: tuple[int, ...] = ()

    def source(self, revisions: Mapping[str, str]) -> Source:
        """The data set, pinned where the config pins it."""
        pinned = next((revisions[x] for x in (self.dataset, *self.also) if x in revisions), None)
        fields = self.model_dump(include={"dataset", "config", "splits", "columns", "optional", "labels", "also"})
        return Source(**fields, headerless=self.headerless, revision=pinned)


class SuiteSpec(Strict):
    """A suite's file. ``lm_eval``: folders of lm-eval's own tasks; ours lie in ``yaml/`` beside the file.
    ``primary``: the metric that stands for an item; ``bounded``: metrics between 0 and 1. ``defaults`` hold for every
    entry, those of ``kinds`` for the entries of that kind. ``euroeval``: how EuroEval's own score is made."""

    description: str
    version: str
    lm_eval: tuple[str, ...] = ()
    primary: str | None = None
    bounded: tuple[str, ...] = ()
    defaults: dict[str, Any] = {}
    kinds: dict[str, dict[str, Any]] = {}
    euroeval: dict[str, int] = {}
    languages: dict[str, dict[str, Any] | list[dict[str, Any]]]

    def entries(self, language: str) -> list[TaskEntry]:
        """What the suite asks in a language."""
        found = self.languages.get(language)
        listed = found if isinstance(found, list) else [found] if found else []
        return [TaskEntry(**{**self.defaults, **self.kinds.get(x.get("kind", ""), {}), **x}) for x in listed]


class HubSuite:
    """A suite from its file. Reads the file when it is first needed, lm-eval and data when a task is loaded."""

    kind: Literal["structured"] = "structured"

    def __init__(self, file: Path) -> None:
        self._file = file

    @cached_property
    def spec(self) -> SuiteSpec:
        """The suite's file."""
        return SuiteSpec(**read_yaml(self._file))

    @property
    def description(self) -> str:
        return self.spec.description

    def languages(self, options: SuiteOptions) -> tuple[str, ...]:
        """Languages with data: those of the file; with local files, those that have them all."""
        return tuple(x for x in LANGUAGES if x in self.spec.languages and self._is_covered(x, options))

    def _is_covered(self, language: str, options: SuiteOptions) -> bool:
        entries = self.entries(language, options)
        for entry in entries:
            local = local_files(options.data_root, options.name, entry.name or "", language)
            if local is not None and local.holds_suite and local.find(entry.splits[0], True) is None:
                return False
        return bool(entries)

    def entries(self, language: str, options: SuiteOptions) -> list[TaskEntry]:
        """What is asked in a language, after the options ``tasks`` and ``exclude``. Raises UserError for others."""
        chosen = {k: _names(options.name, k, v) for k, v in options.options.items()}
        known = {x.name for code in self.spec.languages for x in self.spec.entries(code) if x.name}
        for option, names in chosen.items():
            if option not in ("tasks", "exclude"):
                near = did_you_mean(option, ["tasks", "exclude"]) or "."
                raise UserError(f"suite {options.name!r} has no option {option!r}{near}")
            if unknown := [x for x in names if x not in known]:
                near = did_you_mean(unknown[0], sorted(known)) or "."
                raise UserError(f"suite {options.name!r} has no task {unknown[0]!r}{near}")
        wanted, unwanted = chosen.get("tasks"), chosen.get("exclude", ())
        return [
            x for x in self.spec.entries(language) if x.name not in unwanted and (wanted is None or x.name in wanted)
        ]

    def load(self, language: str, options: SuiteOptions) -> LmEvalTask:
        """The tasks of the suite in a language. Data are fetched when they are first needed."""
        from ..lm_eval.adapter import LmEvalTask, ScorePolicy, TaskSpec, own_tasks

        spec, entries = self.spec, self.entries(language, options)
        manager = own_tasks(spec.lm_eval, self._file.parent / "yaml")
        specs = {}
        for entry in entries:
            shots = entry.few_shot if options.few_shot is None else options.few_shot
            local = local_files(options.data_root, options.name, entry.name or "", language)
            specs[entry.name or options.name] = TaskSpec(
                entry.task,
                rows=cache(partial(load, entry.source(options.revisions), local, few_shot=shots > 0)),
                source_id=partial(_source_id, entry.source_id),
            )
        return LmEvalTask(
            manager,
            specs,
            version=spec.version,
            limit=options.limit,
            few_shot=options.few_shot,
            language=language,
            policy=ScorePolicy(spec.primary, dict.fromkeys(spec.bounded, "bounded")),
            estimators=self._estimators(entries),
        )

    def _estimators(self, entries: Sequence[TaskEntry]) -> dict[str, Any]:
        """Settings of EuroEval's own score, for a suite of its data sets."""
        if not self.spec.euroeval:
            return {}
        return {"euroeval": {**self.spec.euroeval, "drawn_before": {x.name: list(x.drawn_before) for x in entries}}}


def _names(suite: str, option: str, value: Any) -> Sequence[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(x, str) for x in names):
        raise UserError(f"suite {suite!r}: option {option!r} is a list of task names.")
    return names


def _source_id(columns: tuple[str, ...] | str | None, row: Mapping[str, Any], number: int) -> str | None:
    """What translations of a document share: some of its columns, its place, or nothing."""
    if columns is None:
        return None
    return str(number) if columns == "row" else "#".join(str(row[x]) for x in columns)
