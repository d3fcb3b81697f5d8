"""Reward models through vLLM in this process: the pooling runner on a sequence classifier with one label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..api.backend import Message, ModelSpec
from ..errors import ModelError
from ..vllm_load import explain, load_llm
from .rewards import check_reward_model, encode_conversations


class VllmRewardModel:
    """As ``HfRewardModel``. ``options`` go to vLLM's ``LLM`` as they are; it chooses its device and plans its own
    batches. Raises ModelError if vLLM is not there or can't use the model."""

    def __init__(self, spec: ModelSpec, options: Mapping[str, Any]) -> None:
        check_reward_model(spec)
        self._path = spec.path
        settings = {"revision": spec.revision, "runner": "pooling", "dtype": spec.dtype, **options}
        self._llm: Any = load_llm(spec.path, **settings)
        from vllm import PoolingParams  # pyright: ignore[reportMissingImports]

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
        except Exception as error:  # an engine that died, and whatever a request may cause
            raise ModelError(f"vLLM can't use reward model {self._path!r}: {explain(error)}.") from error
        for place, output in zip(places, outputs, strict=True):
            rewards[place] = output.outputs.probs[0]
        return rewards

    def close(self) -> None:
        """Frees the model's memory."""
        self._llm = None
