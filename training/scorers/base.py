"""The contract of a scorer, and how one is made from its section of the config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...harness import registry
from ..config import ScorerConfig
from ..records import Candidate, Prompt

Outcome = tuple[float | None, str | None]
"""(reward, None), or (None, why there is none)."""

Outcomes = Iterator[list[Outcome]]


@dataclass(frozen=True)
class Rated:
    """A candidate with the prompt it answers."""

    prompt: Prompt
    candidate: Candidate


class Scorer(Protocol):
    """Gives rewards: higher is better. A class that takes its options, registered in ``croco_eval.scorers``."""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that can change a reward."""
        ...

    def score(self, rows: Sequence[Rated], done: int = 0) -> Outcomes:
        """The outcome of each row from position ``done`` on, in order, in batches of any size.

        The rows before it have theirs already; they are there because a reward may depend on other rows. May be called
        again with other rows. Raises ModelError or DataError for what keeps all rows from being scored.
        """
        ...

    def close(self) -> None:
        """Frees what was loaded."""
        ...


def make_scorer(config: ScorerConfig) -> Scorer:
    """A scorer from its section of the config. Raises UserError for unknown names and options."""
    return registry.load("scorers", config.scorer or config.name)(**config.options)
