"""Settings of a model server: address, limits, price, budget. A config names the variable of the key, not the key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from ..errors import UserError
from .strict import JsonObject, Strict

_MASK = "***"
_SHORTEST_SECRET = 8  # below, a "key" is a placeholder such as EMPTY


class Price(Strict):
    """Money per million tokens, in whatever currency the budget is in."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def of(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


class Budget(Strict):
    """What may be spent: ``money``, which needs a price, or ``tokens``, those sent and those received together."""

    money: float | None = Field(None, gt=0)
    tokens: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_of_them(self) -> Budget:
        if (self.money is None) == (self.tokens is None):
            raise ValueError("a budget is either {money: X} or {tokens: N}")
        return self


def _plain_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(x.isspace() for x in url):
        raise ValueError("must be an address such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user, password or query; api_key_env names the variable that holds the key")
    return url.rstrip("/")


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise ValueError("must be the name of an environment variable, in capitals, not the key itself")
    return name


Address = Annotated[str, AfterValidator(_plain_address)]
VariableName = Annotated[str, AfterValidator(_variable)]


class ServerAccess(Strict):
    """How an OpenAI-compatible server is called. ``timeout`` is seconds for one try of a call, from its begin to its
    last byte."""

    base_url: Address
    api_key_env: VariableName | None = None
    timeout: float = Field(120.0, gt=0)
    max_concurrency: int = Field(64, ge=1, le=1000)
    max_retries: int = Field(8, ge=0, le=50)
    price: Price | None = None


class ServerSettings(ServerAccess):
    """A model behind an OpenAI-compatible server."""

    model: str = Field(min_length=1)


class SystemServer(ServerAccess):
    """A server that answers as a system. ``max_length`` is what its model can see at once, in tokens; ``extra`` are
    further fields of every request. ``send_stop``: stop strings go to the server, which may then stop within reasoning;
    None is yes where ``extra`` switches reasoning off."""

    NEUTRAL: ClassVar[frozenset[str]] = frozenset(
        {"api_key_env", "timeout", "max_concurrency", "max_retries", "price", "budget"}
    )
    """Settings that can't change an answer."""

    timeout: float = Field(600.0, gt=0)
    budget: Budget | None = None
    max_length: int = Field(8192, ge=2)
    extra: JsonObject = {}
    send_stop: bool | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that can change an answer."""
        unset = {"send_stop"} if self.send_stop is None else set()
        return self.model_dump(mode="json", exclude=set(self.NEUTRAL) | unset)

    @property
    def sends_stop(self) -> bool:
        """Whether stop strings go to the server."""
        template: Any = self.extra.get("chat_template_kwargs")
        switched_off = isinstance(template, Mapping) and template.get("enable_thinking") is False
        return switched_off if self.send_stop is None else self.send_stop

    @model_validator(mode="after")
    def _budget_has_a_price(self) -> SystemServer:
        if self.budget and self.budget.money is not None and self.price is None:
            raise ValueError("a budget in money needs a price: {input: X, output: Y} per million tokens")
        return self


class ApiKey:
    """A secret from the environment. It is shown nowhere: neither as text, nor in what ``scrub`` gives."""

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def from_environment(cls, name: str | None) -> ApiKey | None:
        """The key in the variable, or None if no variable is named. Raises UserError if the variable is not set."""
        if name is None:
            return None
        value = os.environ.get(name, "").strip()
        if not value:
            raise UserError(f"api_key_env names the environment variable {name}, which is not set.")
        return cls(value)

    def reveal(self) -> str:
        return self._value

    def scrub(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self._value, _MASK) if len(self._value) >= _SHORTEST_SECRET else text

    def __repr__(self) -> str:
        return f"ApiKey({_MASK})"
