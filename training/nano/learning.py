"""Did an arm learn? The base's own answers by the log-ratio of the tuned model to the base, beside their rewards.

What a trainer logs doesn't tell: pairs that are learnt twice are ordered rightly by heart, online pairs are new answers
of a policy that moves, and supervised tuning has no pairs. Some answers that the base gave are the same for all arms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...harness.models import find_model
from ...harness.records import Response
from ...harness.store import read_records, write_records
from ..arms import Arm
from ..config import TrainConfig
from ..records import Candidate, Learned, Prompt, Reward
from ..scorers.likelihood import CausalModel, CausalOptions

_PROMPTS, _ANSWERS = 96, 3
_BATCH_TOKENS = 2048


def learned_rewards(config: TrainConfig, arms: Sequence[Arm], say: Callable[[str], None]) -> Any:
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
    options = CausalOptions(model=config.policy.model, revision=config.policy.revision, batch_tokens=_BATCH_TOKENS)
    model = CausalModel(find_model(options.model, options.revision), options)
    try:
        return pd.DataFrame([{"arm": x.name, **vars(y)} for x in scored for y in _of_arm(x, root, model, say)])
    finally:
        model.close()


def _of_arm(arm: Arm, root: Path, model: CausalModel, say: Callable[[str], None]) -> list[Learned]:
    """The rows of one arm, as they were kept or new."""
    file = arm.adapter.parent / "learned.parquet"
    if not file.exists():
        say(f"what {arm.name} learnt ...")
        asked = [(x, text) for x in _answers(arm, root) if (text := model.turn(*x.asked))]
        tuned, base = (model.likelihoods([text for _, text in asked], x) for x in (arm.adapter, None))
        rows = [
            Learned(x.prompt_id, x.source_id, _difference(ours, theirs), x.reward)
            for (x, _), ours, theirs in zip(asked, tuned, base, strict=True)
        ]
        write_records(file, Learned, rows)
    return read_records(file, Learned)


def _difference(ours: Response | None, theirs: Response | None) -> float | None:
    if ours is None or theirs is None or ours.logprob is None or theirs.logprob is None:
        return None
    return ours.logprob - theirs.logprob


def _rewards(arm: Arm, root: Path) -> Path:
    """Rewards of the base's own answers by the arm's scorer."""
    return root / "score" / arm.config.reward_name / "data.parquet"


@dataclass(frozen=True)
class _Answer:
    """An answer of the base. ``asked``: the prompt, the answer, and whether it came to its end."""

    prompt_id: str
    source_id: str
    asked: tuple[str, str, bool]
    reward: float | None


def _answers(arm: Arm, root: Path) -> list[_Answer]:
    """Answers of the base to prompts spread over all, with the arm's rewards."""
    candidates = read_records(root / "sample" / "data.parquet", Candidate)
    prompts = {x.prompt_id: x.prompt for x in read_records(root / "sample" / "prompts.parquet", Prompt)}
    ids = list(dict.fromkeys(x.prompt_id for x in candidates))
    wanted = set(ids[:: max(1, len(ids) // _PROMPTS)][:_PROMPTS])
    return [
        _Answer(x.prompt_id, x.source_id, (prompts[x.prompt_id], x.answer, x.finish_reason != "length"), y.reward)
        for x, y in zip(candidates, read_records(_rewards(arm, root), Reward), strict=True)
        if x.kind == "generation" and x.sample < _ANSWERS and x.answer and x.prompt_id in wanted
    ]
