"""Generation with transformers: greedy, or sampled so that an answer depends on its own seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ..errors import ModelError
from ..records import GenerationRequest, Response


def generate_batch(
    model: Any, tokenizer: Any, requests: Sequence[GenerationRequest], max_length: int
) -> list[Response]:
    """Answers to requests of one kind of settings, in one call. A prompt that leaves no room loses its beginning.

    Raises ModelError if ``max_new_tokens`` alone fills the model's window.
    """
    first = requests[0]
    room = max_length - first.max_new_tokens
    if room < 1:
        raise ModelError(
            f"max_new_tokens={first.max_new_tokens} does not fit the model's window of {max_length} tokens; lower it."
        )
    inputs = _encode(tokenizer, [x.prompt for x in requests], room, model.device)
    output = model.generate(
        **inputs,
        generation_config=_settings(model, tokenizer, first),
        logits_processor=LogitsProcessorList(
            [SeededSampling(requests, inputs["input_ids"].shape[1])] if first.temperature else []
        ),
        tokenizer=tokenizer,
    )
    new = output[:, inputs["input_ids"].shape[1] :].tolist()
    ends = _end_ids(model, tokenizer)
    return [_read(ids, tokenizer, ends, first) for ids in new]


def _encode(tokenizer: Any, prompts: list[str], room: int, device: torch.device) -> dict[str, torch.Tensor]:
    bos = tokenizer.bos_token
    ids = [tokenizer.encode(x, add_special_tokens=not (bos is not None and x.startswith(bos)))[-room:] for x in prompts]
    padded = tokenizer.pad({"input_ids": ids}, padding=True, padding_side="left", return_tensors="pt")
    return {"input_ids": padded["input_ids"].to(device), "attention_mask": padded["attention_mask"].to(device)}


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end an answer: the model's own and the tokenizer's."""
    own = model.generation_config.eos_token_id
    ends = [own] if isinstance(own, int) else list(own or [])
    return list(dict.fromkeys([*ends, *([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else [])]))


def _settings(model: Any, tokenizer: Any, request: GenerationRequest) -> GenerationConfig:
    """The request's settings and nothing else: a model's own generation_config must not change them."""
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=request.max_new_tokens,
        repetition_penalty=request.repetition_penalty,
        eos_token_id=_end_ids(model, tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        stop_strings=list(request.stop) or None,
    )


def _read(ids: list[int], tokenizer: Any, ends: list[int], request: GenerationRequest) -> Response:
    end = next((i for i, x in enumerate(ids) if x in ends), len(ids))
    text = tokenizer.decode(ids[:end], skip_special_tokens=True)
    cuts = [x for x in (text.find(s) for s in request.stop) if x >= 0]
    stopped = bool(cuts) or end < len(ids) or end < request.max_new_tokens
    return Response(
        text=text[: min(cuts)] if cuts else text,
        finish_reason="stop" if stopped else "length",
        n_tokens=min(end + 1, len(ids)),
    )


class SeededSampling(LogitsProcessor):
    """Draws each row's next token with that row's own random numbers and leaves it as the only choice.

    One uniform number per row and step, from the row's seed, through the inverse of the cumulative distribution:
    what else is in the batch changes nothing.
    """

    def __init__(self, requests: Sequence[GenerationRequest], prompt_width: int) -> None:
        first = requests[0]
        self._width = prompt_width
        self._uniform = np.stack([np.random.default_rng(x.seed).random(first.max_new_tokens) for x in requests])
        self._warpers: list[Any] = [TemperatureLogitsWarper(first.temperature)]
        if first.top_k:
            self._warpers.append(TopKLogitsWarper(first.top_k))
        if first.top_p < 1:
            self._warpers.append(TopPLogitsWarper(first.top_p))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        cumulative = scores.float().softmax(-1).cumsum(-1)
        drawn = torch.as_tensor(
            self._uniform[:, input_ids.shape[1] - self._width], dtype=torch.float32, device=scores.device
        )
        target = drawn.unsqueeze(-1) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, target, right=True).clamp(max=scores.shape[-1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(-1, chosen, 0.0)
