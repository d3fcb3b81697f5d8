"""Generation with transformers: greedy, or sampled so that an answer depends on its own seed alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ..api.records import GenerationRequest, Response
from ..text.answers import opens_reasoning
from ..text.encoding import encode, readable
from .text import cut_to, read_answer, room_for_prompt, stop_place

_STRETCH = 16
"""Steps between two looks at which rows have ended."""


def generate_batch(
    model: Any, tokenizer: Any, requests: Sequence[GenerationRequest], max_length: int
) -> list[Response]:
    """Answers to requests of one kind of settings, in one call. A prompt that is too long is cut, as ``cut_to`` says.

    Raises ModelError if ``max_new_tokens`` alone fills the model's window.
    """
    first = requests[0]
    room = room_for_prompt(first.max_new_tokens, max_length)
    prompts = [cut_to(tokenizer, x.prompt, encode(tokenizer, x.prompt), room) for x in requests]
    inputs = _padded(tokenizer, [ids for ids, _ in prompts], model.device)
    ends = _end_ids(model, tokenizer)
    new = _decode(model, tokenizer, requests, inputs["input_ids"], inputs["attention_mask"], ends)
    return [
        _read(ids, tokenizer, ends, request, n_cut)
        for ids, request, (_, n_cut) in zip(new, requests, prompts, strict=True)
    ]


def _decode(
    model: Any, tokenizer: Any, requests: Sequence[GenerationRequest], ids: torch.Tensor, mask: torch.Tensor,
    ends: list[int],
) -> list[list[int]]:  # fmt: skip
    """New tokens of each row. Every ``_STRETCH`` steps the rows that have ended leave the batch, with their part of
    the cache: a few long answers don't make the short ones wait."""
    first, width = requests[0], ids.shape[1]
    found: list[list[int]] = [[] for _ in requests]
    rows = torch.arange(len(requests), device=ids.device)
    is_end = torch.tensor(ends, device=ids.device)
    cache = None
    while len(rows):
        left = width + first.max_new_tokens - ids.shape[1]
        here = [requests[x] for x in rows.tolist()]
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            generation_config=_settings(model, tokenizer, first, min(left, _STRETCH)),
            logits_processor=LogitsProcessorList([SeededSampling(here, width)] if first.temperature else []),
            stopping_criteria=StoppingCriteriaList([StopStrings(here, tokenizer, width)] if first.stop else []),
        )
        stretch, ids = output.sequences[:, ids.shape[1] :], output.sequences
        for row, tokens in zip(rows.tolist(), stretch.tolist(), strict=True):
            found[row] += tokens
        done = torch.isin(stretch, is_end).any(1)
        if first.stop:
            done |= StopStrings(here, tokenizer, width).ended(ids)
        if stretch.shape[1] == left or done.all():
            break
        going_on = torch.nonzero(~done).flatten()
        cache = _rows_of(output.past_key_values, going_on)
        mask = torch.cat([mask, torch.ones_like(stretch)], dim=1)
        rows, ids, mask = rows[going_on], ids[going_on], mask[going_on]
    return found


def _rows_of(cache: Any, rows: torch.Tensor) -> Any:
    """The cache of some rows; None, so that all is read again, for a model whose cache can't be taken apart."""
    if not hasattr(cache, "batch_select_indices"):
        return None
    try:
        cache.batch_select_indices(rows)
    except (AttributeError, NotImplementedError):
        return None
    return cache


def _padded(tokenizer: Any, ids: list[list[int]], device: torch.device) -> dict[str, torch.Tensor]:
    padded = tokenizer.pad({"input_ids": ids}, padding=True, padding_side="left", return_tensors="pt")
    return {"input_ids": padded["input_ids"].to(device), "attention_mask": padded["attention_mask"].to(device)}


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end an answer: the model's own and the tokenizer's."""
    own = model.generation_config.eos_token_id
    ends = [own] if isinstance(own, int) else list(own or [])
    return list(dict.fromkeys([*ends, *([tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else [])]))


def _settings(model: Any, tokenizer: Any, request: GenerationRequest, new_tokens: int) -> GenerationConfig:
    """The request's settings and nothing else: a model's own generation_config must not change them."""
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=new_tokens,
        repetition_penalty=request.repetition_penalty,
        eos_token_id=_end_ids(model, tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        return_dict_in_generate=True,
    )


def _read(ids: list[int], tokenizer: Any, ends: list[int], request: GenerationRequest, n_cut: int) -> Response:
    end = next((i for i, x in enumerate(ids) if x in ends), len(ids))
    read = read_answer(tokenizer, ids[: end + 1], request.stop, _begun(request))
    if not read.stopped:
        read = read_answer(tokenizer, ids[:end], (), False)
    stopped = read.stopped or end < len(ids) or end < request.max_new_tokens
    n_tokens = read.n_tokens if read.stopped else min(end + 1, len(ids))
    return Response(text=read.text, finish_reason="stop" if stopped else "length", n_tokens=n_tokens, n_cut=n_cut)


def _begun(request: GenerationRequest) -> bool:
    return opens_reasoning(readable(request.prompt))


class StopStrings(StoppingCriteria):
    """Ends the rows in which a stop string stands after the reasoning, in the text as the model wrote it."""

    def __init__(self, requests: Sequence[GenerationRequest], tokenizer: Any, prompt_width: int) -> None:
        self._tokenizer, self._width = tokenizer, prompt_width
        self._stop = requests[0].stop
        self._begun = [_begun(x) for x in requests]
        self._span = max(len(x.encode()) for x in self._stop) + 4

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> Any:
        recent = self._tokenizer.batch_decode(input_ids[:, max(self._width, input_ids.shape[1] - self._span) :])
        likely = [i for i, x in enumerate(recent) if any(s in x for s in self._stop)]
        return self._found(input_ids, likely)

    def ended(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Whether each row has ended, wherever in it the stop string stands."""
        return self._found(input_ids, range(len(input_ids)))

    def _found(self, input_ids: torch.Tensor, rows: Iterable[int]) -> torch.Tensor:
        done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        for i in rows:
            new = input_ids[i, self._width :].tolist()
            done[i] = stop_place(self._tokenizer, new, self._stop, self._begun[i]) is not None
        return done


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
