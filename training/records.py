"""What passes between the stages of training, one column per field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..harness.store.parquet import LONG_TEXT

CandidateKind = Literal["generation", "gold"]


@dataclass(frozen=True)
class Prompt:
    """A training prompt. ``source_id`` is shared by its translations; ``metadata`` is JSON, with ``facts`` where the
    facts of a good answer are known; ``gold`` a good answer, where there is one."""

    prompt_id: str
    source_id: str
    language: str
    prompt: str
    gold: str | None = None
    metadata: str = "{}"


@dataclass(frozen=True)
class Translation:
    """A source prompt in one language. ``prompt`` is None where ``dropped`` says why; ``answer`` is what the
    translator said, ``attempts`` how often it was asked. ``in_language`` is None where that can't be told, or was not
    looked at."""

    prompt_id: str
    source_id: str
    language: str
    source: str
    prompt: str | None
    dropped: str | None
    answer: str | None = None
    in_language: bool | None = None
    attempts: int = 0
    gold: str | None = None
    metadata: str = "{}"


@dataclass(frozen=True)
class Candidate:
    """One of the answers to a training prompt. ``sample`` counts those of a prompt; ``policy`` names who answered;
    ``in_language``: whether the answer is in the prompt's language, None where that can't be told."""

    prompt_id: str
    source_id: str
    language: str
    sample: int
    answer: str = field(metadata=LONG_TEXT)
    finish_reason: str | None
    kind: CandidateKind
    policy: str
    in_language: bool | None = None


@dataclass(frozen=True)
class Reward:
    """A candidate's reward by one scorer, in the candidates' order; None where ``unscored`` says why."""

    prompt_id: str
    sample: int
    reward: float | None
    unscored: str | None = None


@dataclass(frozen=True)
class Pair:
    """Chosen and rejected candidate of a pool. Languages differ only in pools of all languages."""

    source_id: str
    prompt: str
    prompt_language: str
    chosen: str
    rejected: str
    chosen_score: float
    rejected_score: float
    chosen_language: str
    rejected_language: str
    pool_size: int


@dataclass(frozen=True)
class Answered:
    """A prompt and an answer to learn from, or to measure on."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class PreferencePair:
    """A prompt and two answers to it, of which the first is preferred: what a reward model learns from."""

    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Learned:
    """How tuning changed the probability of an answer that the base gave: ``log_ratio``, the natural logarithm of the
    tuned model's probability over the base's; ``reward``, by the scorer it was tuned with. None where there is none."""

    prompt_id: str
    source_id: str
    log_ratio: float | None
    reward: float | None
