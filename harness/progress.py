"""What a person sees while a run goes on: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_SECONDS = 15.0


class RunProgress:
    """Two levels: all cells of the run, and the answers of the current cell."""

    def __init__(self, console: Console, total: int, unit: str) -> None:
        self._console, self._total, self._unit = console, total, unit
        self._bars: Progress | None = None
        self._done = 0
        self._items = 0
        self._begun = self._last_line = time.monotonic()
        self._cell = ""

    @contextmanager
    def shown(self) -> Iterator[RunProgress]:
        """Shows the progress as long as the block runs."""
        if not self._console.is_terminal:
            yield self
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bars:
            self._bars = bars
            self._all = bars.add_task(f"all {self._unit}s", total=self._total, rate="")
            self._current = bars.add_task("", total=None, rate="")
            yield self
        self._bars = None

    def begin(self, name: str) -> None:
        """A cell begins."""
        self._cell = name
        if self._bars:
            self._bars.reset(self._current, description=name, total=None, rate="")

    def answers(self, done: int, expected: int) -> None:
        """``done`` more answers are known; ``expected`` more are wanted."""
        self._items += done
        if self._bars:
            task = self._bars.tasks[self._current]
            total = (task.total or 0) + expected
            self._bars.update(self._current, total=total or None, advance=done)
            self._bars.update(self._all, rate=f"{self._rate():,.0f} answers/s")
        elif time.monotonic() - self._last_line > _LINE_EVERY_SECONDS:
            self._line()

    def end(self) -> None:
        """The cell is done."""
        self._done += 1
        if self._bars:
            self._bars.advance(self._all)
        elif self._done == self._total:
            self._line()

    def _rate(self) -> float:
        return self._items / max(time.monotonic() - self._begun, 1e-9)

    def _line(self) -> None:
        self._last_line = time.monotonic()
        elapsed = self._last_line - self._begun
        left = elapsed / self._done * (self._total - self._done) if self._done else None
        tail = f", about {left:.0f} s left" if left else ""
        done = f"{self._done}/{self._total} {self._unit}s"
        self._console.print(
            f"{done}, {self._rate():,.0f} answers/s, {elapsed:.0f} s{tail} ({self._cell})",
            highlight=False,
            markup=False,
        )
