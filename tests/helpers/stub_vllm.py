"""vLLM's offline interface without vLLM: it keeps what it is given and says what it is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Say = Callable[[list[int], Any], tuple[list[int], str, Any]]
"""(ids of a prompt, its settings) -> ids of an answer, ``finish_reason``, ``stop_reason``."""


class Settings(SimpleNamespace):
    """``SamplingParams`` or ``PoolingParams``."""


class StubLLM:
    """``LLM``. ``seen`` holds the ids of all prompts."""

    def __init__(self, tokenizer: Any, say: Say) -> None:
        self.tokenizer, self._say = tokenizer, say
        self.seen: list[list[int]] = []
        self.settings: list[Any] = []
        self.model_config = SimpleNamespace(max_model_len=1000)

    def get_tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self.tokenizer

    def generate(self, prompts: Sequence[Mapping[str, list[int]]], settings: Sequence[Any], **_: Any) -> list[Any]:
        """Outputs for prompts of token ids."""
        return [self._output(x["prompt_token_ids"], y) for x, y in zip(prompts, settings, strict=True)]

    def classify(self, prompts: Sequence[Mapping[str, list[int]]], **_: Any) -> list[Any]:
        """Outputs of a reward model: each prompt's number of tokens."""
        self.seen += [x["prompt_token_ids"] for x in prompts]
        return [SimpleNamespace(outputs=SimpleNamespace(probs=[float(len(x["prompt_token_ids"]))])) for x in prompts]

    def _output(self, ids: list[int], settings: Any) -> Any:
        self.seen.append(ids)
        self.settings.append(settings)
        said, finish, stop = self._say(ids, settings)
        answer = SimpleNamespace(
            text=self.tokenizer.decode(said, skip_special_tokens=True),
            token_ids=said,
            finish_reason=finish,
            stop_reason=stop,
            logprobs=None,
        )
        steps = [None, *({x: SimpleNamespace(logprob=-1.0, rank=1)} for x in ids[1:])]
        return SimpleNamespace(outputs=[answer], prompt_token_ids=ids, prompt_logprobs=steps)


def install(monkeypatch: pytest.MonkeyPatch, tokenizer: Any, say: Say | None = None) -> StubLLM:
    """Makes ``import vllm`` give a stub, whose one model is returned."""
    made = StubLLM(tokenizer, say or (lambda ids, settings: (ids[-1:], "length", None)))
    module: Any = ModuleType("vllm")
    module.LLM, module.SamplingParams, module.PoolingParams = (lambda **_: made), Settings, Settings
    sampling: Any = ModuleType("vllm.sampling_params")
    sampling.StructuredOutputsParams = Settings
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", sampling)
    return made
