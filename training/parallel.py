"""A whole training run in several processes on one machine: for small models on a CPU.

Candidates of several policies are sampled side by side, and so are adapters tuned; what is done is not done again.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from ..harness.errors import ModelError
from .arms import Arm, in_waves, resolve_arms
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
    """Stages of some arms, one after the other in one process."""

    stages: tuple[str, ...]
    arms: tuple[str, ...]


def train_all(config: TrainConfig, workers: int, say: Say) -> None:
    """All stages that the arms need, as ``Pipeline`` runs them, with ``workers`` processes. Raises a CrocoError."""
    arms = resolve_arms(config, Path(config.out or "."))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            if config.translate is not None:
                _run(pool, config, [Task(("translate",), ())], say)
            for wave in in_waves(arms):
                for tasks in steps_of(wave):
                    _run(pool, config, tasks, say)
        except BrokenProcessPool as error:
            raise ModelError("a worker process ended without a word; was it out of memory?") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def steps_of(wave: Sequence[Arm]) -> list[list[Task]]:
    """What can be done at the same time, step by step: candidates, pairs, adapters, the longest first."""
    places: dict[Path, list[str]] = {}
    for arm in wave:
        if arm.needs_candidates:
            places.setdefault(arm.sampled_in, []).append(arm.name)
    paired = tuple(x.name for x in wave if x.trainer == "dpo")
    tuned = sorted(wave, key=lambda x: x.trainer not in _ONLINE)
    steps = [
        [Task(("sample", "score"), tuple(names)) for names in places.values()],
        [Task(("pair",), paired)] if paired else [],
        [Task((x.trainer,), (x.name,)) for x in tuned],
    ]
    return [x for x in steps if x]


def _run(pool: ProcessPoolExecutor, config: TrainConfig, tasks: Sequence[Task], say: Say) -> None:
    """Runs tasks at the same time; tells what they are, and of each what it said and how long it took."""
    stages = dict.fromkeys(x for task in tasks for x in task.stages)
    say(f"{', '.join(stages)}: {len(tasks)} task{'' if len(tasks) == 1 else 's'} ...")
    begun = time.monotonic()
    futures = [pool.submit(_work, config, task) for task in tasks]
    for number, future in enumerate(as_completed(futures), 1):
        for line in future.result():
            say(f"{number}/{len(tasks)}, {time.monotonic() - begun:.0f} s: {line}")


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
