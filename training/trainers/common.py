"""What the gateways to TRL's trainers share: arguments, LoRA, checkpoints, the log, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from ...harness.backends.memory import enough_memory_or
from ...harness.errors import ModelError
from ..config import TunerSettings
from .drift import Drift
from .log import write_log
from .tokenizer import careful

_EXPLODED = 1e4
"""A gradient norm beyond this, before clipping, is no training any more."""


def common_arguments(settings: TunerSettings, out: Path, rows: int) -> dict[str, Any]:
    """Arguments that all trainers take. On a CPU float32; on a GPU bfloat16 with gradient checkpointing."""
    on_gpu = torch.cuda.is_available()
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


def load_base(base: Path) -> Any:
    """A causal model to tune: float32 on a CPU, bfloat16 on a GPU."""
    return AutoModelForCausalLM.from_pretrained(base, dtype=training_dtype())


def load_tokenizer(base: Path) -> Any:
    """The base's tokenizer, which encodes as everything else does."""
    return careful(AutoTokenizer.from_pretrained(base))


def training_dtype() -> torch.dtype:
    """Weights' type while they are tuned."""
    return torch.bfloat16 if torch.cuda.is_available() else torch.float32


def lora_config(settings: TunerSettings, task_type: str = "CAUSAL_LM", **more: Any) -> LoraConfig:
    """The LoRA adapter of the settings."""
    lora = settings.lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type=task_type,
        **more,
    )


def tune(
    trainer: Callable[..., Any], base: Path, rows: list[dict[str, Any]], arguments: Any, settings: TunerSettings,
    out: Path, probe: Sequence[tuple[str, str]], **more: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """Tunes a LoRA adapter of ``base`` with one of TRL's trainers, as ``train_and_save`` does. ``more`` is for the
    trainer."""
    made = trainer(
        model=load_base(base),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=load_tokenizer(base),
        peft_config=lora_config(settings),
        **more,
    )
    return train_and_save(made, out, probe)


def train_and_save(trainer: Any, out: Path, probe: Sequence[tuple[str, str]] = ()) -> list[dict[str, Any]]:
    """Trains from the last checkpoint in ``out``, or from the start; saves the adapter and gives the log.

    The log is written to ``out``'s parent while it grows. ``probe``: (prompt, answer) of the reference model on which
    the divergence from it is measured. Raises ModelError when loss or gradient are no numbers any more, when the
    gradient explodes, and when memory runs out; checkpoints stay.
    """
    trainer.remove_callback(PrinterCallback)
    if probe:
        trainer.add_callback(Drift(trainer.processing_class, probe))
    trainer.add_callback(_KeepLog(out.parent))
    trainer.add_callback(_StopWhenDiverging())
    checkpoint = get_last_checkpoint(str(out)) if out.is_dir() else None
    with enough_memory_or(
        "training ran out of memory: lower max_length or per_device_train_batch_size (and raise "
        "gradient_accumulation_steps in return), or spread it over more GPUs with --accelerate."
    ):
        trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(str(out))
    return [x for x in trainer.state.log_history if "loss" in x]


class _KeepLog(TrainerCallback):
    """Writes the log after every entry, so that a run can be watched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Writes all entries so far; in a run of several processes the first one does."""
        if state.is_world_process_zero:
            write_log(self._folder, [x for x in state.log_history if "loss" in x])


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


def conversation(prompt: str) -> list[dict[str, str]]:
    """A prompt as a conversation."""
    return [{"role": "user", "content": prompt}]


def reply(answer: str) -> list[dict[str, str]]:
    """An answer as the rest of a conversation."""
    return [{"role": "assistant", "content": answer}]
