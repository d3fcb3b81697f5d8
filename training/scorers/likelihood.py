"""What scorers share that ask a causal language model how likely a text is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...harness.api.backend import Engine, ModelSpec
from ...harness.api.records import LikelihoodRequest, Response
from ...harness.backends.text import encode_pairs, render_chat
from ...harness.errors import ModelError
from ...harness.models.sources import ModelSource
from ...harness.text.encoding import RenderedChat, render

AT_ONCE = 512
"""Texts whose likelihoods are computed together, in batches of similar length."""

Text = tuple[str, str]
"""A context and its continuation."""


class CausalOptions(BaseModel):
    """A causal language model of the transformers library, and how it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    batch_tokens: int = Field(8192, ge=64)


class CausalModel:
    """A causal language model that is loaded when the first text comes, with the adapters that are asked for."""

    def __init__(self, source: ModelSource, options: CausalOptions) -> None:
        self.source = source
        self._spec = ModelSpec(source.path, source.revision, options.dtype, options.device, options.batch_tokens)
        self._engines: dict[Path | None, Engine] = {}

    def likelihoods(self, texts: Sequence[Text], adapter: Path | None = None) -> list[Response | None]:
        """Natural-log likelihood of each continuation after its context; None where the two together are longer than
        the model's window. Raises ModelError."""
        engine = self._engine(adapter)
        encoded = encode_pairs(self._backend.tokenizer, texts, 1 << 30)
        fitting = [i for i, (head, tail) in enumerate(encoded) if len(head) + len(tail) <= engine.max_length]
        requests = [LikelihoodRequest(str(i), 0, *texts[i]) for i in fitting]
        found: list[Response | None] = [None] * len(texts)
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
            self._engines[adapter] = self._backend.engine(adapter)
        return self._engines[adapter]

    @cached_property
    def _backend(self):
        from ...harness.backends.hf import HfBackend

        return HfBackend(self._spec, lambda message: None)


def _user(message: str) -> dict[str, str]:
    return {"role": "user", "content": message}
