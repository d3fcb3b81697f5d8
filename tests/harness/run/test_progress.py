"""What is seen of a judge at work where there is no terminal: plain lines, now and then."""

from __future__ import annotations

import io

import pytest
from croco_eval.harness.run import progress
from croco_eval.harness.run.progress import JudgingProgress
from rich.console import Console


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; a test sets it."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_tells_speed_spend_errors_unscored_and_time_left(clock: list[float]):
    said = io.StringIO()
    shown = JudgingProgress(Console(file=said, width=80), "llm", 4)
    with shown.shown():
        shown.expect(1000)
        shown.judged(100, asked=False)
        clock[0] = 20.0
        shown.tell("0.5000 of 2.0000 spent, 3 failed tries (last: http 429)")
        shown.judged(200, unscored=2)
        shown.cell_ends()
        clock[0] = 30.0
        shown.judged(100)
        clock[0] = 40.0
        shown.judged(200)
    lines = said.getvalue().splitlines()
    spend = "0.5000 of 2.0000 spent, 3 failed tries (last: http 429)"
    assert (
        lines[1:]
        == [
            f"judge llm: 600/1,000 judgments, 1/4 cells, 12.5 judgments/s, 2 unscored, {spend}, 40 s, about 32 s left",
        ]
        * 2
    )
    assert lines[0].startswith("judge llm: 100/1,000 judgments, 0/4 cells, 0.0 judgments/s, 0.5000 of 2.0000 spent")


def test_failures_are_told_before_anything_is_judged(clock: list[float]):
    said = io.StringIO()
    shown = JudgingProgress(Console(file=said, width=80), "llm", 1)
    with shown.shown():
        shown.expect(10)
        clock[0] = 16.0
        shown.tell("0 tokens spent, 5 failed tries (last: timeout)")
        assert "0/10 judgments" in said.getvalue()
        assert "5 failed tries (last: timeout), 16 s" in said.getvalue()


def test_nothing_is_said_where_nothing_was_asked(clock: list[float]):
    said = io.StringIO()
    shown = JudgingProgress(Console(file=said, width=80), "llm", 1)
    with shown.shown():
        shown.judged(10, asked=False)
    assert said.getvalue() == ""


def test_a_terminal_has_a_bar_with_the_same():
    said = io.StringIO()
    shown = JudgingProgress(Console(file=said, width=160, force_terminal=True), "llm", 1)
    with shown.shown():
        shown.expect(10)
        shown.tell("7 tokens spent")
        shown.judged(4)
    assert "judgments/s, 7 tokens spent" in said.getvalue()
    assert "4/10" in said.getvalue()
