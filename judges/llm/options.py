"""The options of judge ``llm``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ...harness.config.server_config import Address, Budget, Price, VariableName
from ...harness.config.strict import JsonObject, Strict

NEUTRAL = frozenset(
    {
        *("base_url", "api_key_env", "timeout", "max_concurrency", "max_retries", "price", "budget"),
        "allow_self_judging",
    }
)
"""Options that can't change a verdict."""


Text = Annotated[str, Field(min_length=1)]


class LlmOptions(Strict):
    """What is asked of which model, how its verdict is read, and what may be spent. Documented in docs/judges.md."""

    model: Text
    engine: Literal["server", "vllm"] = "server"
    base_url: Address | None = None
    api_key_env: VariableName | None = None
    temperature: float | None = Field(0.0, ge=0, le=2)
    max_tokens: int | None = Field(1024, ge=1)
    orders: Literal["both", "random"] = "both"
    ties: bool = True
    verdict: Literal["json", "tag"] = "json"
    logprobs: bool = False
    prompt_language: Literal["answer", "english"] = "answer"
    system_role: bool = True
    rubric: Text | None = None
    criteria: Annotated[list[Text], Field(min_length=1)] | None = None
    reasks: int = Field(2, ge=0, le=10)
    max_answer_chars: int | None = Field(None, ge=100)
    seed: int | None = Field(None, ge=0)
    extra: JsonObject = {}
    engine_options: JsonObject = {}
    timeout: float = Field(120.0, gt=0)
    max_concurrency: int = Field(64, ge=1, le=1000)
    max_retries: int = Field(8, ge=0, le=50)
    price: Price | None = None
    budget: Budget | None = None
    allow_self_judging: bool = False

    @model_validator(mode="after")
    def _fit_together(self) -> LlmOptions:
        if self.engine == "server" and self.base_url is None:
            raise ValueError("base_url is missing: the address of a server, such as http://127.0.0.1:8000/v1")
        if self.engine == "vllm" and (self.base_url or self.api_key_env):
            raise ValueError("engine vllm runs in this process: it has no base_url and no api_key_env")
        if self.engine == "server" and self.engine_options:
            raise ValueError("engine_options are for engine vllm; fields of a request go into extra")
        if self.budget and self.budget.money is not None and self.price is None:
            raise ValueError("a budget in money needs a price: {input: X, output: Y} per million tokens")
        return self
