"""Supervised fine-tuning of a LoRA adapter: config -> TRL's ``SFTTrainer``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from .config import SftSettings
from .tuner import common_arguments, lora_config, message, train_and_save


def train_sft(base: Path, answers: Sequence[tuple[str, str]], out: Path, settings: SftSettings) -> list[dict[str, Any]]:
    """Tunes an adapter on (prompt, answer), with the loss on the answers; saves it to ``out``, gives the trainer's log.

    ``answers`` must not be empty. Raises ModelError for a run that diverges.
    """
    on_gpu = torch.cuda.is_available()
    rows = [{"prompt": [message("user", x)], "completion": [message("assistant", y)]} for x, y in answers]
    arguments = SFTConfig(
        **common_arguments(settings, out, len(rows), on_gpu),
        max_length=settings.max_length,
        completion_only_loss=True,
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16 if on_gpu else torch.float32),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=lora_config(settings),
    )
    return train_and_save(trainer, out)
