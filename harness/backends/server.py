"""Backend ``openai``: a model behind an OpenAI-compatible server. Its weights are the server's; here it is its address
and its name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..api.backend import Chunk, Message, ModelSpec
from ..api.records import GenerationRequest, LikelihoodRequest, Response
from ..calls.engine import Caller
from ..calls.ledger import Ledger
from ..calls.messages import ChatReply, ChatRequest, NoReply
from ..calls.server import ServerEngine
from ..config.server_config import ApiKey, ServerSettings, SystemServer
from ..errors import ModelError, ServerError, UserError
from .text import find_stop


class ServerBackend:
    """A model behind an OpenAI-compatible server. Raises UserError without an address, or if the key isn't set."""

    def __init__(self, spec: ModelSpec, log: Callable[[str], None]) -> None:
        if spec.server is None or spec.ledger is None:
            raise UserError(f"model {spec.path!r}: backend openai needs the address of a server (server: base_url).")
        self.model, self.server, self._ledger_path = spec.path, spec.server, spec.ledger
        self._key = ApiKey.from_environment(spec.server.api_key_env)
        self._opened: tuple[Ledger, ServerEngine] | None = None

    def engine(self, adapter: Path | None) -> ServedModel:
        """The server's model. Raises UserError for an adapter: a server names those that it has as models."""
        if adapter is not None:
            raise UserError(f"backend openai has no adapters; give the server's name for {str(adapter)!r} as `model`.")
        return ServedModel(self)

    @cached_property
    def calls(self) -> tuple[Ledger, ServerEngine]:
        """The ledger and the calls in flight."""
        ledger = Ledger(self._ledger_path, f"model {self.model}", self.server.price, self.server.budget)
        fields = {x: getattr(self.server, x) for x in ServerSettings.model_fields if x != "model"}
        settings = ServerSettings(model=self.model, **fields)
        self._opened = ledger, ServerEngine(settings, self._key, ledger, lambda key, reply: None)
        return self._opened

    def close(self) -> None:
        """Breaks off calls in flight."""
        if self._opened:
            ledger, engine = self._opened
            engine.close()
            ledger.close()


class ServedModel:
    """The system: whatever the server answers under the model's name. Prompts are conversations as JSON, for the server
    applies the chat template."""

    def __init__(self, backend: ServerBackend) -> None:
        self._backend = backend

    @property
    def max_length(self) -> int:
        return self._backend.server.max_length

    @property
    def tokenizer_name(self) -> str:
        return self._backend.model.replace("/", "__")

    def chat(self, messages: Sequence[Message], continue_final: bool = False) -> str:
        """The messages as JSON. Raises ModelError where an answer is to be gone on with: servers begin their own."""
        if continue_final:
            raise ModelError(
                f"{self._where} can't go on with an answer that others have begun, as some tasks want it; leave the "
                "suite out for this system, or run the model with backend hf or vllm."
            )
        return json.dumps(list(messages), ensure_ascii=False)

    def loglikelihoods(self, requests: Sequence[LikelihoodRequest], done: frozenset[int]) -> Iterator[Chunk]:
        """Raises ModelError: chat servers tell nothing of texts that they did not write."""
        raise ModelError(
            f"{self._where} gives no log-likelihoods, which multiple-choice tasks are scored by; leave their suites "
            "out, or run the model with backend hf or vllm."
        )

    def generate(self, requests: Sequence[GenerationRequest], done: frozenset[int]) -> Iterator[Chunk]:
        """Answers as they come, many calls in flight; one call per request, because `n` answers of one call have one
        seed. Identical requests in flight are one call.

        Raises what ended the calls, or ServerError if some requests got no answer, after all other answers.
        """
        ledger, engine = self._backend.calls
        work = ((i, self._request(x)) for i, x in enumerate(requests) if i not in done)
        unanswered: Counter[str] = Counter()
        for outcomes in Caller(engine).ask(work):
            chunk: Chunk = []
            for place, outcome in outcomes:
                if isinstance(outcome, NoReply) and outcome.kind != "rejected":
                    unanswered[outcome.reason] += 1
                else:
                    chunk.append((place, _response(outcome, requests[place].stop)))
            ledger.sync()
            if chunk:
                yield chunk
        if unanswered:
            raise ServerError(
                f"{self._where} left {unanswered.total():,} requests unanswered ({unanswered.most_common(1)[0][0]}); "
                "all other answers are kept: run the same command again to ask for the rest."
            )

    def _request(self, x: GenerationRequest) -> ChatRequest:
        """What is neutral is left out, for not every server knows every field. Stop strings are sent only where they
        can't end the reasoning: the answer is cut here."""
        further: dict[str, Any] = {}
        if x.temperature:
            further["top_p"] = x.top_p
        if x.top_k:
            further["top_k"] = x.top_k
        if x.repetition_penalty != 1:
            further["repetition_penalty"] = x.repetition_penalty
        if x.stop and self._backend.server.sends_stop:
            further["stop"] = list(x.stop)
        return ChatRequest(
            model=self._backend.model,
            messages=tuple((m["role"], m["content"]) for m in json.loads(x.prompt)),
            temperature=x.temperature,
            max_tokens=x.max_new_tokens,
            seed=x.seed if x.temperature else None,
            extra={**further, **self._backend.server.extra},
        )

    @property
    def _where(self) -> str:
        server: SystemServer = self._backend.server
        return f"the server of model {self._backend.model!r} ({server.base_url})"


def _response(outcome: ChatReply | NoReply, stop: Sequence[str]) -> Response:
    """A reply as an answer, up to the first stop string after its reasoning, whatever the server made of those; a
    refusal in the server's own field is what the model said."""
    if isinstance(outcome, NoReply):
        return Response(finish_reason=f"rejected: {outcome.reason}")
    text, n_tokens = outcome.text or outcome.refusal or "", outcome.tokens_out or 0
    if place := find_stop(text, stop):
        return Response(text=text[: place[0]], finish_reason="stop", n_tokens=n_tokens)
    return Response(text=text, finish_reason=outcome.finish_reason, n_tokens=n_tokens)
