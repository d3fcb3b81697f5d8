"""The ledger: what each try of a call cost, in an append-only file, and the budget that limits the calls."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..config.server_config import Budget, Price
from ..errors import BudgetSpent
from ..store.files import AppendLog


class Ledger:
    """The calls of one caller (a judge, a stage) among all those in the file; earlier processes' calls count.

    A line: ``at`` (UTC, when the try ended), ``caller``, ``call`` (key of the request), ``attempt`` (from 1),
    ``outcome`` (``ok`` or what went wrong), ``tokens_in``, ``tokens_out`` (None where the server did not say),
    ``price`` (None without a price in the config), ``seconds``.
    """

    def __init__(self, path: Path, caller: str, price: Price | None = None, budget: Budget | None = None) -> None:
        self._caller, self._price, self._budget = caller, price, budget
        self.calls = self.tokens = self.failures = 0
        self.money = 0.0
        self.last_failure = ""
        self._log = AppendLog(path)
        for row in self._log:
            if row["caller"] == caller:
                self._count(row)
        self.failures = 0

    def record(
        self, call: str, attempt: int, outcome: str, tokens_in: int | None, tokens_out: int | None, seconds: float
    ) -> None:
        """Writes one try down. It outlives this process at once, and a loss of power after ``sync``."""
        row = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "caller": self._caller,
            "call": call,
            "attempt": attempt,
            "outcome": outcome,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "price": self._price.of(tokens_in or 0, tokens_out or 0) if self._price else None,
            "seconds": round(seconds, 3),
        }
        self._log.append([row], sync=False)
        self._count(row)

    @property
    def needs_counts(self) -> bool:
        """Whether a reply without its number of tokens can't be accepted."""
        return self._budget is not None

    @property
    def is_spent(self) -> bool:
        """Whether the budget is used up: no further call may begin."""
        if self._budget is None:
            return False
        if self._budget.money is not None:
            return self.money >= self._budget.money
        return self.tokens >= (self._budget.tokens or 0)

    def budget_error(self) -> BudgetSpent:
        """What to say when the budget is used up."""
        return BudgetSpent(
            f"{self._caller} stopped at its budget: {self.spent()} in {self.calls:,} calls; "
            "all that is known is kept: raise `budget` and run the same command again to go on."
        )

    def spent(self) -> str:
        """What was spent, of what, in words."""
        budget = self._budget
        if budget and budget.tokens is not None:
            return f"{self.tokens:,} of {budget.tokens:,} tokens spent"
        if self._price is None and not self.money:
            return f"{self.tokens:,} tokens spent"
        return f"{self.money:.4f} of {budget.money:.4f} spent" if budget and budget.money else f"{self.money:.4f} spent"

    def sync(self) -> None:
        """Waits for the disk."""
        self._log.sync()

    def close(self) -> None:
        """Waits for the disk and closes the file."""
        try:
            self.sync()
        finally:
            self._log.close()

    def _count(self, row: dict[str, Any]) -> None:
        tokens_in, tokens_out = row["tokens_in"] or 0, row["tokens_out"] or 0
        self.calls += 1
        if row["outcome"] != "ok":
            self.failures += 1
            self.last_failure = row["outcome"]
        self.tokens += tokens_in + tokens_out
        if row["price"] is not None:
            self.money += row["price"]
        elif self._price:  # it had no price in the config when it was called
            self.money += self._price.of(tokens_in, tokens_out)
