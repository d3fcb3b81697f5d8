"""Backend ``hf``: models of the transformers library, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..api.backend import Chunk, Message, ModelSpec
from ..api.records import NO_CONTINUATION, GenerationRequest, LikelihoodRequest, Response, usable_likelihood
from ..text.encoding import RenderedChat, encode, readable
from .adapters import Adapter, local_folder, read_adapter
from .hf_adapters import attach, check_ends, on_own_copy, tokenizer_of
from .hf_generate import generate_batch
from .hf_likelihood import LikelihoodScorer
from .hf_load import find_window, load_model
from .memory import enough_memory_or
from .text import render_chat


class HfBackend:
    """One base model in memory; its adapters are switched, never merged, so every system sees the same weights.

    The adapters that are announced are attached before the first answer. One that can't be switched off without a
    trace (see ``adapters.py``) has a copy of the base for itself, loaded when it is first wanted.
    """

    def __init__(self, spec: ModelSpec, log: Callable[[str], None]) -> None:
        self.spec = spec
        self._log = log
        self._known: dict[Path, Adapter] = {}
        for path in spec.adapters:
            self._adapter(path)
        self._model: Any
        self._model, self.tokenizer = load_model(spec)
        self._copies: dict[str, Any] = {}
        self._tokenizers: dict[Path, Any] = {}
        self._names: dict[Path, str] = {}
        for path in spec.adapters:
            if self._adapter(path).handling == "shared":
                self._attach(path)

    def engine(self, adapter: Path | None) -> HfEngine:
        """The base (None) or one of its adapters. Raises ModelError for an adapter that does not fit the base."""
        if adapter is None:
            return HfEngine(self, None, self.tokenizer)
        if adapter not in self._names:
            self._attach(adapter)
        return HfEngine(self, self._names[adapter], self.tokenizer_of(adapter))

    def tokenizer_of(self, adapter: Path) -> Any:
        """The adapter's own if it brings one that differs from the base's, which is then told; else the base's.

        Raises ModelError for one that can't be used.
        """
        if adapter not in self._tokenizers:
            found = self._adapter(adapter)
            rows = self._model.get_input_embeddings().weight.shape[0]
            tokenizer, differences = tokenizer_of(found, self.tokenizer, rows)
            check_ends(found, self._model.generation_config.eos_token_id, tokenizer)
            if differences:
                self.say(f"adapter {str(adapter)!r} brings its own {' and '.join(differences)}, used for it.")
            self._tokenizers[adapter] = tokenizer
        return self._tokenizers[adapter]

    @contextmanager
    def active(self, adapter: str | None) -> Iterator[Any]:
        """The model with this adapter switched on (None: all off), for inference.

        Raises ModelError, saying what to lower, when memory runs out.
        """
        model = self._copies.get(adapter or "", self._model)
        shared = model is self._model and hasattr(model, "disable_adapter")
        if shared and adapter is not None:
            model.set_adapter(adapter, inference_mode=True)
        advice = (
            f"model {self.spec.path!r} ran out of memory on {model.device}; "
            f"lower batch_tokens (now {self.spec.batch_tokens})."
        )
        with (
            enough_memory_or(advice),
            torch.inference_mode(),
            model.disable_adapter() if shared and adapter is None else nullcontext(),
        ):
            yield model

    def say(self, message: str) -> None:
        """Tells the user something about this model."""
        self._log(message)

    def _adapter(self, path: Path) -> Adapter:
        """What the adapter's files say. Raises ModelError for one that can't be used."""
        if path not in self._known:
            found = read_adapter(local_folder(path), str(path))
            found.require_usable(str(path))
            self._known[path] = found
        return self._known[path]

    def _attach(self, path: Path) -> None:
        adapter = self._adapter(path)
        name = f"adapter_{len(self._names):03d}"
        if adapter.handling == "shared":
            self._model = attach(self._model, adapter, name, self.spec.path)
        else:
            self._copies[name] = on_own_copy(self.spec, adapter, name)
        self._names[path] = name

    def close(self) -> None:
        """Frees the memory of the model and its copies."""
        self._model = None
        self._copies.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class HfEngine:
    """One system on a loaded base."""

    def __init__(self, backend: HfBackend, adapter: str | None, tokenizer: Any) -> None:
        self._backend, self._adapter = backend, adapter
        self._tokenizer, self._spec = tokenizer, backend.spec
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
        """Natural-log likelihood of each continuation, as lm-eval's HFLM computes it; contexts are read once each.
        There is none of an empty continuation, and of one that leaves no token after its context."""
        asked = [i for i, x in enumerate(requests) if x.continuation.strip()]
        pairs = [(requests[i].context, requests[i].continuation) for i in asked]
        with self._active() as model:
            scorer = LikelihoodScorer(model, self._tokenizer, self._max_length, self._shares_prefixes)
            batches = list(scorer.plan(pairs, self._spec.batch_tokens))
            planned = {asked[x] for batch in batches for x in batch.positions}
            if left := set(range(len(requests))) - planned - done:
                yield [(i, Response(finish_reason=NO_CONTINUATION)) for i in sorted(left)]
            for batch in batches:
                if not done.issuperset(asked[x] for x in batch.positions):
                    found = [(x, replace(y, n_cut=scorer.n_cut.get(x, 0))) for x, y in scorer.score(batch)]
                    yield [(asked[x], usable_likelihood(requests[asked[x]], y)) for x, y in found]

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
