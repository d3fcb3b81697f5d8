"""Online DPO of a LoRA adapter: config -> TRL's ``OnlineDPOTrainer``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

from ..config import OnlineDpoSettings
from ..records import Prompt
from .common import common_arguments, conversation, tune

RewardFunction = Callable[[Sequence[str], Sequence[str]], list[float | None]]
"""Rewards of answers: (prompt ids, answers) -> one each, None for one that can't be scored."""


def train_online_dpo(
    base: Path, prompts: Sequence[Prompt], reward: RewardFunction, out: Path, settings: OnlineDpoSettings,
    probe: Sequence[tuple[str, str]] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Tunes an adapter on answers that the policy gives while it is tuned; saves it, gives the trainer's log.

    An answer without a reward counts as the worst that was seen. Raises ModelError for a run that diverges.
    """
    rows = prompt_rows(prompts)
    arguments = OnlineDPOConfig(
        **common_arguments(settings, out, len(rows)),
        beta=[settings.beta],
        loss_type=settings.loss_type,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=0,
        max_new_tokens=settings.max_new_tokens,
        max_length=settings.max_length,
        missing_eos_penalty=settings.missing_eos_penalty,
    )
    return tune(OnlineDPOTrainer, base, rows, arguments, settings, out, probe, reward_funcs=as_trl_reward(reward))


def prompt_rows(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Prompts as TRL's online trainers take them; ``prompt_id`` comes back to the reward function."""
    return [{"prompt": conversation(x.prompt), "prompt_id": x.prompt_id} for x in prompts]


def as_trl_reward(reward: RewardFunction) -> Callable[..., list[float | None]]:
    """A reward function in TRL's form. TRL counts None as a reward of 0, which may be a good one: the worst reward
    seen so far stands in for it."""
    worst: float | None = None

    def scored(completions: Sequence[Any], prompt_id: Sequence[str], **_: Any) -> list[float | None]:
        nonlocal worst
        found = reward(prompt_id, [x[0]["content"] for x in completions])
        known = [x for x in (worst, *found) if x is not None]
        worst = min(known, default=None)
        return [worst if x is None else x for x in found]

    return scored
