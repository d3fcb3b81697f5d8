"""Supervised fine-tuning of a LoRA adapter: config -> TRL's ``SFTTrainer``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from ..harness.records import Document

LORA_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class SftSettings:
    """The study's settings (arXiv 2605.26293, its scripts) are the defaults; batch sizes are per device."""

    learning_rate: float = 2e-4
    num_train_epochs: float = 1.0
    per_device_train_batch_size: int = 1
    gradient_accumulation_steps: int = 8
    lr_scheduler_type: str = "cosine"
    warmup_ratio: float = 0.05
    weight_decay: float = 0.01
    max_length: int = 4096
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    seed: int = 42


def train_sft(base: Path, documents: Sequence[Document], out: Path, settings: SftSettings) -> dict[str, float]:
    """Tunes an adapter on prompts and answers (loss on the answers), saves it to ``out``, gives the trainer's metrics.

    On a CPU in float32; on a GPU in bfloat16 with gradient checkpointing. ``documents`` must not be empty.
    """
    on_gpu = torch.cuda.is_available()
    rows = [{"prompt": _message("user", x.prompt), "completion": _message("assistant", x.answer)} for x in documents]
    steps = max(1, round(len(rows) / settings.per_device_train_batch_size / settings.gradient_accumulation_steps))
    arguments = SFTConfig(
        output_dir=str(out),
        learning_rate=settings.learning_rate,
        num_train_epochs=settings.num_train_epochs,
        per_device_train_batch_size=settings.per_device_train_batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        lr_scheduler_type=settings.lr_scheduler_type,
        warmup_steps=round(settings.warmup_ratio * steps * settings.num_train_epochs),
        weight_decay=settings.weight_decay,
        max_length=settings.max_length,
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=not on_gpu,
        bf16=on_gpu,
        gradient_checkpointing=on_gpu,
        completion_only_loss=True,
        save_strategy="no",
        report_to=[],
        logging_steps=20,
        disable_tqdm=True,
    )
    lora = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(LORA_MODULES),
        task_type="CAUSAL_LM",
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16 if on_gpu else torch.float32),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=lora,
    )
    metrics = trainer.train().metrics
    trainer.save_model(str(out))
    return metrics


def _message(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]
