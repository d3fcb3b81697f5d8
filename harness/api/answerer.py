"""The answerer: a task sends its requests to a system through it, and every answer is recorded before it counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from ..store.files import AppendLog
from ..text.encoding import readable
from .backend import Engine
from .records import Generation, GenerationRequest, LikelihoodRequest, Response, usable_likelihood

PROMPT_TOO_LONG = "the prompt is longer than the model's window"
"""How ``Response.finish_reason`` begins where a prompt was refused because it would have been cut."""


class Answerer:
    """Puts a task's requests to a system, and records every answer before it counts.

    Answers recorded earlier are not asked for again. ``truncate``: with ``refuse`` a prompt that had to be cut has no
    answer.
    """

    def __init__(
        self,
        engine: Engine,
        log: AppendLog,
        chat_template: bool,
        generation: dict[str, Any],
        on_answers: Callable[[int, int], None],
        truncate: Literal["cut", "refuse"] = "cut",
    ) -> None:
        self._refuses = truncate == "refuse"
        self._engine, self._log, self._on_answers = engine, log, on_answers
        self.chat_template = chat_template
        self.generation = generation
        self._known = {_key(x): x for x in log.rows()}
        self._asked: dict[tuple[str, str, int], Generation] = {}

    @property
    def tokenizer_name(self) -> str:
        return self._engine.tokenizer_name

    @property
    def max_length(self) -> int:
        """Tokens of prompt and answer that the model can see at once."""
        return self._engine.max_length

    def chat(self, messages: Sequence[dict[str, str]], continue_final: bool = False) -> str:
        """Messages as prompt text, by the model's chat template."""
        return self._engine.chat(messages, continue_final)

    def prompt(self, text: str) -> str:
        """A single user message as prompt text; the text itself for a system without a chat template."""
        return self._engine.chat([{"role": "user", "content": text}]) if self.chat_template else text

    def loglikelihoods(self, requests: Sequence[LikelihoodRequest]) -> list[Response]:
        """Log-likelihoods, in the order of the requests."""
        return self._ask("likelihood", requests, self._engine.loglikelihoods)

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Response]:
        """Generations, in the order of the requests."""
        return self._ask("generation", requests, self._engine.generate)

    @property
    def generations(self) -> list[Generation]:
        """Every answer given in this cell, for the record."""
        return list(self._asked.values())

    @property
    def cut(self) -> str | None:
        """What was cut off, in words; None if every prompt did fit."""
        cut = [x.n_cut for x in self._asked.values() if x.n_cut]
        if not cut:
            return None
        done = "refused" if self._refuses else f"cut by {sum(cut):,} tokens in all"
        return f"{len(cut):,} of {len(self._asked):,} prompts are longer than the model's window and were {done}"

    def _kept(self, request: LikelihoodRequest | GenerationRequest, answer: Response) -> Response:
        """The answer as it is recorded: a likelihood is a number or there is none, and a text can be encoded."""
        if answer.n_cut and self._refuses:
            return Response(finish_reason=f"{PROMPT_TOO_LONG} by {answer.n_cut:,} tokens", n_cut=answer.n_cut)
        return usable_likelihood(request, answer) if isinstance(request, LikelihoodRequest) else _encodable(answer)

    def _ask(self, kind: str, requests: Sequence[Any], method: Callable[..., Any]) -> list[Response]:
        keys = [(kind, x.item_id, x.index) for x in requests]
        answers: list[Response | None] = [
            self._kept(request, _response(self._known[key])) if key in self._known else None
            for key, request in zip(keys, requests, strict=True)
        ]
        done = frozenset(i for i, x in enumerate(answers) if x is not None)
        self._on_answers(len(done), len(requests))
        for chunk in method(requests, done) if len(done) < len(requests) else ():
            new = [(i, self._kept(requests[i], x)) for i, x in chunk if answers[i] is None]
            self._log.append({"kind": kind, "item_id": keys[i][1], "index": keys[i][2], **asdict(x)} for i, x in new)
            for i, x in new:
                answers[i] = x
            self._on_answers(len(new), 0)
        complete = [x for x in answers if x is not None]
        if len(complete) < len(requests):
            raise RuntimeError(
                f"the backend left {len(requests) - len(complete)} of {len(requests)} requests unanswered"
            )
        for key, request, answer in zip(keys, requests, complete, strict=True):
            self._asked[key] = _generation(request, answer)
        return complete


def _encodable(answer: Response) -> Response:
    """The answer with lone surrogates, which no file can hold, replaced."""
    return (
        answer if answer.text is None else replace(answer, text=answer.text.encode("utf-8", "replace").decode("utf-8"))
    )


def _key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["kind"], row["item_id"], row["index"]


def _response(row: dict[str, Any]) -> Response:
    return Response(**{k: v for k, v in row.items() if k not in ("kind", "item_id", "index")})


def _generation(request: Any, answer: Response) -> Generation:
    is_likelihood = isinstance(request, LikelihoodRequest)
    return Generation(
        item_id=request.item_id,
        index=request.index,
        prompt=readable(request.context if is_likelihood else request.prompt),
        continuation=readable(request.continuation) if is_likelihood else None,
        **asdict(answer),
    )
