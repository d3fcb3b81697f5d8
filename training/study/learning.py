"""Did an arm learn? The base's own answers by the log-ratio of the tuned model to the base, beside their rewards.

What a trainer logs doesn't tell: pairs that are learnt twice are ordered rightly by heart, online pairs are new answers
of a policy that moves, and supervised tuning has no pairs. Some answers that the base gave are the same for all arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...harness.store.parquet import read_records, write_records
from ..arms import Arm
from ..config import TrainConfig
from ..records import Candidate, Learned, Prompt, Reward
from ..scorers.base import Rated
from ..scorers.implicit import ImplicitScorer
from ..stages.folder import Say, TrainingDirectory

if TYPE_CHECKING:
    import pandas as pd

_PROMPTS, _ANSWERS = 96, 3
_BATCH_TOKENS = 2048


def learned_rewards(config: TrainConfig, arms: Sequence[Arm], say: Say) -> pd.DataFrame | None:
    """A row per arm and answer: ``arm`` (its name in the config) and ``seed``, ``prompt_id``, ``source_id``,
    ``log_ratio`` (natural, of the whole answer, tuned over base) and ``reward``, by the scorer of the arm. The rows of
    an adapter are kept beside it.

    The answers are up to three of the base to each of up to 96 prompts. None where the base was not sampled, or no
    answers of it were scored for any arm.
    """
    import pandas as pd

    at = TrainingDirectory.of(config)
    scored = [x for x in arms if at.score(None, x.config.reward_name).is_sealed]
    if config.sample.policy is not None or not scored:
        return None
    rows = [{"arm": x.family, **vars(y), "seed": x.settings.seed} for x in scored for y in _of_arm(x, config, at, say)]
    return pd.DataFrame(rows)


def _of_arm(arm: Arm, config: TrainConfig, at: TrainingDirectory, say: Say) -> list[Learned]:
    """The rows of one arm, as they were kept or new."""
    file = at.tuned(arm).path / "learned.parquet"
    if not file.exists():
        say(f"what {arm.name} learnt ...")
        policy, adapter = config.policy, str(at.adapter(arm))
        scorer = ImplicitScorer(
            model=policy.model, revision=policy.revision, adapter=adapter, beta=1.0, batch_tokens=_BATCH_TOKENS
        )
        answers = _answers(arm, at)
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


def _answers(arm: Arm, at: TrainingDirectory) -> list[tuple[Rated, float | None]]:
    """Answers of the base to prompts spread over all, with the arm's rewards."""
    candidates = at.sample().read(Candidate)
    rewards = at.score(None, arm.config.reward_name).read(Reward)
    prompts = {x.prompt_id: x for x in read_records(at.sample().path / "prompts.parquet", Prompt)}
    ids = list(dict.fromkeys(x.prompt_id for x in candidates))
    wanted = set(ids[:: max(1, len(ids) // _PROMPTS)][:_PROMPTS])
    return [
        (Rated(prompts[x.prompt_id], x), y.reward)
        for x, y in zip(candidates, rewards, strict=True)
        if x.kind == "generation" and x.sample < _ANSWERS and x.answer and x.prompt_id in wanted
    ]
