"""Progress of a run: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

_LINE_EVERY_SECONDS = 15.0


def _bars(console: Console) -> Bars:
    """Bars that leave nothing behind: what, how far, how fast, since when and for how long."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Bars(*columns, console=console, transient=True)


class Progress(Protocol):
    """Takes reports of the work on cells."""

    def begin(self, name: str) -> None:
        """A cell begins."""
        ...

    def answers(self, done: int, expected: int) -> None:
        """``done`` more answers are known; ``expected`` more are wanted."""
        ...

    def end(self) -> None:
        """The cell is done."""
        ...


class Unseen:
    """Progress that is not shown."""

    def begin(self, name: str) -> None: ...

    def answers(self, done: int, expected: int) -> None: ...

    def end(self) -> None: ...


class _Shown(ABC):
    """What is shown while work goes on: bars in a terminal, elsewhere a plain line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._begun = self._last_line = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[Self]:
        """Shows the progress as long as the block runs."""
        if not self._console.is_terminal:
            yield self
            return
        with _bars(self._console) as bars:
            self._bars = bars
            self._add_bars(bars)
            yield self
        self._bars = None

    @abstractmethod
    def _add_bars(self, bars: Bars) -> None:
        """Adds the bars there are from the beginning."""

    @property
    def _elapsed(self) -> float:
        """Seconds since the beginning; never 0."""
        return max(time.monotonic() - self._begun, 1e-9)

    @property
    def _wants_line(self) -> bool:
        return time.monotonic() - self._last_line > _LINE_EVERY_SECONDS

    def _print(self, line: str, soft_wrap: bool = False) -> None:
        self._last_line = time.monotonic()
        self._console.print(line, highlight=False, markup=False, soft_wrap=soft_wrap)


class RunProgress(_Shown):
    """All cells of the run, and below them the current cell of each lane (a worker)."""

    def __init__(self, console: Console, total: int, unit: str, lanes: int = 1) -> None:
        super().__init__(console)
        self._total, self._unit = total, unit
        self._lanes = [Lane(self, x) for x in range(lanes)]
        self._done = self._answers = 0

    def lane(self, number: int) -> Lane:
        """The progress of one worker."""
        return self._lanes[number]

    def _add_bars(self, bars: Bars) -> None:
        self._all = bars.add_task(f"all {self._unit}s", total=self._total, rate="")
        self._current = [bars.add_task("", total=None, rate="") for _ in self._lanes]

    def cell_begins(self, lane: int, name: str) -> None:
        """Shows which cell a lane is at."""
        if self._bars:
            self._bars.reset(self._current[lane], description=name, total=None, rate="")

    def answers_known(self, lane: int, done: int, expected: int, name: str) -> None:
        """Counts answers; a plain line now and then where there are no bars."""
        self._answers += done
        if self._bars:
            bar = self._bars.tasks[1 + lane]
            self._bars.update(self._current[lane], total=(bar.total or 0) + expected or None, advance=done)
            self._bars.update(self._all, rate=f"{self._rate():,.0f} answers/s")
        elif self._wants_line:
            self._line(name)

    def cell_ends(self, name: str) -> None:
        """Counts a cell."""
        self._done += 1
        if self._bars:
            self._bars.advance(self._all)
        elif self._done == self._total:
            self._line(name)

    def _rate(self) -> float:
        return self._answers / self._elapsed

    def _line(self, name: str) -> None:
        elapsed = self._elapsed
        left = elapsed / self._done * (self._total - self._done) if self._done else None
        tail = f", about {left:.0f} s left" if left else ""
        done = f"{self._done}/{self._total} {self._unit}s"
        self._print(f"{done}, {self._rate():,.0f} answers/s, {elapsed:.0f} s{tail} ({name})")


class JudgingProgress(_Shown):
    """One judge at work: judgments known and wanted, how fast, what it says of its calls, time left."""

    def __init__(self, console: Console, judge: str, n_cells: int) -> None:
        super().__init__(console)
        self._judge, self._n_cells = judge, n_cells
        self._total = self._known = self._new = self._unscored = self._cells = 0
        self._of_calls = ""

    @contextmanager
    def shown(self) -> Iterator[Self]:
        """Shows the progress as long as the block runs, and says at the end what came of it."""
        try:
            with super().shown():
                yield self
        finally:
            if self._new or self._of_calls:
                self._line()

    def _add_bars(self, bars: Bars) -> None:
        self._bar = bars.add_task(f"judge {self._judge}", total=None, rate="")

    def expect(self, total: int) -> None:
        """How many judgments there will be, as far as that is known."""
        self._total = total
        if self._bars:
            self._bars.update(self._bar, total=total)

    def judged(self, n: int, unscored: int = 0, asked: bool = True) -> None:
        """``n`` more judgments are known; those not ``asked`` for now were known before."""
        self._known += n
        self._unscored += unscored
        self._new += n if asked else 0
        self._show(n)

    def tell(self, text: str) -> None:
        """What the judge says of its calls: spend, errors."""
        self._of_calls = text
        self._show(0)

    def cell_ends(self) -> None:
        """One more cell is whole."""
        self._cells += 1

    def _show(self, n: int) -> None:
        """Moves the bar by ``n``; a plain line now and then where there is none."""
        if self._bars:
            self._bars.update(self._bar, advance=n, rate=self._rate())
        elif self._wants_line:
            self._line()

    def _rate(self) -> str:
        rate = self._new / self._elapsed
        unscored = f"{self._unscored:,} unscored" if self._unscored else ""
        return ", ".join(x for x in (f"{rate:,.1f} judgments/s", unscored, self._of_calls) if x)

    def _line(self) -> None:
        elapsed = self._elapsed
        wanted = max(self._total - self._known, 0)
        left = f", about {elapsed / self._new * wanted:.0f} s left" if self._new and wanted else ""
        done = f"judge {self._judge}: {self._known:,}/{self._total:,} judgments, {self._cells}/{self._n_cells} cells"
        self._print(f"{done}, {self._rate()}, {elapsed:.0f} s{left}", soft_wrap=True)


class Lane:
    """One worker's part of the progress."""

    def __init__(self, whole: RunProgress, number: int) -> None:
        self._whole, self._number, self._name = whole, number, ""

    def begin(self, name: str) -> None:
        self._name = name
        self._whole.cell_begins(self._number, name)

    def answers(self, done: int, expected: int) -> None:
        self._whole.answers_known(self._number, done, expected, self._name)

    def end(self) -> None:
        self._whole.cell_ends(self._name)
