"""GRPO of a LoRA adapter: config -> TRL's ``GRPOTrainer``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from ...harness.errors import UserError
from ..config import GrpoSettings
from ..records import Prompt
from .common import common_arguments, tune
from .online_dpo import RewardFunction, as_trl_reward, prompt_rows


def train_grpo(
    base: Path, prompts: Sequence[Prompt], reward: RewardFunction, out: Path, settings: GrpoSettings,
    probe: Sequence[tuple[str, str]] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Tunes an adapter on groups of the policy's own answers; saves it, gives the trainer's log.

    Raises UserError for groups that a batch can't hold, ModelError for a run that diverges.
    """
    batch = settings.per_device_train_batch_size * settings.gradient_accumulation_steps
    if batch % settings.num_generations:
        raise UserError(
            f"grpo: num_generations {settings.num_generations} must divide per_device_train_batch_size x "
            f"gradient_accumulation_steps ({batch})."
        )
    rows = prompt_rows(prompts)
    arguments = GRPOConfig(
        **common_arguments(settings, out, len(rows) * settings.num_generations),
        beta=settings.beta,
        num_generations=settings.num_generations,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_completion_length=settings.max_new_tokens,
    )
    return tune(GRPOTrainer, base, rows, arguments, settings, out, probe, reward_funcs=as_trl_reward(reward))
