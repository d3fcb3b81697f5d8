"""Runs the cells of a run in several processes on one machine.

Each process loads the models for itself and takes whole tasks (a suite in a language, for all systems), so that a
task's data are loaded once. Cells are independent folders; the parent holds the run's lock, and a worker whose
parent is gone stops at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from queue import Empty
from typing import Any

from .. import errors
from ..config.run_config import RunConfig
from ..errors import CrocoError, ModelError
from ..store.run_directory import RunDirectory
from .cells import run_cells
from .plan import Gap, Plan, make_plan
from .progress import RunProgress

_POLL_SECONDS = 0.5


def run_in_processes(
    plan: Plan, run: RunDirectory, workers: int, progress: RunProgress, say: Callable[[str], None]
) -> list[Gap]:
    """As ``run_cells``, over all cells of the plan. The first worker's error ends the others and is raised here."""
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    tasks = list(dict.fromkeys((x.suite, x.language) for x in plan.cells))
    config = plan.config.model_dump(mode="json")
    processes = [
        context.Process(target=_work, args=(lane, config, str(run.path), tasks[lane::workers], queue), daemon=True)
        for lane in range(workers)
    ]
    try:
        for process in processes:
            process.start()
        gaps = _listen(queue, processes, progress, say)
        for process in processes:
            process.join()
        return gaps
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _listen(queue: Any, processes: list[Any], progress: RunProgress, say: Callable[[str], None]) -> list[Gap]:
    gaps: list[Gap] = []
    working = set(range(len(processes)))
    silent: set[int] = set()  # ended, and nothing more came from them at the last look
    while working:
        try:
            lane, what, *values = queue.get(timeout=_POLL_SECONDS)
        except Empty:
            dead = {x for x in working if processes[x].exitcode is not None}
            if lost := dead & silent:
                code = processes[min(lost)].exitcode
                raise ModelError(
                    f"a worker process ended without a word (exit code {code}); was it out of memory?"
                ) from None
            silent = dead
            continue
        if what == "done":
            working.remove(lane)
            gaps += values[0]
        elif what == "error":
            raise getattr(errors, values[0], CrocoError)(values[1])
        elif what == "say":
            say(values[0])
        else:
            getattr(progress.lane(lane), what)(*values)
    return gaps


class _Reporter:
    """Sends the progress of one worker to the parent."""

    def __init__(self, lane: int, queue: Any) -> None:
        self._lane, self._queue = lane, queue

    def begin(self, name: str) -> None:
        self._queue.put((self._lane, "begin", name))

    def answers(self, done: int, expected: int) -> None:
        self._queue.put((self._lane, "answers", done, expected))

    def end(self) -> None:
        self._queue.put((self._lane, "end"))


def _work(lane: int, config: dict[str, Any], folder: str, tasks: list[tuple[str, str]], queue: Any) -> None:
    """One worker: the cells of its tasks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets the signal too, and says so once
    end_with_parent()
    try:
        plan = make_plan(RunConfig.model_validate(config))
        cells = [x for x in plan.cells if (x.suite, x.language) in tasks]
        say = lambda message: queue.put((lane, "say", message))  # noqa: E731
        gaps = run_cells(plan, RunDirectory(Path(folder)), cells, _Reporter(lane, queue), say)
        queue.put((lane, "done", gaps))
    except CrocoError as error:
        queue.put((lane, "error", type(error).__name__, str(error)))


def end_with_parent() -> None:
    """Makes this process, a worker, stop at once when its parent is gone."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
