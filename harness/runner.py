"""Runs a plan: cells, then judgments, then the tables. Whatever was done before is not done again."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import yaml
from rich.console import Console

from . import registry
from .cells import run_cells
from .config import RunConfig, dump_config, flatten
from .errors import StoreError
from .fingerprint import differing
from .judging import judge_cell, judging_cells
from .manifest import make_manifest
from .plan import Gap, Plan, make_plan
from .progress import RunProgress
from .store import RunDirectory, RunLock, write_atomically, write_json
from .workers import run_in_processes


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
        write_json(folder / "manifest.json", make_manifest(plan, run))
        gaps = [*plan.gaps, *_run(plan, run, console)]
        write_json(folder / "gaps.json", [asdict(x) for x in gaps])
        _judge(plan, run, console)
        write_json(folder / "manifest.json", make_manifest(plan, run))
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


def _run(plan: Plan, run: RunDirectory, console: Console) -> list[Gap]:
    """All cells, in this process or in several; gives the tasks whose data can't be used."""

    def say(message: str) -> None:
        console.print(message, style="yellow", markup=False)

    workers = min(plan.config.workers, len({(x.suite, x.language) for x in plan.cells}))
    progress = RunProgress(console, len(plan.cells), "cell", lanes=max(1, workers))
    with progress.shown():
        if workers > 1:
            return run_in_processes(plan, run, workers, progress, say)
        return run_cells(plan, run, plan.cells, progress.lane(0), say)


def _judge(plan: Plan, run: RunDirectory, console: Console) -> None:
    cells = judging_cells(plan, run)
    progress = RunProgress(console, len(cells), "judged cell")
    lane = progress.lane(0)
    judged: Counter[tuple[str, str]] = Counter({(x.judge, x.suite): 0 for x in cells})
    with progress.shown():
        for cell in cells:
            lane.begin(f"{cell.judge} · {cell.candidate} · {cell.suite} · {cell.language}")
            judged[cell.judge, cell.suite] += judge_cell(run, cell, plan.judges[cell.judge], lane)
            lane.end()
    for judge, suite in [x for x, n in judged.items() if n == 0]:
        console.print(
            f"judge {judge} has nothing to say about the items of suite {suite}", style="yellow", markup=False
        )
