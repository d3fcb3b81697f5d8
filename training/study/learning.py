"""Did an arm learn? The base's own answers by the log-ratio of the tuned model to the base, beside their rewards.

What a trainer logs doesn't tell: pairs that are learnt twice are ordered rightly by heart, online pairs are new answers
of a policy that moves, and supervised tuning has no pairs. Some answers that the base gave are the same for all arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...harness.store.parquet import read_records, write_records
from ..arms import Arm
from ..config import TrainConfig
from ..records import Candidate, Learned, Prompt, Reward
from ..scorers.base import Rated
from ..scorers.implicit import ImplicitScorer
from ..stages.sample import Say

_PROMPTS, _ANSWERS = 96, 3
_BATCH_TOKENS = 2048


def learned_rewards(config: TrainConfig, arms: Sequence[Arm], say: Say) -> Any:
    """A row per arm and answer: ``arm`` (its name), ``prompt_id``, ``source_id``, ``log_ratio`` (natural, of the whole
    answer, tuned over base) and ``reward``, by the scorer of the arm. What is known of an adapter is kept beside it.

    The answers are up to three of the base to each of up to 96 prompts. None where the base was not sampled, or no
    answers of it were scored for any arm.
    """
    import pandas as pd

    root = Path(config.out or ".")
    scored = [x for x in arms if _rewards(x, root).exists()]
    if config.sample.policy is not None or not scored:
        return None
    return pd.DataFrame([{"arm": x.name, **vars(y)} for x in scored for y in _of_arm(x, config, root, say)])


def _of_arm(arm: Arm, config: TrainConfig, root: Path, say: Say) -> list[Learned]:
    """The rows of one arm, as they were kept or new."""
    file = arm.adapter.parent / "learned.parquet"
    if not file.exists():
        say(f"what {arm.name} learnt ...")
        policy = config.policy
        scorer = ImplicitScorer(
            model=policy.model, revision=policy.revision, adapter=str(arm.adapter), beta=1.0, batch_tokens=_BATCH_TOKENS
        )
        answers = _answers(arm, root)
        try:
            ratios = [ratio for batch in scorer.score([x for x, _ in answers]) for ratio, _ in batch]
        finally:
            scorer.close()
        rows = [
            Learned(x.candidate.prompt_id, x.candidate.source_id, ratio, reward)
            for (x, reward), ratio in zip(answers, ratios, strict=True)
        ]
        write_records(file, Learned, rows)
    return read_records(file, Learned)


def _rewards(arm: Arm, root: Path) -> Path:
    """Rewards of the base's own answers by the arm's scorer."""
    return root / "score" / arm.config.reward_name / "data.parquet"


def _answers(arm: Arm, root: Path) -> list[tuple[Rated, float | None]]:
    """Answers of the base to prompts spread over all, with the arm's rewards."""
    candidates = read_records(root / "sample" / "data.parquet", Candidate)
    prompts = {x.prompt_id: x for x in read_records(root / "sample" / "prompts.parquet", Prompt)}
    ids = list(dict.fromkeys(x.prompt_id for x in candidates))
    wanted = set(ids[:: max(1, len(ids) // _PROMPTS)][:_PROMPTS])
    return [
        (Rated(prompts[x.prompt_id], x), y.reward)
        for x, y in zip(candidates, read_records(_rewards(arm, root), Reward), strict=True)
        if x.kind == "generation" and x.sample < _ANSWERS and x.answer and x.prompt_id in wanted
    ]
