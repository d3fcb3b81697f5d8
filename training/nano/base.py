"""Trains croco-nano's base model from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    DataCollatorForSeq2Seq,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainingArguments,
    set_seed,
)

from ...harness.api.corpus import Document


def encode(documents: Iterable[Document], tokenizer: Any, prompt_loss: bool) -> Dataset:
    """Documents as chats: ``input_ids``, ``labels`` (-100 on the prompt unless ``prompt_loss``) and ``length``."""
    rows = list(documents)
    prompts = [[{"role": "user", "content": x.prompt}] for x in rows]
    heads = tokenizer.apply_chat_template(prompts, add_generation_prompt=True, tokenize=False)
    head_ids = tokenizer(list(heads), add_special_tokens=False)["input_ids"]
    answer_ids = tokenizer([x.answer for x in rows], add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    ids = [[*head, *answer, end] for head, answer in zip(head_ids, answer_ids, strict=True)]
    labels = [
        list(whole) if prompt_loss else [-100] * len(head) + whole[len(head) :]
        for head, whole in zip(head_ids, ids, strict=True)
    ]
    return Dataset.from_dict({"input_ids": ids, "labels": labels, "length": [len(x) for x in ids]})


def new_model(tokenizer: Any, settings: dict[str, Any], seed: int) -> LlamaForCausalLM:
    """An untrained Llama for this tokenizer; ``settings`` are LlamaConfig's."""
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **settings,
    )
    return LlamaForCausalLM(config)


def train(model: Any, tokenizer: Any, data: Dataset, settings: dict[str, Any], out: Path, seed: int) -> None:
    """Trains a model in place, once over ``data``, on the GPU if there is one; ``settings`` are TrainingArguments'."""
    arguments = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=1,
        seed=seed,
        data_seed=seed,
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        save_strategy="no",
        report_to=[],
        logging_steps=50,
        disable_tqdm=True,
        **settings,
    )
    collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100, pad_to_multiple_of=8)
    Trainer(model=model, args=arguments, train_dataset=data, data_collator=collator).train()
