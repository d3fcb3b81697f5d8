"""A scorer as the reward function of an online trainer: answers are scored as they are sampled."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from ...harness.errors import DataError
from ..config import ScorerConfig
from ..records import Candidate, Prompt
from .base import Rated, make_scorer


class LiveReward:
    """Gives rewards of answers to known prompts; keeps the scorer's model loaded until it is left."""

    def __init__(self, config: ScorerConfig, prompts: Sequence[Prompt]) -> None:
        self._name = config.name
        self._scorer = make_scorer(config)
        self._prompts = {x.prompt_id: x for x in prompts}

    def __enter__(self) -> LiveReward:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._scorer.close()

    def __call__(self, prompt_ids: Sequence[str], answers: Sequence[str]) -> list[float | None]:
        """The reward of each answer, None for one that can't be scored. Raises DataError if none can."""
        rows = [
            Rated(self._prompts[x], _candidate(self._prompts[x], i, answer.strip()))
            for i, (x, answer) in enumerate(zip(prompt_ids, answers, strict=True))
        ]
        found = [outcome for batch in self._scorer.score(rows) for outcome in batch]
        if rows and all(x is None for x, _ in found):
            raise DataError(f"scorer {self._name!r} can't score any of {len(rows)} answers: {found[0][1]}.")
        return [x for x, _ in found]


def _candidate(prompt: Prompt, number: int, answer: str) -> Candidate:
    kind = "generation"
    return Candidate(prompt.prompt_id, prompt.source_id, prompt.language, number, answer, None, kind, "policy")
