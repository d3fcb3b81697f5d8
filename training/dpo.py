"""Direct preference optimisation of a LoRA adapter: config -> TRL's ``DPOTrainer``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from .config import DpoSettings
from .records import Pair
from .tuner import common_arguments, lora_config, message, train_and_save


def train_dpo(base: Path, pairs: Sequence[Pair], out: Path, settings: DpoSettings) -> list[dict[str, Any]]:
    """Tunes an adapter on pairs, saves it to ``out``, gives the trainer's log: loss, reward accuracy, margin, ...

    The reference is the base with the adapter off. Raises ModelError for a run that diverges.
    """
    rows = [
        {
            "prompt": [message("user", x.prompt)],
            "chosen": [message("assistant", x.chosen)],
            "rejected": [message("assistant", x.rejected)],
        }
        for x in pairs
    ]
    on_gpu = torch.cuda.is_available()
    arguments = DPOConfig(
        **common_arguments(settings, out, len(rows), on_gpu),
        beta=settings.beta,
        loss_type=list(settings.loss_type),
        label_smoothing=settings.label_smoothing,
        max_length=settings.max_length,
    )
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16 if on_gpu else torch.float32),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=lora_config(settings),
    )
    return train_and_save(trainer, out)
