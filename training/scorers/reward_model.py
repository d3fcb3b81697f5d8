"""Scorer ``reward-model``: a sequence classifier, through transformers or vLLM's pooling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ...harness.api.backend import Message, RewardModel
from ...harness.config.strict import parse_options
from ...harness.models.reward import RewardModelOptions
from ...harness.text.answers import Answer
from .base import Outcomes, Rated

TOO_LONG = "longer than the model's window"
_BATCH = 256


class RewardModelScorer:
    """A sequence classifier with one logit, which is the reward as it is. The model stays loaded until ``close``."""

    def __init__(self, **options: Any) -> None:
        self._options = parse_options(RewardModelOptions, options, "scorer 'reward-model'")
        self._source = self._options.find()

    @property
    def identity(self) -> dict[str, Any]:
        """The backend is part of it only where it isn't transformers, and its device and batches never."""
        o = self._options
        vllm = {"backend": o.backend, "engine_options": o.engine_options} if o.backend == "vllm" else {}
        return {"scorer": "reward-model", "model": self._source.digest, "dtype": o.dtype, **vllm}

    def score(self, rows: Sequence[Rated], done: int = 0) -> Outcomes:
        """The logit of each prompt and answer, reasoning left out. Raises ModelError for a model that can't be used."""
        for start in range(done, len(rows), _BATCH):
            found = self._model.rewards([_conversation(x) for x in rows[start : start + _BATCH]])
            yield [(x, None) if x is not None else (None, TOO_LONG) for x in found]

    def close(self) -> None:
        """Frees the model's memory."""
        if "_model" in self.__dict__:
            self._model.close()
            del self._model

    @cached_property
    def _model(self) -> RewardModel:
        return self._options.load(self._source)


def _conversation(row: Rated) -> list[Message]:
    """The prompt and what a reader sees of the answer: reward models are trained on answers without reasoning."""
    visible = Answer(row.candidate.prompt_id, row.candidate.answer).visible
    return [{"role": "user", "content": row.prompt.prompt}, {"role": "assistant", "content": visible}]
