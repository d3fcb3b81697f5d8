"""Options of a reward model, shared by the judge and the scorer, and the model that they name."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from pydantic import Field, model_validator

from ..api.backend import ModelSpec, RewardModel
from ..config.strict import JsonObject, Strict
from ..errors import UserError
from .sources import ModelSource, find_model


class RewardModelOptions(Strict):
    """A sequence classifier with one logit. ``engine_options`` go to vLLM as they are."""

    model: str = Field(min_length=1)
    revision: str | None = None
    backend: Literal["transformers", "vllm"] = "transformers"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    batch_tokens: int = Field(8192, ge=64)
    engine_options: JsonObject = {}

    @model_validator(mode="after")
    def _backend_takes_them(self) -> RewardModelOptions:
        if self.backend == "vllm" and self.device != "auto":
            raise ValueError("vLLM chooses its device itself: leave device out")
        if self.backend != "vllm" and self.engine_options:
            raise ValueError("engine_options are for backend vllm")
        return self

    def find(self) -> ModelSource:
        """The model's files. Raises ModelError if they can't be found."""
        return find_model(self.model, self.revision)

    def check(self, source: ModelSource) -> None:
        """Raises UserError if the backend isn't installed, ModelError if the model gives more than one logit."""
        if self.backend == "vllm" and find_spec("vllm") is None:
            raise UserError("backend vllm needs vLLM: pip install 'croco-eval[vllm]'.")
        from ..backends.rewards import check_reward_model

        check_reward_model(self._spec(source))

    def load(self, source: ModelSource) -> RewardModel:
        """The model in memory. Raises ModelError for one that can't be used."""
        if self.backend == "vllm":
            from ..backends.vllm_rewards import VllmRewardModel

            return VllmRewardModel(self._spec(source), self.engine_options)
        from ..backends.hf_rewards import HfRewardModel

        return HfRewardModel(self._spec(source))

    def _spec(self, source: ModelSource) -> ModelSpec:
        return ModelSpec(source.path, source.revision, self.dtype, self.device, self.batch_tokens)
