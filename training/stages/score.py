"""Scoring: a reward per candidate. Another scorer is another column; nothing is sampled again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ...harness import registry
from ...harness.run.progress import Progress
from ...harness.store.fingerprint import digest
from ..config import ScorerConfig
from ..records import Candidate, Prompt, Reward
from .folder import Stage

Outcome = tuple[float | None, str | None]
"""(reward, None), or (None, why there is none)."""

Outcomes = Iterator[list[Outcome]]


@dataclass(frozen=True)
class Rated:
    """A candidate with the prompt it answers."""

    prompt: Prompt
    candidate: Candidate


class Scorer(Protocol):
    """Gives rewards: higher is better. A class that takes its options, registered in ``croco_eval.scorers``."""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that can change a reward."""
        ...

    def score(self, rows: Sequence[Rated], done: int = 0) -> Outcomes:
        """The outcome of each row from position ``done`` on, in order, in batches of any size.

        The rows before it have theirs already; they are there because a reward may depend on other rows. May be called
        again with other rows. Raises ModelError or DataError for what keeps all rows from being scored.
        """
        ...

    def close(self) -> None:
        """Frees what was loaded."""
        ...


def make_scorer(config: ScorerConfig) -> Scorer:
    """A scorer from its section of the config. Raises UserError for unknown names and options."""
    kind = config.scorer or config.name
    registry.find("scorers", kind)
    return registry.load("scorers", kind)(**config.options)


def score(
    scorer: Scorer, name: str, prompts: Sequence[Prompt], candidates: Sequence[Candidate], stage: Stage,
    progress: Progress,
) -> None:  # fmt: skip
    """Scores what is not scored yet, in the candidates' order. A reward that is no finite number is unscored."""
    fingerprint = {
        **{f"scorer.{k}": v for k, v in scorer.identity.items()},
        "candidates": digest([asdict(x) for x in candidates]),
    }
    if stage.enter(fingerprint):
        return
    by_id = {x.prompt_id: x for x in prompts}
    log = stage.log("rewards")
    try:
        known = [Reward(**x) for x in log.rows()]
        progress.begin(f"score · {name}")
        progress.answers(len(known), len(candidates))
        all_rows = [Rated(by_id[x.prompt_id], x) for x in candidates]
        for batch in scorer.score(all_rows, len(known)) if len(known) < len(candidates) else ():
            scored = candidates[len(known) : len(known) + len(batch)]
            rows = [_reward(x, *outcome) for x, outcome in zip(scored, batch, strict=True)]
            log.append(asdict(x) for x in rows)
            known += rows
            progress.answers(len(batch), 0)
        progress.end()
    finally:
        log.close()
        scorer.close()
    if len(known) != len(candidates):
        raise RuntimeError(f"scorer {name!r} gave {len(known)} rewards for {len(candidates)} candidates")
    stage.finish(Reward, known, {"scorer": name, "unscored": sum(x.reward is None for x in known)})


def _reward(candidate: Candidate, value: float | None, unscored: str | None) -> Reward:
    if value is not None and not math.isfinite(value):
        value, unscored = None, f"the reward is {value}"
    return Reward(candidate.prompt_id, candidate.sample, value, unscored)
