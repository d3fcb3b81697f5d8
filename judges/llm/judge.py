"""Judge ``llm``: a language model prefers one of two answers, over an OpenAI-compatible server or offline vLLM."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
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
class _Question:
    """A case that the model is asked about: how often so far, and what its last reply said."""

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
            work = ((_Question(x), self._request(x, 1)) for x in cases)
            if first := next(work, None):
                engine = self._engine(ledger, replies)
                stack.callback(engine.close)
                outcomes = Caller(engine, replies).ask(chain([first], work), self._can_be_read, self._ask_again)
                stack.callback(outcomes.close)
                for batch in outcomes:
                    ledger.sync()
                    tell(_spend(ledger))
                    yield [self._ruling(question, outcome) for question, outcome in batch]
            replies.discard()

    def _engine(self, ledger: Ledger, replies: ReplyLog) -> ChatEngine:
        o = self._options
        if o.engine == "vllm":
            from ...harness.calls.offline import VllmEngine

            return VllmEngine(o.model, o.engine_options, ledger, replies.add)
        from ...harness.calls.server import ServerEngine

        settings = ServerSettings.model_validate({k: getattr(o, k) for k in ServerSettings.model_fields})
        return ServerEngine(settings, ApiKey.from_environment(o.api_key_env), ledger, replies.add, first_alone=True)

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

    def _can_be_read(self, question: _Question, outcome: Outcome) -> bool:
        """Reads a reply; whether it holds a verdict."""
        if isinstance(outcome, NoReply):
            return False
        pair = question.case.pair
        question.reading = read_verdict(outcome, self._options, (pair.candidate, pair.reference))
        return question.reading.winner is not None

    def _ask_again(self, question: _Question) -> ChatRequest | None:
        """The next try, with another seed, after a reply that can't be read."""
        if question.reading is None or question.asked > self._options.reasks:
            return None
        question.asked += 1
        return self._request(question.case, question.asked)

    def _ruling(self, question: _Question, outcome: Outcome) -> Ruling:
        case, item = question.case, question.case.pair.item
        details: dict[str, Any] = {"asked": question.asked}
        preference: float | None = None
        verdict: Verdict | None = None
        if isinstance(outcome, ChatReply):
            reading = question.reading or Reading(None, "not read")
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
