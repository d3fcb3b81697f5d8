"""Runs a plan: cells, then judgments, then the tables. Whatever was done before is not done again."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from . import registry
from .backends import Backend, Engine
from .config import RunConfig, dump_config, flatten
from .errors import DataError, StoreError
from .fingerprint import differing
from .judging import begin_or_refuse, judge_cell, judging_cells
from .plan import Cell, Gap, Plan, System, cell_fingerprint, git_commit, make_plan, package_version, score_signature
from .progress import RunProgress
from .records import Generation, Item, Score
from .store import SCHEMA_VERSION, RunDirectory, RunLock, write_atomically, write_json
from .suites import Answerer

_REPORTED_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "lm_eval",
    "trl",
    "datasets",
    "babel",
    "py3langid",
    "numpy",
    "scipy",
    "pandas",
)


def execute(config: RunConfig, folder: Path, console: Console) -> list[Gap]:
    """Runs a configuration into ``folder``, or finishes what is there; gives the tasks whose data could not be used.

    Raises a CrocoError that says what is wrong if nothing could be run.
    """
    plan = make_plan(config)
    run = RunDirectory(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} can't be made: {error.strerror or error}.") from error
    with RunLock(folder):
        _check_config(run, config)
        write_json(folder / "manifest.json", _manifest(plan))
        gaps = [*plan.gaps, *_run_cells(plan, run, console)]
        write_json(folder / "gaps.json", [asdict(x) for x in gaps])
        _judge(plan, run, console)
        write_json(folder / "manifest.json", _manifest(plan))
        registry.load("reports", "tables")(folder)
    return [x for x in gaps if x.failed]


def _check_config(run: RunDirectory, config: RunConfig) -> None:
    """Writes the resolved config, or refuses if the directory holds another one."""
    text = dump_config(config)
    old = run.config_text()
    if old is None:
        if any(run.path.glob("[!.]*")):
            raise StoreError(f"{run.path} holds files but no config.yaml, so it is not a run; name another folder.")
        write_atomically(run.path / "config.yaml", text)
    elif changed := differing(flatten(yaml.safe_load(old)), flatten(yaml.safe_load(text))):
        raise StoreError(
            f"{run.path} was made with another config ({'; '.join(changed)}); "
            "give the run another name or folder, or restore the config."
        )


def _run_cells(plan: Plan, run: RunDirectory, console: Console) -> list[Gap]:
    """Runs what is not sealed, one base model in memory at a time; gives the cells whose data can't be had."""
    gaps: dict[tuple[str, str], Gap] = {}
    progress = RunProgress(console, len(plan.cells), "cell")
    with progress.shown():
        for _, cells in groupby(sorted(plan.cells, key=_base_order(plan)), key=lambda x: x.system.base_key):
            with_base = LoadedBase(console)
            try:
                for cell in cells:
                    progress.begin(f"{cell.system.name} · {cell.suite} · {cell.language}")
                    try:
                        _run_cell(plan, run, cell, with_base, progress)
                    except DataError as error:
                        gaps.setdefault(
                            (cell.suite, cell.language), Gap(cell.suite, cell.language, str(error), failed=True)
                        )
                    progress.end()
            finally:
                with_base.close()
    return list(gaps.values())


def _base_order(plan: Plan):
    """Bases in the order of the systems; within one base suite by suite, so that a task's data serve all systems."""
    bases = list(dict.fromkeys(x.base_key for x in plan.systems))
    suites = list(plan.suites)
    systems = [x.name for x in plan.systems]
    languages = plan.config.languages

    def key(cell: Cell) -> tuple[int, ...]:
        s = cell.system
        return bases.index(s.base_key), suites.index(cell.suite), languages.index(cell.language), systems.index(s.name)

    return key


class LoadedBase:
    """The base model of the current systems: loaded when the first answer is wanted, kept for all of them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._backend: Backend | None = None
        self._engines: dict[str, Engine] = {}

    def engine(self, system: System) -> Engine:
        """The system, ready to answer."""
        backend = self._backend
        if backend is None:
            backend = self._backend = registry.load("backends", system.config.backend)(system.spec, self._say)
        if system.name not in self._engines:
            adapter = Path(system.adapter.path) if system.adapter else None
            self._engines[system.name] = backend.engine(adapter)
        return self._engines[system.name]

    def close(self) -> None:
        """Frees the model."""
        if self._backend:
            self._backend.close()

    def _say(self, message: str) -> None:
        self._console.print(message, style="yellow", markup=False)


def _run_cell(plan: Plan, run: RunDirectory, cell: Cell, base: LoadedBase, progress: RunProgress) -> None:
    task = plan.task(cell.suite, cell.language)
    system, seed = cell.system, plan.config.seed
    folder = run.cell(system.name, cell.suite, cell.language)
    fingerprint = cell_fingerprint(system, cell.suite, cell.language, task, seed)
    begin_or_refuse(folder, fingerprint, f"cell {system.name}, {cell.suite}, {cell.language}")
    if folder.is_sealed:
        return
    log = folder.log("generations")
    try:
        generation = system.config.generation.model_dump()
        generation["stop"] = tuple(generation["stop"])
        answerer = Answerer(base.engine(system), log, system.config.chat_template, generation, progress.answers)
        result = task.run(answerer)
    finally:
        log.close()
    tables = {
        "items": (Item, result.items),
        "generations": (Generation, answerer.generations),
        "scores": (Score, result.scores),
    }
    signature = score_signature(task, cell.suite, system.config.chat_template, seed)
    folder.seal(tables, {"fingerprint": fingerprint, "signature": signature, "n_items": len(result.items)})


def _judge(plan: Plan, run: RunDirectory, console: Console) -> None:
    cells = judging_cells(plan, run)
    progress = RunProgress(console, len(cells), "judging")
    with progress.shown():
        for cell in cells:
            progress.begin(f"{cell.judge} · {cell.candidate} · {cell.suite} · {cell.language}")
            judge_cell(run, cell, plan.judges[cell.judge], progress)
            progress.end()


def _manifest(plan: Plan) -> dict[str, Any]:
    """What made this run: versions, hardware, seeds, and the identity of each system, task and judge."""
    return {
        "schema_version": SCHEMA_VERSION,
        "croco_eval": package_version(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": dict(_package_versions()),
        "hardware": _hardware(),
        "seed": plan.config.seed,
        "reference": plan.config.reference_name,
        "languages": plan.config.languages,
        "suites": {name: {"kind": suite.kind} for name, suite in plan.suites.items()},
        "systems": {x.name: x.identity for x in plan.systems},
        "tasks": {f"{suite}/{language}": task.identity for (suite, language), task in plan.loaded_tasks.items()},
        "judges": {name: judge.identity for name, judge in plan.judges.items()},
    }


def _package_versions() -> Iterator[tuple[str, str]]:
    for name in _REPORTED_PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _hardware() -> dict[str, Any]:
    return {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "gpus": _gpus()}


def _gpus() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
