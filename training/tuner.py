"""What the gateways to TRL's trainers share: arguments, LoRA, checkpoints, and what a diverging run is told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from ..harness.errors import ModelError
from .config import TunerSettings

_EXPLODED = 1e4
"""A gradient norm beyond this, before clipping, is no training any more."""


def common_arguments(settings: TunerSettings, out: Path, rows: int, on_gpu: bool) -> dict[str, Any]:
    """Arguments that all trainers take. On a CPU float32; on a GPU bfloat16 with gradient checkpointing."""
    batch = settings.per_device_train_batch_size * settings.gradient_accumulation_steps
    steps = max(1, math.ceil(rows / batch) * settings.num_train_epochs)
    return {
        "output_dir": str(out),
        "learning_rate": getattr(settings, "learning_rate", None),
        "num_train_epochs": settings.num_train_epochs,
        "per_device_train_batch_size": settings.per_device_train_batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "lr_scheduler_type": settings.lr_scheduler_type,
        "warmup_steps": round(settings.warmup_ratio * steps),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "gradient_checkpointing": on_gpu,
        "save_strategy": "steps" if settings.save_steps else "no",
        "save_steps": settings.save_steps or 500,
        "report_to": [],
        "logging_steps": max(1, round(steps / 50)),
        "disable_tqdm": True,
    }


def lora_config(settings: TunerSettings) -> LoraConfig:
    """The LoRA adapter of the settings."""
    lora = settings.lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type="CAUSAL_LM",
    )


def train_and_save(trainer: Any, out: Path) -> list[dict[str, Any]]:
    """Trains from the last checkpoint in ``out``, or from the start; saves the adapter and gives the log.

    Raises ModelError when loss or gradient are no numbers any more or the gradient explodes; checkpoints stay.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_StopWhenDiverging())
    checkpoint = get_last_checkpoint(str(out)) if out.is_dir() else None
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(str(out))
    return [x for x in trainer.state.log_history if "loss" in x]


class _StopWhenDiverging(TrainerCallback):
    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Looks at each logged loss and gradient norm."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is None:
                continue
            if not math.isfinite(float(value)) or (name == "grad_norm" and float(value) > _EXPLODED):
                kept = get_last_checkpoint(args.output_dir)
                raise ModelError(
                    f"training diverges at step {state.global_step} ({name} {float(value):g}): lower the learning "
                    f"rate; the last good checkpoint is {Path(kept).name if kept else 'none (set save_steps)'}."
                )


def message(role: str, content: str) -> dict[str, str]:
    """One turn of a conversation."""
    return {"role": role, "content": content}
