"""What a suite is: a named family of tasks, one per language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from .answerer import Answerer
from .records import Item, Score


@dataclass(frozen=True)
class SuiteOptions:
    """What the config says about a suite. ``limit`` bounds the items of each of its tasks; ``options`` are the suite's
    own. ``data_root`` is a folder with data sets that are then not fetched from the hub; ``revisions`` pins hub ids."""

    name: str
    limit: int | None
    few_shot: int | None
    seed: int
    task: str | None = None
    task_path: str | None = None
    data_root: str | None = None
    revisions: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskResult:
    """Items and their scores; a task of open-ended prompts has no scores, its answers are judged later.

    ``estimators``: settings of estimators that the data sets' publishers use, by name, for extra columns of the tables.
    """

    items: list[Item]
    scores: list[Score]
    estimators: Mapping[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """One suite in one language, its data loaded."""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything about the task that can change its result: version, digests of data and prompts, few-shot, ..."""
        ...

    @property
    def n_items(self) -> int: ...

    def run(self, answerer: Answerer) -> TaskResult:
        """Asks all items and scores the answers."""
        ...


class Suite(Protocol):
    """A family of tasks, registered as an entry point in ``croco_eval.suites``."""

    @property
    def kind(self) -> Literal["structured", "open"]: ...

    @property
    def description(self) -> str: ...

    def languages(self, options: SuiteOptions) -> tuple[str, ...]:
        """Codes of the languages it has data for, without loading them."""
        ...

    def load(self, language: str, options: SuiteOptions) -> Task:
        """The task in a language. Raises DataError if its data are missing, empty or changed."""
        ...


class Resource(Protocol):
    """Something besides models and data sets by which some items of a suite are scored, such as a tokenizer's tables.
    Without it a run goes on, and those items are unscored with a reason."""

    @property
    def name(self) -> str: ...

    def fetch(self) -> str:
        """Fetches it if it isn't there; says what is there. Raises a CrocoError that says what is lost without it."""
        ...


@runtime_checkable
class NeedsResources(Protocol):
    """A suite with resources."""

    def resources(self, languages: Sequence[str], options: SuiteOptions) -> Sequence[Resource]:
        """What the suite needs for its tasks in these languages."""
        ...
