"""Supervised fine-tuning of a LoRA adapter: config -> TRL's ``SFTTrainer``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from ..config import SftSettings
from .common import common_arguments, conversation, reply, tune


def train_sft(
    base: Path,
    answers: Sequence[tuple[str, str]],
    out: Path,
    settings: SftSettings,
    probe: Sequence[tuple[str, str]] = (),
) -> list[dict[str, Any]]:
    """Tunes an adapter on (prompt, answer), with the loss on the answers; saves it to ``out``, gives the trainer's log.

    ``answers`` must not be empty; ``probe`` as in ``train_and_save``. Raises ModelError for a run that diverges.
    """
    rows = [{"prompt": conversation(x), "completion": reply(y)} for x, y in answers]
    arguments = SFTConfig(
        **common_arguments(settings, out, len(rows)),
        max_length=settings.max_length,
        completion_only_loss=True,
    )
    return tune(SFTTrainer, base, rows, arguments, settings, out, probe)
