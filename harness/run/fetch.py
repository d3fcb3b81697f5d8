"""Fetching everything a configuration needs, so that the run itself needs no network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..api.suite import NeedsResources
from ..config.run_config import RunConfig
from ..errors import CrocoError, ModelError, first_line
from ..models.sources import find_model
from .plan import Plan, make_plan, suite_options


@dataclass(frozen=True)
class Fetched:
    """One thing a run needs. ``what`` says what is there now; ``problem`` why it isn't."""

    kind: Literal["model", "task", "resource"]
    name: str
    what: str = ""
    problem: str | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the run would miss a cell: without a resource it only leaves items unscored."""
        return self.problem is not None and self.kind != "resource"


def fetch_all(config: RunConfig) -> Iterator[Fetched]:
    """Fetches models, then the data of every task; gives each thing as it is there, or why it can't be.

    Raises UserError for names that can't be resolved.
    """
    models = dict.fromkeys((x.model, x.revision) for x in config.systems if x.server is None)
    models |= dict.fromkeys((x.adapter, None) for x in config.systems if x.adapter)
    problems = False
    for name, revision in models:
        fetched = _fetch_model(name, revision)
        problems |= fetched.problem is not None
        yield fetched
    if not problems:
        yield from _fetch_tasks(config)


def _fetch_model(name: str, revision: str | None) -> Fetched:
    try:
        source = find_model(name, revision)
        if source.is_local:
            return Fetched("model", name, f"local, {source.digest}")
        return Fetched("model", name, f"commit {_download(name, revision)}")
    except ModelError as error:
        return Fetched("model", name, problem=str(error))


def _download(name: str, revision: str | None) -> str:
    """Downloads a model; gives its commit. Raises ModelError."""
    from pathlib import Path

    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision)).name
    except Exception as error:  # the hub's clients have errors without a common base
        raise ModelError(f"model {name!r} can't be downloaded: {first_line(error)}.") from error


def _fetch_tasks(config: RunConfig) -> Iterator[Fetched]:
    plan = make_plan(config)
    yield from _fetch_resources(plan)
    for suite, language in dict.fromkeys((x.suite, x.language) for x in plan.cells):
        name = f"{suite}/{language}"
        try:
            # Not through the plan: it would keep the rows of all tasks.
            task = plan.suites[suite].load(language, suite_options(config, suite))
            yield Fetched("task", name, f"{task.n_items} items, data {task.identity['data']}")
        except CrocoError as error:
            yield Fetched("task", name, problem=str(error))
    for gap in plan.gaps:
        yield Fetched("task", f"{gap.suite}/{gap.language}", gap.reason)


def _fetch_resources(plan: Plan) -> Iterator[Fetched]:
    for name, suite in plan.suites.items():
        if isinstance(suite, NeedsResources):
            languages = list(dict.fromkeys(x.language for x in plan.cells if x.suite == name))
            for resource in suite.resources(languages, suite_options(plan.config, name)):
                try:
                    yield Fetched("resource", resource.name, resource.fetch())
                except CrocoError as error:
                    yield Fetched("resource", resource.name, problem=str(error))
