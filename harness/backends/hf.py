"""Backend ``hf``: models of the transformers library, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..api.backend import Chunk, Message, ModelSpec
from ..api.records import GenerationRequest, LikelihoodRequest
from ..errors import ModelError
from ..text.encoding import RenderedChat, encode, readable
from .hf_generate import generate_batch
from .hf_likelihood import LikelihoodScorer
from .hf_load import find_window, load_model
from .memory import enough_memory_or
from .text import render_chat


class HfBackend:
    """One base model in memory; its adapters are switched, never merged, so every system sees the same weights."""

    def __init__(self, spec: ModelSpec, log: Callable[[str], None]) -> None:
        self.spec = spec
        self._log = log
        self._model: Any
        self._model, self.tokenizer = load_model(spec)
        self._adapters: dict[str, str] = {}

    def engine(self, adapter: Path | None) -> HfEngine:
        """The base (None) or one of its adapters. Raises ModelError for an adapter that does not fit the base."""
        if adapter is not None and str(adapter) not in self._adapters:
            self._add(adapter)
        return HfEngine(self, None if adapter is None else self._adapters[str(adapter)])

    @contextmanager
    def active(self, adapter: str | None) -> Iterator[Any]:
        """The model with this adapter switched on (None: all off), for inference.

        Raises ModelError, saying what to lower, when memory runs out.
        """
        switched = hasattr(self._model, "disable_adapter")
        if adapter is not None:
            self._model.set_adapter(adapter)
        told = (
            f"model {self.spec.path!r} ran out of memory on {self._model.device}; "
            f"lower batch_tokens (now {self.spec.batch_tokens})."
        )
        with (
            enough_memory_or(told),
            torch.inference_mode(),
            self._model.disable_adapter() if switched and adapter is None else nullcontext(),
        ):
            yield self._model

    def say(self, message: str) -> None:
        """Tells the user something about this model."""
        self._log(message)

    def _add(self, adapter: Path) -> None:
        from peft import PeftModel

        name = f"adapter_{len(self._adapters)}"
        try:
            if self._adapters:
                self._model.load_adapter(str(adapter), adapter_name=name)
            else:
                self._model = PeftModel.from_pretrained(self._model, str(adapter), adapter_name=name).eval()
        except Exception as error:  # peft and torch raise many kinds; each means that this adapter does not fit
            reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
            raise ModelError(f"adapter {str(adapter)!r} does not fit the base {self.spec.path!r}: {reason}") from error
        self._adapters[str(adapter)] = name

    def close(self) -> None:
        """Frees the model's memory."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class HfEngine:
    """One system on a loaded base."""

    def __init__(self, backend: HfBackend, adapter: str | None) -> None:
        self._backend, self._adapter = backend, adapter
        self._tokenizer, self._spec = backend.tokenizer, backend.spec
        with self._active() as model:
            self._max_length = find_window(model, self._tokenizer)
        self._shares_prefixes = self._probe_sharing()

    @property
    def tokenizer_name(self) -> str:
        return self._tokenizer.name_or_path.replace("/", "__")

    @property
    def max_length(self) -> int:
        return self._max_length

    def chat(self, messages: Sequence[Message], continue_final: bool = False) -> RenderedChat:
        """Messages by the model's chat template. Raises ModelError if it has none or the template fails."""
        return render_chat(self._tokenizer, messages, continue_final, self._spec.path)

    def loglikelihoods(self, requests: Sequence[LikelihoodRequest], done: frozenset[int]) -> Iterator[Chunk]:
        """Natural-log likelihood of each continuation, as lm-eval's HFLM computes it; contexts are read once each."""
        with self._active() as model:
            scorer = LikelihoodScorer(model, self._tokenizer, self._max_length, self._shares_prefixes)
            for batch in scorer.plan([(x.context, x.continuation) for x in requests], self._spec.batch_tokens):
                if not done.issuperset(batch.positions):
                    yield [(x, replace(y, n_cut=scorer.n_cut.get(x, 0))) for x, y in scorer.score(batch)]

    def generate(self, requests: Sequence[GenerationRequest], done: frozenset[int]) -> Iterator[Chunk]:
        """Continuations in batches of one kind of settings and similar length, longest first."""
        for positions in self._generation_batches(requests):
            if done.issuperset(positions):
                continue
            with self._active() as model:
                answers = generate_batch(model, self._tokenizer, [requests[x] for x in positions], self._max_length)
            yield list(zip(positions, answers, strict=True))

    def _generation_batches(self, requests: Sequence[GenerationRequest]) -> Iterator[list[int]]:
        lengths = [len(encode(self._tokenizer, x.prompt)) for x in requests]
        order = sorted(
            range(len(requests)), key=lambda x: (_settings(requests[x]), -lengths[x], readable(requests[x].prompt), x)
        )
        batch: list[int] = []
        for position in order:
            if batch:
                first = requests[batch[0]]
                tokens = (lengths[batch[0]] + first.max_new_tokens) * (len(batch) + 1)
                if _settings(requests[position]) != _settings(first) or tokens > self._spec.batch_tokens:
                    yield batch
                    batch = []
            batch.append(position)
        if batch:
            yield batch

    def _active(self):
        return self._backend.active(self._adapter)

    def _probe_sharing(self) -> bool:
        with self._active() as model:
            agrees = LikelihoodScorer.can_share(model, self._tokenizer, self._max_length)
        if not agrees:
            self._backend.say("this model can't reuse the context of several continuations; each is read on its own.")
        return agrees


def _settings(request: GenerationRequest) -> tuple[Any, ...]:
    r = request
    return (r.max_new_tokens, r.temperature, r.top_p, r.top_k, r.repetition_penalty, r.stop)
