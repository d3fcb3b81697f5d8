"""What a judge is, and how judging one pair of systems in one language runs and resumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from .records import AnswerPair, Judgment


class Judge(Protocol):
    """Prefers one of two answers. A class that takes its options, registered in ``croco_eval.judges``."""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that can change a verdict: version, prompts, model, settings."""
        ...

    def accepts(self, pair: AnswerPair) -> bool:
        """Whether this judge can say anything about such an item."""
        ...

    def judge(self, pairs: Sequence[AnswerPair]) -> Iterator[list[Judgment]]:
        """Judgments of the pairs, as they become known."""
        ...
