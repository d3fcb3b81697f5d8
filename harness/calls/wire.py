"""Reads HTTP responses of chat servers: the body as a reply, the headers as seconds to wait."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from .messages import LOGPROB_TAIL, ChatReply, Token

Value = TypeVar("Value")


@dataclass
class Failure(Exception):
    """A try that may be repeated. ``status`` is the ledger's word for it; ``too_much``: the server has too many calls;
    ``nonsense``: it answered, but not as the protocol says; ``wait``: seconds that it asks for."""

    status: str
    reason: str
    too_much: bool = False
    nonsense: bool = False
    wait: float | None = None


@dataclass
class Rejection(Exception):
    """A request that this server will never answer."""

    status: str
    reason: str


def read_reply(text: str) -> ChatReply:
    """The reply in the body of a chat completion. Raises Failure if it is not what the protocol says."""
    try:
        body = json.loads(text)
        choices = body["choices"]
        if not choices:
            raise Failure("no choices", "a reply without choices", nonsense=True)
        choice, usage = choices[0], body.get("usage") or {}
        message = choice["message"]
        tokens = (choice.get("logprobs") or {}).get("content") or []
        return ChatReply(
            _as(str, message.get("content")) or "",
            _as(str, choice.get("finish_reason")),
            _as(str, message.get("refusal")),
            _as(int, usage.get("prompt_tokens")),
            _as(int, usage.get("completion_tokens")),
            tuple(_token(x) for x in tokens[-LOGPROB_TAIL:]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise Failure("not a reply", "a reply that is not the protocol's JSON", nonsense=True) from None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` (seconds or a date); None if neither can be read."""
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds:
            return max(0.0, float(milliseconds) / 1000)
        return max(0.0, float(text)) if text else None
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text or "") - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _as(kind: type[Value], value: Any) -> Value | None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value


def _token(row: dict[str, Any]) -> Token:
    """A token and its alternatives, the chosen one among them."""
    alternatives = {x["token"]: float(x["logprob"]) for x in (row, *(row.get("top_logprobs") or ()))}
    return Token(row["token"], tuple(alternatives.items()))
