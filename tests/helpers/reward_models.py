"""Small reward models with random weights, and the packaged tokenizer and chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification


def save_reward_model(folder: Path, tokenizer_of: Path, seed: int = 0, **changes: Any) -> Path:
    """Saves a sequence classifier with one logit, or with some settings of its config changed."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 256,
        "num_labels": 1,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    model = LlamaForSequenceClassification(LlamaConfig(**(settings | changes)))
    with torch.no_grad():
        model.score.weight.normal_(0, 0.3)  # so that rewards are far apart
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
