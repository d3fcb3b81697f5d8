"""What calls cost is counted per try, outlives a crash, and a budget is kept by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from croco_eval.harness.calls.ledger import Ledger
from croco_eval.harness.config.server_config import Budget, Price
from croco_eval.harness.errors import BudgetSpent

PRICE = Price(input=1.0, output=10.0)


def spend(ledger: Ledger, n: int, outcome: str = "ok") -> None:
    for i in range(n):
        ledger.record(f"{i:032x}", 1, outcome, 1000 if outcome == "ok" else None, 100 if outcome == "ok" else None, 0.5)


def test_a_row_says_who_asked_what_came_of_it_and_what_it_cost(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl", "llm", PRICE)
    ledger.record("ab" * 16, 2, "ok", 1000, 100, 1.23456)
    ledger.close()
    (row,) = map(json.loads, (tmp_path / "ledger.jsonl").read_text().splitlines())
    assert row.pop("at").endswith("+00:00")
    assert row == {
        "caller": "llm",
        "call": "ab" * 16,
        "attempt": 2,
        "outcome": "ok",
        "tokens_in": 1000,
        "tokens_out": 100,
        "price": 0.002,
        "seconds": 1.235,
    }


def test_spend_of_earlier_processes_counts_and_that_of_other_callers_does_not(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    for caller in ("llm", "translate"):
        ledger = Ledger(path, caller, PRICE)
        spend(ledger, 5)
        ledger.close()
    again = Ledger(path, "llm", PRICE)
    assert (again.calls, again.tokens, again.failures) == (5, 5500, 0)
    assert again.money == pytest.approx(0.01)


def test_rows_are_there_after_the_process_was_killed(tmp_path: Path):
    code = (
        "import os, sys, signal; from pathlib import Path; from croco_eval.harness.calls.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), 'llm')\n"
        "for i in range(100): ledger.record('00' * 16, 1, 'ok', 7, 3, 0.1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "ledger.jsonl"], check=False)
    assert Ledger(tmp_path / "ledger.jsonl", "llm").tokens == 1000


def test_a_torn_last_line_is_dropped(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, "llm", PRICE)
    spend(ledger, 2)
    ledger.close()
    path.write_bytes(path.read_bytes() + b'{"caller": "llm", "tok')
    assert Ledger(path, "llm", PRICE).calls == 2


def test_failed_tries_are_counted_and_cost_nothing(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl", "llm", PRICE)
    spend(ledger, 3, "http 500")
    assert (ledger.calls, ledger.failures, ledger.tokens, ledger.money) == (3, 3, 0, 0)


@pytest.mark.parametrize(
    ("budget", "calls"), [(Budget(tokens=3300), 3), (Budget(tokens=3301), 4), (Budget(money=0.0041), 3)]
)
def test_budget_is_spent_when_it_is_reached(tmp_path: Path, budget: Budget, calls: int):
    ledger = Ledger(tmp_path / "ledger.jsonl", "llm", PRICE, budget)
    spend(ledger, calls - 1)
    assert not ledger.is_spent
    spend(ledger, 1)
    assert ledger.is_spent
    assert Ledger(tmp_path / "ledger.jsonl", "llm", PRICE, budget).is_spent
    assert isinstance(ledger.budget_error(), BudgetSpent)


def test_a_raised_budget_is_not_spent_any_more(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    spend(Ledger(path, "llm", PRICE, Budget(tokens=1000)), 2)
    assert Ledger(path, "llm", PRICE, Budget(tokens=2200)).is_spent
    assert not Ledger(path, "llm", PRICE, Budget(tokens=2201)).is_spent


def test_calls_made_before_there_was_a_price_are_counted_at_the_present_one(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    spend(Ledger(path, "llm"), 2)
    assert Ledger(path, "llm", PRICE).money == pytest.approx(0.004)


def test_calls_keep_the_price_they_were_made_at(tmp_path: Path):
    path = tmp_path / "ledger.jsonl"
    spend(Ledger(path, "llm", PRICE), 2)
    assert Ledger(path, "llm", Price(input=100, output=100)).money == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("price", "budget", "said"),
    [
        (None, None, "2,200 tokens spent"),
        (PRICE, None, "0.0040 spent"),
        (PRICE, Budget(money=5), "0.0040 of 5.0000 spent"),
        (None, Budget(tokens=9000), "2,200 of 9,000 tokens spent"),
    ],
)
def test_spend_in_words(tmp_path: Path, price, budget, said: str):
    ledger = Ledger(tmp_path / "ledger.jsonl", "llm", price, budget)
    spend(ledger, 2)
    assert ledger.spent() == said


def test_message_at_the_end_of_the_budget_says_what_was_spent_and_how_to_go_on(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl", "llm", PRICE, Budget(money=0.001))
    spend(ledger, 1)
    said = str(ledger.budget_error())
    assert "llm stopped at its budget: 0.0020 of 0.0010 spent in 1 calls" in said
    assert "raise `budget`" in said
