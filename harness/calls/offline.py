"""vLLM in this process as an engine: no server, whole batches at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from ..errors import CrocoError, first_line
from ..text.encoding import encode, render
from ..vllm_load import load_llm
from .ledger import Ledger
from .messages import LOGPROB_TAIL, TOO_LONG, ChatReply, ChatRequest, NoReply, Outcome, Token

_BATCH = 1024
_LENGTH_WORDS = ("maximum context length", "maximum model length", "longer than")


class VllmEngine:
    """vLLM's offline ``LLM``, loaded when it is first asked. ``options`` go to it as they are (``max_model_len``, ...).

    A request's ``extra`` may hold ``chat_template_kwargs``; all else in it goes to ``SamplingParams``.
    """

    room = _BATCH

    def __init__(
        self,
        model: str,
        options: Mapping[str, Any],
        ledger: Ledger,
        on_reply: Callable[[str, ChatReply], None],
    ) -> None:
        self._model, self._options = model, options
        self._ledger, self._on_reply = ledger, on_reply
        self._pending: list[ChatRequest] = []
        self.error: CrocoError | None = None

    def submit(self, requests: list[ChatRequest]) -> None:
        self._pending += requests

    def gather(self) -> list[tuple[ChatRequest, Outcome]]:
        requests, self._pending = self._pending, []
        if self._ledger.is_spent:
            self.error = self.error or self._ledger.budget_error()
        if self.error:
            return [(x, NoReply("stopped", "no more calls are begun")) for x in requests]
        return self._answer(requests)

    def close(self) -> None:
        """Frees the model."""
        self.__dict__.pop("_llm", None)

    @cached_property
    def _llm(self) -> Any:
        return load_llm(self._model, **self._options)

    def _answer(self, requests: list[ChatRequest]) -> list[tuple[ChatRequest, Outcome]]:
        """One batch; if vLLM refuses it because of one request, that one alone is rejected."""
        begun = time.monotonic()
        try:
            outputs = self._generate(requests)
        except _refusals() as error:
            if len(requests) > 1:
                return [done for x in requests for done in self._answer([x])]
            self._ledger.record(requests[0].key, 1, "rejected", 0, 0, time.monotonic() - begun)
            return [(requests[0], NoReply("rejected", _why(error)))]
        seconds = (time.monotonic() - begun) / len(requests)
        done: list[tuple[ChatRequest, Outcome]] = []
        for request, output in zip(requests, outputs, strict=True):
            reply = _reply(output)
            self._on_reply(request.key, reply)
            self._ledger.record(request.key, 1, "ok", reply.tokens_in, reply.tokens_out, seconds)
            done.append((request, reply))
        return done

    def _generate(self, requests: list[ChatRequest]) -> list[Any]:
        """vLLM's outputs. The chats are encoded here, so that nothing in an answer to be judged is a special token;
        tokenizers of other libraries, which never make one of a message's text, do it themselves."""
        settings = [_sampling(x) for x in requests]
        tokenizer = self._llm.get_tokenizer()
        if hasattr(tokenizer, "added_tokens_decoder"):
            return self._llm.generate([_prompt(tokenizer, x) for x in requests], settings, use_tqdm=False)
        more = requests[0].extra.get("chat_template_kwargs")
        return self._llm.chat([_messages(x) for x in requests], settings, use_tqdm=False, chat_template_kwargs=more)


def _messages(request: ChatRequest) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in request.messages]


def _prompt(tokenizer: Any, request: ChatRequest) -> dict[str, list[int]]:
    """A chat as vLLM takes token ids. Raises ValueError, as vLLM does, if there is no template or it fails."""
    if not tokenizer.chat_template:
        raise ValueError("the model has no chat template")
    try:
        chat = render(tokenizer, _messages(request), **(request.extra.get("chat_template_kwargs") or {}))
    except Exception as error:  # the template is the model's own code
        raise ValueError(f"the chat template failed: {error}") from error
    return {"prompt_token_ids": encode(tokenizer, chat)}


def _sampling(request: ChatRequest) -> Any:
    """The request's settings as vLLM's ``SamplingParams``."""
    from vllm import SamplingParams  # pyright: ignore[reportMissingImports]
    from vllm.sampling_params import StructuredOutputsParams  # pyright: ignore[reportMissingImports]

    settings: dict[str, Any] = {k: v for k, v in request.extra.items() if k != "chat_template_kwargs"}
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    if request.schema is not None:
        settings["structured_outputs"] = StructuredOutputsParams(json=dict(request.schema))
    logprobs = request.top_logprobs or None
    return SamplingParams(max_tokens=request.max_tokens, seed=request.seed, logprobs=logprobs, **settings)


def _reply(output: Any) -> ChatReply:
    """A ``RequestOutput`` as a reply."""
    answer = output.outputs[0]
    steps = list(zip(answer.token_ids, answer.logprobs or [], strict=False))[-LOGPROB_TAIL:]
    tail = tuple(
        Token(step[token].decoded_token or "", tuple((x.decoded_token or "", x.logprob) for x in step.values()))
        for token, step in steps
    )
    return ChatReply(
        answer.text, answer.finish_reason, None, len(output.prompt_token_ids or ()), len(answer.token_ids), tail
    )


def _refusals() -> tuple[type[Exception], ...]:
    """What vLLM raises for a request that it can't take; older versions raise a ValueError."""
    try:
        from vllm.exceptions import VLLMValidationError  # pyright: ignore[reportMissingImports]
    except ImportError:
        return (ValueError,)
    return (ValueError, VLLMValidationError)


def _why(error: Exception) -> str:
    text = first_line(error)
    return TOO_LONG if any(x in text for x in _LENGTH_WORDS) else f"rejected by vLLM: {text}"
