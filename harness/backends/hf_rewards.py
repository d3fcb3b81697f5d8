"""Reward models of the transformers library: a sequence classifier with one label gives a scalar per answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..api.backend import Message, ModelSpec
from .hf_load import find_window, load_model
from .memory import enough_memory_or
from .rewards import check_reward_model, encode_conversations
from .text import token_batches


class HfRewardModel:
    """A sequence classifier as a reward model; the reward is its raw logit. Raises ModelError."""

    def __init__(self, spec: ModelSpec) -> None:
        check_reward_model(spec)
        self._spec = spec
        self._model: Any
        self._model, self._tokenizer = load_model(spec, classifier=True)
        self._window = find_window(self._model, self._tokenizer)
        self._config: Any = self._model.config.get_text_config()
        pad = self._config.pad_token_id
        self._pad: int | None = None if pad is None or pad < 0 else pad

    def rewards(self, conversations: Sequence[Sequence[Message]]) -> list[float | None]:
        """The reward of the last message of each conversation, in order; None for one longer than the window."""
        encoded = encode_conversations(self._tokenizer, conversations, self._window, self._spec.path)
        rewards: list[float | None] = [None] * len(encoded)
        lengths = {i: len(x) for i, x in enumerate(encoded) if x is not None}
        for batch in token_batches(lengths, self._spec.batch_tokens):
            logits = self._logits([encoded[x] or [] for x in batch])
            for position, value in zip(batch, logits, strict=True):
                rewards[position] = value
        return rewards

    def close(self) -> None:
        """Frees the model's memory."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _logits(self, rows: list[list[int]]) -> list[float]:
        """The logit at the end of each row.

        transformers reads it at the last token that is not the config's padding token. Where the config names none,
        any token will do that no row ends with.
        """
        pad = self._pad
        if pad is None:
            ends = {x[-1] for x in rows}
            pad = next(x for x in range(len(rows) + 1) if x not in ends)
            self._config.pad_token_id = pad
        width = max(map(len, rows))
        device = self._model.device
        ids = torch.tensor([x + [pad] * (width - len(x)) for x in rows], device=device)
        mask = torch.tensor([[1] * len(x) + [0] * (width - len(x)) for x in rows], device=device)
        advice = (
            f"reward model {self._spec.path!r} ran out of memory on {device}; "
            f"lower batch_tokens (now {self._spec.batch_tokens})."
        )
        with enough_memory_or(advice), torch.inference_mode():
            return self._model(input_ids=ids, attention_mask=mask).logits[:, 0].float().tolist()
