"""Reward models through vLLM in this process: the pooling runner on a sequence classifier with one label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ModelError
from . import Message, ModelSpec
from .hf_load import first_line
from .rewards import check_reward_model, encode_conversations


class VllmRewardModel:
    """As ``HfRewardModel``. ``options`` go to vLLM's ``LLM`` as they are; it chooses its device and plans its own
    batches. Raises ModelError if vLLM is not there or can't use the model."""

    def __init__(self, spec: ModelSpec, options: Mapping[str, Any]) -> None:
        try:
            from vllm import LLM, PoolingParams  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ModelError(
                f"vLLM can't be imported ({error}); install it: pip install 'croco-eval[vllm]'."
            ) from error
        check_reward_model(spec)
        self._path = spec.path
        try:
            self._llm: Any = LLM(model=spec.path, revision=spec.revision, runner="pooling", dtype=spec.dtype, **options)
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            raise ModelError(f"vLLM can't load reward model {spec.path!r}: {first_line(error)}.") from error
        self._raw_logits = PoolingParams(use_activation=False)

    def rewards(self, conversations: Sequence[Sequence[Message]]) -> list[float | None]:
        """The reward of the last message of each conversation, in order; None for one longer than the window."""
        window = self._llm.model_config.max_model_len
        encoded = encode_conversations(self._llm.get_tokenizer(), conversations, window, self._path)
        rewards: list[float | None] = [None] * len(encoded)
        places = [i for i, x in enumerate(encoded) if x is not None]
        if not places:
            return rewards
        prompts = [{"prompt_token_ids": encoded[x]} for x in places]
        try:
            outputs = self._llm.classify(prompts, pooling_params=self._raw_logits, use_tqdm=False)
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"vLLM can't use reward model {self._path!r}: {first_line(error)}.") from error
        for place, output in zip(places, outputs, strict=True):
            rewards[place] = output.outputs.probs[0]
        return rewards

    def close(self) -> None:
        """Frees the model's memory."""
        self._llm = None
