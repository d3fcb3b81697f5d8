"""Backend ``vllm``: vLLM's offline ``LLM`` in this process. It chooses its device and plans its own batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..api.backend import Chunk, Message, ModelSpec
from ..api.records import NO_CONTINUATION, GenerationRequest, LikelihoodRequest, Response, usable_likelihood
from ..errors import ModelError
from ..text.answers import opens_reasoning
from ..text.encoding import RenderedChat, encode, readable
from ..vllm_load import explain, load_llm
from .adapters import Adapter, local_folder, read_adapter
from .text import Fitted, cut_to, fit_pairs, read_answer, render_chat, room_for_prompt, stop_place

_AT_ONCE = 2048
"""Requests that vLLM is given together; their answers are known together."""

_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


class VllmBackend:
    """vLLM in this process. One base model; adapters are switched per request, never merged."""

    def __init__(self, spec: ModelSpec, log: Callable[[str], None]) -> None:
        self.spec = spec
        self._log = log
        self._adapters = [_read_adapter(x) for x in spec.adapters]
        settings = {"revision": spec.revision, "dtype": spec.dtype, **_lora_settings(self._adapters), **spec.options}
        self.llm: Any = load_llm(spec.path, **settings)
        self.tokenizer: Any = self.llm.get_tokenizer()

    def engine(self, adapter: Path | None) -> VllmSystem:
        """The base (None) or one of the adapters that were announced. Raises ModelError for files in an adapter's
        folder that can't be used."""
        if adapter is None:
            return VllmSystem(self, None, self.tokenizer)
        number = self.spec.adapters.index(adapter)
        return VllmSystem(self, 1 + number, self._tokenizer_of(self._adapters[number]))

    @property
    def max_length(self) -> int:
        """Tokens of prompt and answer that vLLM lets the model see at once."""
        return self.llm.model_config.max_model_len

    def run(self, prompts: Sequence[Sequence[int]], settings: Sequence[Any], adapter: int | None) -> list[Any]:
        """vLLM's outputs for prompts of token ids, in order. Raises ModelError if it fails."""
        inputs = [{"prompt_token_ids": list(x)} for x in prompts]
        try:
            return self.llm.generate(inputs, list(settings), use_tqdm=False, lora_request=self._lora(adapter))
        except Exception as error:  # an engine that died, and whatever a request may cause
            raise ModelError(f"vLLM can't use model {self.spec.path!r}: {explain(error)}.") from error

    def close(self) -> None:
        """Frees the model's memory."""
        self.llm = None

    def _lora(self, number: int | None) -> Any:
        if number is None:
            return None
        from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]

        return LoRARequest(f"adapter_{number}", number, str(self._adapters[number - 1].folder))

    def _tokenizer_of(self, adapter: Adapter) -> Any:
        """The adapter's own if it brings one that differs from the base's, which is then told; else the base's."""
        from .hf_adapters import check_ends, tokenizer_of

        rows = self.llm.model_config.get_vocab_size()
        tokenizer, differences = tokenizer_of(adapter, self.tokenizer, rows)
        check_ends(adapter, self.llm.model_config.try_get_generation_config().get("eos_token_id"), tokenizer)
        if differences:
            self._log(f"adapter {str(adapter.folder)!r} brings its own {' and '.join(differences)}, used for it.")
        return tokenizer


class VllmSystem:
    """One system on a loaded base. ``adapter`` counts the announced ones from 1."""

    def __init__(self, backend: VllmBackend, adapter: int | None, tokenizer: Any) -> None:
        self._backend, self._adapter, self._tokenizer = backend, adapter, tokenizer

    @property
    def max_length(self) -> int:
        return self._backend.max_length

    @property
    def tokenizer_name(self) -> str:
        return self._tokenizer.name_or_path.replace("/", "__")

    def chat(self, messages: Sequence[Message], continue_final: bool = False) -> RenderedChat:
        """Messages by the model's chat template. Raises ModelError if it has none or the template fails."""
        return render_chat(self._tokenizer, messages, continue_final, self._backend.spec.path)

    def loglikelihoods(self, requests: Sequence[LikelihoodRequest], done: frozenset[int]) -> Iterator[Chunk]:
        """Natural-log likelihoods from vLLM's log-probabilities of prompts; tokens as for backend ``hf``.

        vLLM answers with at least one token, so the window holds two tokens less of context and continuation.
        """
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        settings = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        for part in _undone(len(requests), done):
            texts = [(requests[x].context, requests[x].continuation) for x in part]
            places = [x for x, (_, continuation) in zip(part, texts, strict=True) if continuation.strip()]
            pairs = [x for x in texts if x[1].strip()]
            fitted = dict(zip(places, fit_pairs(self._tokenizer, pairs, self.max_length - 2), strict=True))
            read = {x: (*y.context, *y.continuation) for x, y in fitted.items() if y.continuation}
            outputs = self._backend.run(list(read.values()), [settings] * len(read), self._adapter) if read else []
            found = {x: _likelihood(y, fitted[x]) for x, y in zip(read, outputs, strict=True)}
            none = Response(finish_reason=NO_CONTINUATION)
            yield [(x, usable_likelihood(requests[x], found.get(x, none))) for x in part]

    def generate(self, requests: Sequence[GenerationRequest], done: frozenset[int]) -> Iterator[Chunk]:
        """Continuations; a sampled one follows its own seed, but for what vLLM's batches change in the last bits."""
        for part in _undone(len(requests), done):
            asked = [requests[x] for x in part]
            rooms = [room_for_prompt(x.max_new_tokens, self.max_length) for x in asked]
            prompts = [
                cut_to(self._tokenizer, x.prompt, encode(self._tokenizer, x.prompt), room)
                for x, room in zip(asked, rooms, strict=True)
            ]
            outputs = self._outputs([ids for ids, _ in prompts], asked)
            yield [
                (x, self._answer(y, request, n_cut))
                for x, y, request, (_, n_cut) in zip(part, outputs, asked, prompts, strict=True)
            ]

    def _outputs(self, prompts: Sequence[list[int]], asked: Sequence[GenerationRequest]) -> list[Any]:
        """vLLM's answers. One that a stop string ended within its reasoning is given again, from the same seed, without
        stop strings."""
        given = self._backend.run(prompts, [self._sampling(x, x.stop) for x in asked], self._adapter)
        outputs = [x.outputs[0] for x in given]
        again = [i for i, x in enumerate(outputs) if isinstance(x.stop_reason, str) and not self._stop(x, asked[i])]
        if again:
            settings = [self._sampling(asked[x], ()) for x in again]
            given = self._backend.run([prompts[x] for x in again], settings, self._adapter)
            for i, x in zip(again, given, strict=True):
                outputs[i] = x.outputs[0]
        return outputs

    def _stop(self, output: Any, request: GenerationRequest) -> bool:
        return stop_place(self._tokenizer, output.token_ids, request.stop, _begun(request)) is not None

    def _sampling(self, request: GenerationRequest, stop: Sequence[str]) -> Any:
        """The request's settings as vLLM's: nothing is taken from the model's own generation config but its end.
        Special tokens are text where stop strings are looked for, as they may be special tokens."""
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]

        return SamplingParams(
            max_tokens=request.max_new_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            repetition_penalty=request.repetition_penalty,
            stop=list(stop) or None,
            skip_special_tokens=not stop,
            seed=request.seed if request.temperature else None,
            stop_token_ids=self._end_ids,
        )

    @cached_property
    def _end_ids(self) -> list[int]:
        """The tokenizer's end, which a model's own generation config may not name."""
        end = self._tokenizer.eos_token_id
        return [] if end is None else [end]

    def _answer(self, output: Any, request: GenerationRequest, n_cut: int) -> Response:
        if output.finish_reason not in ("stop", "length"):
            raise ModelError(f"vLLM broke off an answer of model {self._backend.spec.path!r} ({output.finish_reason}).")
        ids, reason = list(output.token_ids), output.finish_reason
        if not request.stop:
            return Response(text=output.text, finish_reason=reason, n_tokens=len(ids), n_cut=n_cut)
        read = read_answer(self._tokenizer, ids, request.stop, _begun(request))
        return Response(
            text=read.text, finish_reason="stop" if read.stopped else reason, n_tokens=read.n_tokens, n_cut=n_cut
        )


def _undone(n: int, done: frozenset[int]) -> Iterator[list[int]]:
    """Positions in parts of ``_AT_ONCE``, without the parts that are done: a part is always computed whole."""
    for start in range(0, n, _AT_ONCE):
        part = list(range(start, min(start + _AT_ONCE, n)))
        if not done.issuperset(part):
            yield part


def _begun(request: GenerationRequest) -> bool:
    return opens_reasoning(readable(request.prompt))


def _likelihood(output: Any, fitted: Fitted) -> Response:
    """Of the last tokens of a prompt, from their log-probabilities and ranks (1: the most likely token)."""
    tail = fitted.continuation
    steps = output.prompt_logprobs[len(output.prompt_logprobs) - len(tail) :]
    found = [step[token] for step, token in zip(steps, tail, strict=True)]
    return Response(
        logprob=float(sum(x.logprob for x in found)),
        is_greedy=all(x.rank == 1 for x in found),
        n_tokens=len(tail),
        n_cut=fitted.n_cut,
    )


def _lora_settings(adapters: Sequence[Adapter]) -> dict[str, Any]:
    """What vLLM must know of the adapters before it loads the base.

    Modules that no adapter touches are left as they are: it takes less memory, and vLLM gives log-probabilities of
    prompts only where the output layer is one of them.
    """
    if not adapters:
        return {}
    largest = max(x.rank for x in adapters)
    rank = next((x for x in _LORA_RANKS if x >= largest), largest)
    modules = [x.settings.get("target_modules") for x in adapters]
    named = all(isinstance(x, list) for x in modules)
    return {
        "enable_lora": True,
        "max_lora_rank": rank,
        "max_loras": 1,
        "max_cpu_loras": len(adapters),
        "lora_target_modules": sorted({y for x in modules for y in x or ()}) if named else None,
    }


def _read_adapter(path: Path) -> Adapter:
    """Raises ModelError for an adapter that can't be read or that is not plain LoRA: vLLM knows nothing else."""
    adapter = read_adapter(local_folder(path), str(path))
    adapter.require_usable(str(path), "vllm")
    return adapter
