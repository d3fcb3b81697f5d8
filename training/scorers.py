"""Scorers: where a candidate's reward comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..harness.backends import ModelSpec, RewardModel
from ..harness.models import find_model
from ..harness.options import parse_options
from ..judges.reference import VERSION, assess
from .stages.score import Rated

Outcomes = Iterator[list[tuple[float | None, str | None]]]
_BATCH = 256


class _NoOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReferenceScorer:
    """The share of known facts that an answer states, in the right language and without repetition: no model.

    Ties are broken towards the shorter repetition-free answer by nothing: equal quality is equal reward.
    """

    def __init__(self, **options: Any) -> None:
        parse_options(_NoOptions, options, "scorer 'reference'")

    @property
    def identity(self) -> dict[str, Any]:
        return {"scorer": "reference", "version": VERSION}

    def score(self, rows: Sequence[Rated]) -> Outcomes:
        """The quality of each answer, between 0 and 1; prompts without known facts are unscored."""
        for start in range(0, len(rows), _BATCH):
            yield [self._one(x) for x in rows[start : start + _BATCH]]

    def _one(self, row: Rated) -> tuple[float | None, str | None]:
        metadata = json.loads(row.prompt.metadata)
        if not metadata.get("facts"):
            return None, "the prompt has no known facts"
        ordered = bool(metadata.get("ordered"))
        return assess(row.candidate.answer, metadata["facts"], ordered, row.candidate.language).quality, None


class RewardModelOptions(BaseModel):
    """Options of the scorer ``reward-model``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    batch_tokens: int = Field(8192, ge=64)


class RewardModelScorer:
    """A sequence classifier with one logit, which is the reward as it is."""

    def __init__(self, **options: Any) -> None:
        self._options = parse_options(RewardModelOptions, options, "scorer 'reward-model'")
        self._source = find_model(self._options.model, self._options.revision)

    @property
    def identity(self) -> dict[str, Any]:
        return {"scorer": "reward-model", "model": self._source.digest, "dtype": self._options.dtype}

    def score(self, rows: Sequence[Rated]) -> Outcomes:
        """The logit of each prompt and answer. Raises ModelError for a model that can't be used."""
        from ..harness.backends.hf_rewards import HfRewardModel

        o = self._options
        model: RewardModel = HfRewardModel(
            ModelSpec(self._source.path, self._source.revision, o.dtype, o.device, o.batch_tokens)
        )
        try:
            for start in range(0, len(rows), _BATCH):
                part = rows[start : start + _BATCH]
                found = model.rewards([_conversation(x) for x in part])
                yield [(x, None) if x is not None else (None, "longer than the model's window") for x in found]
        finally:
            model.close()


def _conversation(row: Rated) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": row.prompt.prompt},
        {"role": "assistant", "content": row.candidate.answer},
    ]
