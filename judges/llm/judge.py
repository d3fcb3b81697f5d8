"""Judge ``llm``: a language model prefers one of two answers, over an OpenAI-compatible server or offline vLLM."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from ...harness.api.judge import NO_ANSWER, Case, Judge, JudgeContext, Ruling, Rulings
from ...harness.api.records import AnswerPair, Judgment, Order, Verdict
from ...harness.calls.engine import Caller, ChatEngine
from ...harness.calls.ledger import Ledger
from ...harness.calls.messages import ChatReply, ChatRequest, NoReply, Outcome
from ...harness.calls.replies import ReplyLog
from ...harness.config.server_config import ApiKey, ServerSettings
from ...harness.config.strict import parse_options
from ...harness.errors import UserError
from ...harness.store.run_directory import RunDirectory
from .options import NEUTRAL, LlmOptions
from .prompt import load_prompt
from .render import prompt_for, random_order, render
from .verdict import Reading, read_verdict, verdict_schema

VERSION = "1"
_TOP_LOGPROBS = 10
_WARMTH = 0.5  # temperature at which a reply that could not be read is asked for again: a greedy one would come again


@dataclass
class _Hearing:
    """A case on its way: how often it was asked, and what the last reply said."""

    case: Case
    asked: int = 1
    reading: Reading | None = None


class LlmJudge(Judge):
    """Judges any item. Options: ``LlmOptions``."""

    description = "a language model behind an OpenAI-compatible server, or offline vLLM"
    neutral_options = NEUTRAL

    def __init__(self, /, **options: Any) -> None:
        self._options = parse_options(LlmOptions, options, "judge 'llm'")
        self.all_options = self._options.model_dump(mode="json")

    def bind(self, context: JudgeContext) -> None:
        super().bind(context)
        if not self._options.allow_self_judging:
            for system, names in context.models.items():
                if _is_one_of(self._options.model, names):
                    raise UserError(
                        f"judge {context.name!r} is the model of system {system!r} ({self._options.model}), and models "
                        "prefer their own answers; name another one, or set allow_self_judging: true for this judge."
                    )
        for language in context.languages:
            prompt_for(language, self._options)

    def check(self) -> None:
        ApiKey.from_environment(self._options.api_key_env)
        if self._options.engine == "vllm" and find_spec("vllm") is None:
            raise UserError("engine vllm needs vLLM: pip install 'croco-eval[vllm]'.")

    @property
    def seed(self) -> int:
        """The judge's own seed, or the run's."""
        return self.context.seed if self._options.seed is None else self._options.seed

    @property
    def identity(self) -> dict[str, Any]:
        return self._identity(self.context.languages)

    def identity_in(self, language: str) -> dict[str, Any]:
        """Without the prompts of other languages."""
        return self._identity((language,))

    def orders(self, pair: AnswerPair) -> tuple[Order, ...]:
        if self._options.orders == "both":
            return ("candidate_first", "reference_first")
        return (random_order(self.seed, pair.item.item_id),)

    def judge(self, cases: Iterable[Case], run: RunDirectory, tell: Callable[[str], None]) -> Rulings:
        with ExitStack() as stack:
            ledger = Ledger(run.ledger, self.context.name, self._options.price, self._options.budget)
            stack.callback(ledger.close)
            replies = ReplyLog(run.judge_folder(self.context.name) / "replies.jsonl")
            stack.callback(replies.close)
            engine = _LazyEngine(lambda: self._engine(ledger, replies))
            stack.callback(engine.close)
            hearings = Caller(engine, replies).ask(self._hearings(cases), self._can_be_read, self._ask_again)
            stack.callback(hearings.close)
            for batch in hearings:
                ledger.sync()
                tell(_spend(ledger))
                yield [self._ruling(hearing, outcome) for hearing, outcome in batch]
            replies.discard()

    def _engine(self, ledger: Ledger, replies: ReplyLog) -> ChatEngine:
        o = self._options
        if o.engine == "vllm":
            from ...harness.calls.offline import VllmEngine

            return VllmEngine(o.model, o.engine_options, ledger, replies.add)
        from ...harness.calls.server import ServerEngine

        settings = ServerSettings.model_validate({k: getattr(o, k) for k in ServerSettings.model_fields})
        return ServerEngine(settings, ApiKey.from_environment(o.api_key_env), ledger, replies.add)

    def _hearings(self, cases: Iterable[Case]) -> Iterator[tuple[_Hearing, ChatRequest]]:
        for case in cases:
            yield _Hearing(case), self._request(case, 1)

    def _request(self, case: Case, asked: int) -> ChatRequest:
        o = self._options
        warm = asked > 1 and o.temperature is not None
        return ChatRequest(
            model=o.model,
            messages=render(case.pair, case.order, o, self.seed),
            temperature=max(o.temperature or 0.0, _WARMTH) if warm else o.temperature,
            max_tokens=o.max_tokens,
            seed=self.seed + asked - 1,
            schema=verdict_schema(o.ties) if o.verdict == "json" else None,
            top_logprobs=_TOP_LOGPROBS if o.logprobs else 0,
            extra=o.extra,
        )

    def _can_be_read(self, hearing: _Hearing, outcome: Outcome) -> bool:
        """Reads a reply; whether it holds a verdict."""
        if isinstance(outcome, NoReply):
            return False
        pair = hearing.case.pair
        hearing.reading = read_verdict(outcome, self._options, (pair.candidate, pair.reference))
        return hearing.reading.winner is not None

    def _ask_again(self, hearing: _Hearing) -> ChatRequest | None:
        """The next try, with another seed, after a reply that can't be read."""
        if hearing.reading is None or hearing.asked > self._options.reasks:
            return None
        hearing.asked += 1
        return self._request(hearing.case, hearing.asked)

    def _ruling(self, hearing: _Hearing, outcome: Outcome) -> Ruling:
        case, item = hearing.case, hearing.case.pair.item
        details: dict[str, Any] = {"asked": hearing.asked}
        preference: float | None = None
        verdict: Verdict | None = None
        if isinstance(outcome, ChatReply):
            reading = hearing.reading or Reading(None, "not read")
            unscored = reading.unscored
            verdict = _verdict(reading, case.order)
            preference = _preference(reading, case.order)
            details |= {"reply": outcome.text, "finish_reason": outcome.finish_reason}
        elif outcome.kind == "rejected":
            unscored = outcome.reason
        else:
            unscored = f"{NO_ANSWER}: {outcome.reason}"
        kept = json.dumps(details, ensure_ascii=False)
        return Ruling(
            case, Judgment(item.item_id, item.source_id, item.task, case.order, verdict, unscored, kept, preference)
        )

    def _identity(self, languages: Iterable[str]) -> dict[str, Any]:
        prompts = sorted({prompt_for(x, self._options).language for x in languages})
        return {
            "judge": "llm",
            "version": VERSION,
            **self._options.model_dump(mode="json", exclude=set(NEUTRAL)),
            "seed": self.seed,
            "prompts": {x: load_prompt(x).digest for x in prompts},
        }


class _LazyEngine:
    """An engine that is made when the first request is put to it: a judge with nothing to ask loads nothing."""

    def __init__(self, make: Callable[[], ChatEngine]) -> None:
        self._make = make
        self._made: ChatEngine | None = None

    @cached_property
    def _engine(self) -> ChatEngine:
        self._made = self._make()
        return self._made

    @property
    def room(self) -> int:
        return self._made.room if self._made else 1

    @property
    def error(self) -> Any:
        return self._made.error if self._made else None

    def submit(self, requests: list[ChatRequest]) -> None:
        self._engine.submit(requests)

    def gather(self) -> list[tuple[ChatRequest, Outcome]]:
        return self._engine.gather()

    def close(self) -> None:
        if self._made:
            self._made.close()


def _verdict(reading: Reading, order: Order) -> Verdict | None:
    if reading.winner in (None, "tie"):
        return reading.winner
    return "candidate" if (reading.winner == "A") == (order == "candidate_first") else "reference"


def _preference(reading: Reading, order: Order) -> float | None:
    if reading.preference_a is None:
        return None
    return reading.preference_a if order == "candidate_first" else 1 - reading.preference_a


def _spend(ledger: Ledger) -> str:
    failed = f", {ledger.failures:,} failed tries (last: {ledger.last_failure})" if ledger.failures else ""
    return f"{ledger.spent()}{failed}"


def _is_one_of(model: str, names: Iterable[str]) -> bool:
    """Whether a judge's model is called like one of a system's; a name without its owner counts too."""
    own = model.rstrip("/").lower()
    return any(own == x or (("/" in own) != ("/" in x) and own.split("/")[-1] == x.split("/")[-1]) for x in names)
