"""Requests to a chat model, its replies, and the reason where there is no reply."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, TypeAlias

TOO_LONG = "too long for the model"
LOGPROB_TAIL = 32
"""Log-probabilities are kept for the last tokens of a reply, where the verdict is."""


@dataclass(frozen=True)
class ChatRequest:
    """One call: ``messages`` are (role, text). What is None is left out. ``schema`` is a JSON schema that the reply
    must follow, ``top_logprobs`` how many alternatives are wanted for each token, ``extra`` further fields."""

    model: str
    messages: tuple[tuple[str, str], ...]
    temperature: float | None = 0.0
    max_tokens: int | None = None
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    top_logprobs: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The request as an OpenAI-compatible server wants it."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": role, "content": text} for role, text in self.messages],
        }
        optional = {"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed}
        body |= {k: v for k, v in optional.items() if v is not None}
        if self.schema is not None:
            schema = {"name": "reply", "strict": True, "schema": self.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return {**body, **self.extra}

    @cached_property
    def key(self) -> str:
        """32 hex digits that identify the request by its whole content."""
        return sha256(json.dumps(self.body(), sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Token:
    """A token of a reply and the tokens that could have stood there, each with its natural log-probability."""

    text: str
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ChatReply:
    """What a model said. ``finish_reason`` is the server's word: ``stop``, ``length``, ``content_filter``, ...
    ``tail`` holds the last tokens if log-probabilities were asked for; token counts are None where nobody counted."""

    text: str
    finish_reason: str | None = "stop"
    refusal: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tail: tuple[Token, ...] = ()

    def as_row(self) -> dict[str, Any]:
        return {**vars(self), "tail": [vars(x) for x in self.tail]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ChatReply:
        tail = tuple(Token(x["text"], tuple((t, p) for t, p in x["alternatives"])) for x in row["tail"])
        return cls(**{**row, "tail": tail})


@dataclass(frozen=True)
class NoReply:
    """Why there is no reply: the server failed however often it was asked (``unanswered``), it can't take this very
    request (``rejected``), or no more calls are begun (``stopped``)."""

    kind: Literal["unanswered", "rejected", "stopped"]
    reason: str


Outcome: TypeAlias = ChatReply | NoReply
