"""What scorers share that ask a causal language model how likely a text is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ...harness.api.backend import Engine, ModelSpec
from ...harness.api.records import NO_CONTINUATION, LikelihoodRequest, Response
from ...harness.backends.text import encode_pairs, render_chat
from ...harness.config.strict import Strict
from ...harness.errors import ModelError
from ...harness.models.sources import ModelSource
from ...harness.text.encoding import RenderedChat, render

AT_ONCE = 512
"""Texts whose likelihoods are computed together, in batches of similar length."""

Text = tuple[str, str]
"""A context and its continuation."""


class CausalOptions(Strict):
    """A causal language model of the transformers library, and how it runs."""

    model: str = Field(min_length=1)
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    batch_tokens: int = Field(8192, ge=64)


class CausalModel:
    """A causal language model that is loaded when the first text comes, with the adapters that will be asked for."""

    def __init__(self, source: ModelSource, options: CausalOptions, adapters: Sequence[Path] = ()) -> None:
        self.source = source
        o = options
        self._spec = ModelSpec(source.path, source.revision, o.dtype, o.device, o.batch_tokens, tuple(adapters))
        self._engines: dict[Path | None, Engine] = {}

    def likelihoods(self, texts: Sequence[Text], adapter: Path | None = None) -> list[Response | None]:
        """Natural-log likelihood of each continuation after its context; None where the two together are longer than
        the model's window. One that can't be had (NaN, no tokens) has ``logprob`` None. Raises ModelError."""
        engine = self._engine(adapter)
        spoken = [i for i, (_, continuation) in enumerate(texts) if continuation.strip()]
        encoded = zip(spoken, encode_pairs(self._backend.tokenizer, [texts[i] for i in spoken], 1 << 30), strict=True)
        fitting = [i for i, (head, tail) in encoded if len(head) + len(tail) <= engine.max_length]
        requests = [LikelihoodRequest(str(i), 0, *texts[i]) for i in fitting]
        empty = Response(finish_reason=NO_CONTINUATION)
        found: list[Response | None] = [None if continuation.strip() else empty for _, continuation in texts]
        for chunk in engine.loglikelihoods(requests, frozenset()):
            for place, response in chunk:
                found[fitting[place]] = response
        return found

    def question(self, message: str) -> str:
        """A user's message as a prompt, by the chat template. Raises ModelError."""
        return render_chat(self._backend.tokenizer, [_user(message)], False, self.source.path)

    def turn(self, message: str, answer: str, ended: bool) -> Text | None:
        """A user's message and the answer to it by the chat template, with the end of the turn if the answer
        ``ended``; None if the template writes the message in another way once an answer follows.

        Raises ModelError if there is no template or it fails.
        """
        context = self.question(message)
        messages = [_user(message), {"role": "assistant", "content": answer}]
        try:
            whole = render(self._backend.tokenizer, messages, ask=False, go_on=not ended)
        except Exception as error:  # the template is the model's own code
            raise ModelError(f"the chat template of {self.source.path!r} failed: {error}") from error
        return (context, RenderedChat(whole[len(context) :])) if whole.startswith(context) else None

    @property
    def tokenizer(self) -> Any:
        """The model's own."""
        return self._backend.tokenizer

    @property
    def window(self) -> int:
        """Tokens that the model reads at most."""
        return self._engine(None).max_length

    def active(self) -> AbstractContextManager[Any]:
        """The model itself, for inference without adapters. Raises ModelError, saying what to lower, when memory runs
        out inside."""
        return self._backend.active(None)

    def close(self) -> None:
        """Frees the model's memory."""
        self._engines.clear()
        if "_backend" in self.__dict__:
            self._backend.close()
            del self._backend

    def _engine(self, adapter: Path | None) -> Engine:
        if adapter not in self._engines:
            if adapter and self._backend.tokenizer_of(adapter) is not self._backend.tokenizer:
                raise ModelError(
                    f"adapter {str(adapter)!r} brings a tokenizer or a chat template that differs from its base's, so "
                    "the two would not read the same text; remove these files from its folder."
                )
            self._engines[adapter] = self._backend.engine(adapter)
        return self._engines[adapter]

    @cached_property
    def _backend(self):
        from ...harness.backends.hf import HfBackend

        return HfBackend(self._spec, lambda message: None)


def _user(message: str) -> dict[str, str]:
    return {"role": "user", "content": message}
