"""The data contracts: what passes between the stages. Words as in docs/design.md.

Everything that is stored in a run directory is one of these, one column per field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from ..text.answers import Answer

MetricKind = Literal["binary", "bounded", "continuous"]
Verdict = Literal["candidate", "tie", "reference"]
Order = Literal["candidate_first", "reference_first", "unordered"]

VERDICT_VALUE: dict[Verdict, float] = {"candidate": 1.0, "tie": 0.5, "reference": 0.0}
"""The preference that a verdict stands for."""


@dataclass(frozen=True)
class Item:
    """One question. ``task`` is the part of the suite it belongs to; ``metadata`` is JSON: answers, facts, source."""

    item_id: str
    source_id: str
    task: str
    prompt: str
    metadata: str = "{}"


@dataclass(frozen=True)
class LikelihoodRequest:
    """How likely is ``continuation`` after ``context``? ``index`` tells requests of one item apart."""

    item_id: str
    index: int
    context: str
    continuation: str


@dataclass(frozen=True)
class GenerationRequest:
    """Continue ``prompt``. Temperature 0 is greedy decoding; else the answer depends on ``seed`` alone, not on
    what else stands in the batch."""

    item_id: str
    index: int
    prompt: str
    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Response:
    """What a system answered to one request: ``logprob`` (natural log, summed over tokens) and ``is_greedy`` for a
    likelihood, or why there is none in ``finish_reason``; ``text`` and ``finish_reason`` for a generation: ``stop``,
    ``length``, a server's own word, or, without a text, why there is none. ``n_cut``: tokens of the prompt that the
    model did not see, because it was too long."""

    text: str | None = None
    finish_reason: str | None = None
    logprob: float | None = None
    is_greedy: bool | None = None
    n_tokens: int = 0
    n_cut: int = 0


NO_CONTINUATION = "the continuation has no tokens of its own"
"""Why there is no likelihood of an empty text, or of one that a tokenizer joins to the context without a trace."""


def usable_likelihood(request: LikelihoodRequest, answer: Response) -> Response:
    """The answer if it is a likelihood; else one without, whose ``finish_reason`` says why: an empty continuation is as
    likely as nothing, and what is no finite number is no likelihood."""
    if not request.continuation.strip() or (answer.logprob is not None and answer.n_tokens == 0):
        return Response(finish_reason=NO_CONTINUATION, n_cut=answer.n_cut)
    if answer.logprob is None:
        return replace(answer, finish_reason=answer.finish_reason or "the model gave no likelihood", is_greedy=None)
    if not math.isfinite(answer.logprob):
        reason = f"the model gave no number for a likelihood ({answer.logprob})"
        return replace(answer, finish_reason=reason, logprob=None, is_greedy=None)
    return answer


@dataclass(frozen=True)
class Generation:
    """A system's answer to one request of an item, as it is stored; ``n_cut`` as in ``Response``."""

    item_id: str
    index: int
    prompt: str
    continuation: str | None
    text: str | None
    finish_reason: str | None
    logprob: float | None
    is_greedy: bool | None
    n_tokens: int
    n_cut: int = 0


@dataclass(frozen=True)
class Score:
    """One metric of one item; ``value`` is None where ``unscored`` says why. The ``primary`` metric is the one that
    stands for the item in its suite's mean. ``gold`` and ``predicted`` serve metrics that are no mean of items."""

    item_id: str
    source_id: str
    task: str
    metric: str
    kind: MetricKind
    primary: bool
    value: float | None
    unscored: str | None = None
    gold: str | None = None
    predicted: str | None = None

    def __post_init__(self) -> None:
        """A value is a finite number or there is none, and then a reason."""
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "unscored", self.unscored or f"the metric gave no finite number ({self.value})")
            object.__setattr__(self, "value", None)
        if self.value is None and not self.unscored:
            object.__setattr__(self, "unscored", "no value and no reason were given")


@dataclass(frozen=True)
class AnswerPair:
    """What a judge is shown: one item and the answers of two systems to it."""

    item: Item
    language: str
    candidate: str
    reference: str

    @property
    def answers(self) -> tuple[Answer, Answer]:
        """The candidate's answer and the reference's, as a reader sees them."""
        return Answer(self.item.item_id, self.candidate), Answer(self.item.item_id, self.reference)


@dataclass(frozen=True)
class Judgment:
    """One judge call. ``verdict`` is None where ``unscored`` says why; ``details`` is JSON.

    ``preference`` in [0, 1], for the candidate over the reference, is there if the judge gives more than a verdict;
    else the verdict stands for 1 (candidate), 0.5 (tie) or 0 (reference).
    """

    item_id: str
    source_id: str
    task: str
    order: Order
    verdict: Verdict | None
    unscored: str | None = None
    details: str = "{}"
    preference: float | None = None


INCOMPLETE = "an order was not judged"
"""Why an item is unscored of which the judge has not judged every order that was planned."""


@dataclass(frozen=True)
class Preference:
    """What a judge thinks of one item, its orders joined: ``value`` in [0, 1], for the candidate over the reference, or
    why it is ``unscored``."""

    value: float | None
    unscored: str | None = None


def preference_of(judgments: Sequence[Judgment], n_orders: int) -> Preference:
    """The preference of one item: the mean over its ``n_orders`` planned orders; unscored as soon as one of them is, or
    is not there. A judgment counts as its graded preference if it has a finite one, else as its verdict."""
    if reason := next((x.unscored for x in judgments if x.unscored), None):
        return Preference(None, reason)
    values = [x for x in map(_value, judgments) if x is not None]
    return Preference(fmean(values)) if len(values) >= n_orders else Preference(None, INCOMPLETE)


def _value(judgment: Judgment) -> float | None:
    if judgment.preference is not None and math.isfinite(judgment.preference):
        return judgment.preference
    return None if judgment.verdict is None else VERDICT_VALUE[judgment.verdict]


@dataclass(frozen=True)
class Signature:
    """How a value came about, as named parts: suite, version, digests of data and prompts, seed, judge, ...

    Values are compared only where their signatures agree. ``str()`` gives ``a:1|b:2``, as it stands in the CSV files;
    ``parse`` reads that form from a file, and nothing else takes a signature apart.
    """

    parts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Signature:
        """From names and values, in their order."""
        return cls(tuple((k, str(v)) for k, v in parts.items()))

    @classmethod
    def parse(cls, text: str) -> Signature:
        """From its written form."""
        pairs = (x.partition(":") for x in re.split(r"\|(?=[^|:]*:)", text)) if text else ()
        return cls(tuple((k, v) for k, _, v in pairs))

    def __str__(self) -> str:
        return "|".join(f"{k}:{v}" for k, v in self.parts)

    def __add__(self, other: Signature) -> Signature:
        """The parts of both, one after the other."""
        return Signature((*self.parts, *other.parts))

    @staticmethod
    def joint(signatures: Iterable[Signature]) -> Signature:
        """The signature, or for several (one per language) what they share, with ``*`` where they differ."""
        distinct = list(dict.fromkeys(signatures))
        if len(distinct) <= 1:
            return distinct[0] if distinct else Signature()
        others = [dict(x.parts) for x in distinct[1:]]
        return Signature(tuple((k, v if all(x.get(k) == v for x in others) else "*") for k, v in distinct[0].parts))

    def conflict(self, other: Signature) -> str | None:
        """Where this one differs from another, as ``chat (no, yes)``; None if they are the same."""
        if self == other:
            return None
        a, b = dict(self.parts), dict(other.parts)
        names = [x for x in dict.fromkeys((*a, *b)) if a.get(x) != b.get(x)]
        return ", ".join(f"{x} ({a.get(x, 'nothing')}, {b.get(x, 'nothing')})" for x in names)
