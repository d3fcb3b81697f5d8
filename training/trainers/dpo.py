"""Direct preference optimisation of a LoRA adapter: config -> TRL's ``DPOTrainer``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from ..config import DpoSettings
from ..records import Pair
from .common import common_arguments, conversation, reply, tune


def train_dpo(
    base: Path, pairs: Sequence[Pair], out: Path, settings: DpoSettings, probe: Sequence[tuple[str, str]] = ()
) -> list[dict[str, Any]]:
    """Tunes an adapter on pairs, saves it to ``out``, gives the trainer's log: loss, reward accuracy, margin, ...

    The reference is the base with the adapter off. Raises ModelError for a run that diverges.
    """
    rows = preference_rows([(x.prompt, x.chosen, x.rejected) for x in pairs])
    arguments = DPOConfig(
        **common_arguments(settings, out, len(rows)),
        beta=settings.beta,
        loss_type=list(settings.loss_type),
        loss_weights=None if settings.loss_weights is None else list(settings.loss_weights),
        label_smoothing=settings.label_smoothing,
        max_length=settings.max_length,
    )
    return tune(DPOTrainer, base, rows, arguments, settings, out, probe)


def preference_rows(pairs: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """(prompt, chosen, rejected) as TRL's trainers of preferences take them."""
    return [{"prompt": conversation(x), "chosen": reply(y), "rejected": reply(z)} for x, y, z in pairs]
