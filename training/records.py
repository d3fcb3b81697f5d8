"""What passes between the stages of training, one column per field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
class Candidate:
    """One of the answers to a training prompt. ``sample`` counts those of a prompt; ``policy`` names who answered."""

    prompt_id: str
    source_id: str
    language: str
    sample: int
    answer: str
    finish_reason: str | None
    kind: CandidateKind
    policy: str


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
