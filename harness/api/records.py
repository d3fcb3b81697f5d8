"""The data contracts: what passes between the stages. Words as in docs/design.md.

Everything that is stored in a run directory is one of these, one column per field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    likelihood; ``text`` and ``finish_reason`` for a generation: ``stop``, ``length``, a server's own word, or, without
    a text, why there is none."""

    text: str | None = None
    finish_reason: str | None = None
    logprob: float | None = None
    is_greedy: bool | None = None
    n_tokens: int = 0


@dataclass(frozen=True)
class Generation:
    """A system's answer to one request of an item, as it is stored."""

    item_id: str
    index: int
    prompt: str
    continuation: str | None
    text: str | None
    finish_reason: str | None
    logprob: float | None
    is_greedy: bool | None
    n_tokens: int


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


@dataclass(frozen=True)
class AnswerPair:
    """What a judge is shown: one item and the answers of two systems to it."""

    item: Item
    language: str
    candidate: str
    reference: str


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


@dataclass(frozen=True)
class Document:
    """A prompt and an answer for training. ``flaw`` is ``good`` or the kind of flaw the answer was given."""

    language: str
    family: str
    flaw: str
    prompt: str
    answer: str
