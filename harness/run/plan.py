"""The plan of a run: its cells, with every name resolved and every model identified before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import registry
from ..api.backend import ModelSpec
from ..api.judge import Judge, JudgeContext
from ..api.records import Signature
from ..api.suite import Suite, SuiteOptions, Task
from ..config.run_config import JudgeConfig, RunConfig, SystemConfig
from ..config.server_config import ApiKey, SystemServer
from ..errors import DataError
from ..extras import missing_extra
from ..models.sources import ModelSource, check_adapter, find_model, model_names
from ..models.tuning import Tuning, read_tuning
from ..store.fingerprint import digest
from ..store.version import package_version

LM_EVAL_SUITE = "lm-eval"
"""The suite that runs one's own lm-eval task."""


_NAMES_AND_BACKENDS = {
    "name", "model", "adapter", "checkpoint_of", "step", "revision", "allow_base_mismatch", "engine_options", "server",
}  # fmt: skip


@dataclass(frozen=True)
class System:
    """A system with its weights identified."""

    config: SystemConfig
    base: ModelSource
    adapter: ModelSource | None

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def base_key(self) -> tuple[Any, ...]:
        """Systems with the same key share one loaded base model."""
        c = self.config
        how = digest([c.engine_options, c.server and c.server.model_dump(mode="json")])
        return c.backend, self.base.digest, c.dtype, c.device, c.batch_tokens, how

    @property
    def spec(self) -> ModelSpec:
        c = self.config
        adapters = (Path(self.adapter.path),) if self.adapter else ()
        settings = {"dtype": c.dtype, "device": c.device, "batch_tokens": c.batch_tokens}
        more = {"adapters": adapters, "options": c.engine_options, "server": c.server}
        return ModelSpec(self.base.path, self.base.revision, **settings, **more)

    @property
    def tuning(self) -> Tuning | None:
        """How its adapter came about, where that is recorded. Raises StoreError for a record that can't be read."""
        return read_tuning(self.adapter) if self.adapter else None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything about the system that can change an answer. What only some backends have is there if it is set."""
        settings = self.config.model_dump(
            mode="json",
            exclude=_NAMES_AND_BACKENDS | ({"truncate"} if self.config.truncate == "cut" else set()),
        )
        options, server = self.config.engine_options, self.config.server
        return {
            **settings,
            **({"engine_options": options} if options else {}),
            **({"server": server.identity} if server else {}),
            "model": self.base.digest,
            "adapter": self.adapter.digest if self.adapter else None,
        }


@dataclass(frozen=True)
class Cell:
    """System x suite x language: what is planned, run, resumed and distributed."""

    system: System
    suite: str
    language: str


@dataclass(frozen=True)
class Gap:
    """A task that can't be: the suite has no data in this language, or (``failed``) its data can't be used."""

    suite: str
    language: str
    reason: str
    failed: bool = False


@dataclass
class Plan:
    """All that a run will do. Tasks are loaded once, whatever the number of systems."""

    config: RunConfig
    systems: list[System]
    cells: list[Cell]
    gaps: list[Gap]
    suites: dict[str, Suite]
    judges: dict[str, Judge]
    _tasks: dict[tuple[str, str], Task | DataError] = field(default_factory=dict)

    def task(self, suite: str, language: str) -> Task:
        """The task of a suite in a language. Raises DataError, each time it is asked for, if its data can't be had."""
        key = (suite, language)
        if key not in self._tasks:
            try:
                task = self.suites[suite].load(language, self._options(suite))
                _ = task.identity
                self._tasks[key] = task
            except DataError as error:
                self._tasks[key] = error
            except ModuleNotFoundError as error:
                raise missing_extra(error, f"suite {suite!r}") or error from error
        found = self._tasks[key]
        if isinstance(found, DataError):
            raise found
        return found

    def _options(self, suite: str) -> SuiteOptions:
        return suite_options(self.config, suite)

    @property
    def candidates(self) -> list[System]:
        """The systems that are compared with the reference."""
        return [x for x in self.systems if x.name != self.config.reference_name]

    @property
    def open_suites(self) -> list[str]:
        return [x for x in self.suites if self.suites[x].kind == "open"]


def suite_options(config: RunConfig, suite: str) -> SuiteOptions:
    """What the config says about a suite."""
    chosen = next(x for x in config.suites if x.name == suite)
    return SuiteOptions(
        suite,
        chosen.limit,
        chosen.few_shot,
        config.seed,
        chosen.task,
        config.task_path,
        config.data_root,
        config.revisions,
        chosen.options,
    )


def make_plan(config: RunConfig) -> Plan:
    """Resolves every name of a config. Raises UserError or ModelError for the first that can't be resolved."""
    for system in config.systems:
        registry.find("backends", system.backend)
    for suite in config.suites:
        registry.find("suites", LM_EVAL_SUITE if suite.task else suite.name)
    for judge in config.judges:
        registry.find("judges", judge.judge or judge.name)
    suites = {x.name: registry.load("suites", LM_EVAL_SUITE if x.task else x.name) for x in config.suites}
    judges = make_judges(config.judges, config)
    systems = [resolve_system(x) for x in config.systems]
    cells, gaps = [], []
    for name, suite in suites.items():
        covered = suite.languages(suite_options(config, name))
        for language in config.languages:
            if language in covered:
                cells += [Cell(system, name, language) for system in systems]
            else:
                gaps.append(Gap(name, language, "the suite has no data in this language"))
    return Plan(config, systems, cells, gaps, suites, judges)


def make_judges(judges: Iterable[JudgeConfig], config: RunConfig, last: str | None = None) -> dict[str, Judge]:
    """Judges with their options, bound to the run and to the judges before them; none after the one named ``last``.

    Raises UserError if options are wrong or a judge must not judge here.
    """
    models = {x.name: model_names(x.model, x.adapter) for x in config.systems}
    made: dict[str, Judge] = {}
    for x in judges:
        judge: Judge = registry.load("judges", x.judge or x.name)(**x.options)
        judge.bind(JudgeContext(x.name, config.seed, tuple(config.languages), models, dict(made)))
        made[x.name] = judge
        if x.name == last:
            break
    return made


def resolve_system(config: SystemConfig) -> System:
    """A system with its weights identified, or its server's key looked up. Raises UserError, ModelError."""
    registry.find("backends", config.backend)
    if config.server is not None:
        ApiKey.from_environment(config.server.api_key_env)
        return System(config, _served(config.model, config.server), None)
    base = find_model(config.model, config.revision)
    adapter = find_model(config.adapter) if config.adapter else None
    if adapter:
        check_adapter(adapter, base, config.allow_base_mismatch, config.backend)
    return System(config, base, adapter)


def _served(model: str, server: SystemServer) -> ModelSource:
    """A model whose weights are elsewhere: all that is known of them is where, and under which name."""
    return ModelSource(model, model, f"server:{server.base_url}#{model}")


def cell_fingerprint(system: System, suite: str, language: str, task: Task, seed: int) -> dict[str, Any]:
    """Everything that can change a cell's result, as flat named fields."""
    return {
        **{f"system.{k}": v for k, v in system.identity.items()},
        "suite": suite,
        "language": language,
        **{f"task.{k}": v for k, v in task.identity.items()},
        "seed": seed,
    }


def score_signature(task: Task, suite: str, chat_template: bool, seed: int) -> Signature:
    """How a score came about, the same for every system it may be compared with."""
    i = task.identity
    parts = {
        "suite": suite,
        "v": i["version"],
        "data": i["data"],
        "prompt": i["prompt"],
        "shots": i["few_shot"],
        "chat": "yes" if chat_template else "no",
        "seed": seed,
        "croco-eval": package_version(),
    }
    return Signature.of(parts)


def judge_signature(judge: str, identity: dict[str, Any], of_answers: Signature) -> Signature:
    """How a preference came about: the judge, and how the answers did."""
    return Signature.of({"judge": judge, "judge-id": digest(identity)}) + of_answers
