"""Reward models of the transformers library: a sequence classifier with one label gives a scalar per answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..errors import ModelError
from . import Message, ModelSpec
from .hf_load import load_model


class HfRewardModel:
    """A sequence classifier as a reward model; the reward is its raw logit."""

    def __init__(self, spec: ModelSpec, log: Callable[[str], None]) -> None:
        self._spec, self._log = spec, log
        self._model: Any
        self._model, self._tokenizer = load_model(spec, classifier=True)
        if self._model.config.num_labels != 1:
            raise ModelError(
                f"reward model {spec.path!r} gives {self._model.config.num_labels} logits; it must give exactly one."
            )
        self._model.config.pad_token_id = self._tokenizer.pad_token_id

    def rewards(self, conversations: Sequence[Sequence[Message]]) -> list[float]:
        """The reward of the last message of each conversation, in order. Conversations longer than the model's
        window lose their beginning."""
        texts = [self._tokenizer.apply_chat_template(list(x), tokenize=False) for x in conversations]
        limit = self._model.config.max_position_embeddings
        encoded = [self._tokenizer.encode(x, add_special_tokens=False)[-limit:] for x in texts]
        rewards = [0.0] * len(encoded)
        for batch in self._batches(encoded):
            rows = {"input_ids": [encoded[x] for x in batch]}
            ids = self._tokenizer.pad(rows, padding_side="right", return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**ids.to(self._model.device)).logits
            for position, value in zip(batch, logits[:, 0].float().tolist(), strict=True):
                rewards[position] = value
        return rewards

    def _batches(self, encoded: list[list[int]]) -> list[list[int]]:
        """Positions in batches of at most ``batch_tokens`` tokens, longest first."""
        batches: list[list[int]] = []
        for position in sorted(range(len(encoded)), key=lambda x: (-len(encoded[x]), x)):
            if batches and len(encoded[batches[-1][0]]) * (len(batches[-1]) + 1) <= self._spec.batch_tokens:
                batches[-1].append(position)
            else:
                batches.append([position])
        return batches
