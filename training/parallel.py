"""A whole training run in several processes on one machine: for small models on a CPU.

Candidates of several policies are sampled side by side, and so are adapters tuned; what is done is not done again.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from ..harness.errors import ModelError
from .arms import Arm, in_waves, resolve_arms, teacher_of
from .config import TrainConfig
from .pipeline import Pipeline
from .stages.sample import Say

_ONLINE = ("online-dpo", "grpo")


class Unseen:
    """Progress of a worker: what it made is told when it is made."""

    def begin(self, name: str) -> None:
        """Tells nobody."""

    def answers(self, done: int, expected: int) -> None:
        """Tells nobody."""

    def end(self) -> None:
        """Tells nobody."""


@dataclass(frozen=True)
class Task:
    """Stages of some arms, one after the other in one process, once the tasks ``after`` it names are done."""

    stages: tuple[str, ...]
    arms: tuple[str, ...]
    after: tuple[Task, ...] = ()

    @property
    def label(self) -> str:
        """As people are told of it."""
        return f"{', '.join(self.stages)} of {', '.join(self.arms) or 'all'}"


def train_all(config: TrainConfig, workers: int, say: Say) -> None:
    """All stages that the arms need, as ``Pipeline`` runs them, with ``workers`` processes. Raises a CrocoError."""
    tasks = tasks_of(resolve_arms(config, Path(config.out or ".")), translates=config.translate is not None)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            _run(pool, workers, config, tasks, say)
        except BrokenProcessPool as error:
            raise ModelError("a worker process ended without a word; was it out of memory?") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def tasks_of(arms: Sequence[Arm], translates: bool = False) -> list[Task]:
    """What there is to do, the most urgent first: what most waits for, then what takes longest.

    Candidates of several policies, pairs, adapters. An arm that is rewarded by another one's adapter comes after that
    one, and not after all others.
    """
    begun = (Task(("translate",), ()),) if translates else ()
    made: list[Task] = list(begun)
    tuned: dict[str, Task] = {}
    for wave in in_waves(arms):
        teachers = {teacher_of(x.scorer) for x in wave}
        taught_by = [task for name, task in tuned.items() if teachers & {name, name.rpartition("/seed-")[0]}]
        earlier = (*(x for x in made if x.stages[0] in ("translate", "sample")), *taught_by)
        places: dict[Path, list[str]] = {}
        for arm in (x for x in wave if x.needs_candidates):
            places.setdefault(arm.sampled_in, []).append(arm.name)
        candidates = tuple(Task(("sample", "score"), tuple(x), earlier) for x in places.values())
        paired = tuple(x.name for x in wave if x.trainer == "dpo")
        pairs = (Task(("pair",), paired, candidates),) if paired else ()
        for arm in wave:
            tuned[arm.name] = Task((arm.trainer,), (arm.name,), pairs or candidates or earlier)
        made += [*candidates, *pairs, *(tuned[x.name] for x in wave)]
    heights = _heights(made)
    return sorted(made, key=lambda x: (-heights[x], x.stages[0] not in _ONLINE))


def _heights(tasks: Sequence[Task]) -> dict[Task, int]:
    """How many tasks, one after the other, wait for each. ``tasks`` come after those that they wait for."""
    heights = dict.fromkeys(tasks, 0)
    for task in reversed(tasks):
        for earlier in task.after:
            heights[earlier] = max(heights[earlier], heights[task] + 1)
    return heights


def _run(pool: ProcessPoolExecutor, workers: int, config: TrainConfig, tasks: Sequence[Task], say: Say) -> None:
    """Runs tasks as soon as a process is free and what they wait for is done; tells when they begin, and what they said
    and how long it took when they end."""
    begun = time.monotonic()
    left, running, done = list(tasks), dict[Future[list[str]], Task](), set[Task]()
    while left or running:
        for task in [x for x in left if done.issuperset(x.after)][: workers - len(running)]:
            left.remove(task)
            running[pool.submit(_work, config, task)] = task
            say(f"{time.monotonic() - begun:.0f} s: {task.label} ...")
        for future in wait_for(running, return_when=FIRST_COMPLETED).done:
            done.add(running.pop(future))
            for line in future.result():
                say(f"{len(done)}/{len(tasks)}, {time.monotonic() - begun:.0f} s: {line}")


def _work(config: TrainConfig, task: Task) -> list[str]:
    said: list[str] = []
    Pipeline(config, said.append, Unseen(), task.arms).run(task.stages)
    return said


def _end_with_parent() -> None:
    """A worker whose parent is gone stops at once."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
