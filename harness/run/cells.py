"""Running cells: one base model in memory at a time, every answer recorded, every cell sealed when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from .. import registry
from ..api.answerer import Answerer
from ..api.backend import Backend, Engine, ModelSpec
from ..api.records import Generation, Item, Score
from ..errors import DataError
from ..store.run_directory import RunDirectory, begin_or_refuse
from .plan import Cell, Gap, Plan, System, cell_fingerprint, score_signature
from .progress import Progress

Say = Callable[[str], None]


def run_cells(plan: Plan, run: RunDirectory, cells: Iterable[Cell], progress: Progress, say: Say) -> list[Gap]:
    """Runs those of the cells that are not sealed; gives the tasks whose data can't be used.

    Raises ModelError, StoreError or UserError for anything that keeps a whole system or the run from going on.
    """
    gaps: dict[tuple[str, str], Gap] = {}
    for _, of_one_base in groupby(sorted(cells, key=_base_order(plan)), key=lambda x: x.system.base_key):
        base = LoadedBase(plan.systems, run.ledger, say)
        try:
            for cell in of_one_base:
                progress.begin(f"{cell.system.name} · {cell.suite} · {cell.language}")
                try:
                    _run_cell(plan, run, cell, base, progress, say)
                except DataError as error:
                    gap = Gap(cell.suite, cell.language, str(error), failed=True)
                    gaps.setdefault((cell.suite, cell.language), gap)
                progress.end()
        finally:
            base.close()
    return list(gaps.values())


def _base_order(plan: Plan) -> Callable[[Cell], tuple[int, ...]]:
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
    """The base model of the current systems: loaded when the first answer is wanted, kept for all of them.

    ``systems`` may hold those of other bases too. ``ledger`` is the file that says what calls to a server cost.
    """

    def __init__(self, systems: Sequence[System], ledger: Path, say: Say) -> None:
        self._systems, self._ledger, self._say = systems, ledger, say
        self._backend: Backend | None = None
        self._engines: dict[str, Engine] = {}

    def engine(self, system: System) -> Engine:
        """The system, ready to answer."""
        backend = self._backend
        if backend is None:
            backend = self._backend = registry.load("backends", system.config.backend)(self._spec(system), self._say)
        if system.name not in self._engines:
            adapter = Path(system.adapter.path) if system.adapter else None
            self._engines[system.name] = backend.engine(adapter)
        return self._engines[system.name]

    def _spec(self, system: System) -> ModelSpec:
        """The base with the adapters of all systems that share it."""
        together = [x.spec.adapters for x in self._systems if x.base_key == system.base_key]
        adapters = tuple(dict.fromkeys(path for paths in together for path in paths))
        return replace(system.spec, adapters=adapters, ledger=self._ledger)

    def close(self) -> None:
        """Frees the model."""
        if self._backend:
            self._backend.close()


def _run_cell(plan: Plan, run: RunDirectory, cell: Cell, base: LoadedBase, progress: Progress, say: Say) -> None:
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
        c = system.config
        answerer = Answerer(base.engine(system), log, c.chat_template, generation, progress.answers, c.truncate)
        result = task.run(answerer)
    finally:
        log.close()
    if answerer.cut:
        say(f"{system.name}, {cell.suite}, {cell.language}: {answerer.cut}.")
    tables = {
        "items": (Item, result.items),
        "generations": (Generation, answerer.generations),
        "scores": (Score, result.scores),
    }
    signature = score_signature(task, cell.suite, system.config.chat_template, seed)
    info = {
        "fingerprint": fingerprint,
        "signature": str(signature),
        "n_items": len(result.items),
        "estimators": dict(result.estimators),
    }
    folder.seal(tables, info)
