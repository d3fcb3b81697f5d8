"""Adapters of every kind that PEFT can save, on a tiny random base, far enough from their start to change answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import torch
from peft import LoftQConfig, LoraConfig, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.lora.config import BdLoraConfig, MontecloraConfig
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

MODULES = ["q_proj", "v_proj", "down_proj"]

SHARED: dict[str, dict[str, Any]] = {
    "plain": {},
    "not initialised": {"init_lora_weights": False},
    "gaussian": {"init_lora_weights": "gaussian"},
    "eva": {"init_lora_weights": "eva"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "rslora": {"use_rslora": True},
    "ranks": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
    "own bias": {"lora_bias": True},
    "dora": {"use_dora": True},
    "all linear": {"target_modules": "all-linear"},
    "pattern": {"target_modules": r".*\.(q|v)_proj"},
    "one layer": {"layers_to_transform": [1]},
}
"""LoRA settings, by what they are called here."""

OWN: dict[str, dict[str, Any]] = {
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "mica": {"init_lora_weights": "mica"},
    "biases": {"bias": "all"},
    "biases of its layers": {"bias": "lora_only"},
    "norms": {"modules_to_save": ["norm"]},
    "embeddings": {"modules_to_save": ["embed_tokens"]},
    "output layer": {"modules_to_save": ["lm_head"]},
    "tied": {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "tokens": {"trainable_token_indices": [1, 2, 3]},
    "on embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "on output": {"target_modules": ["q_proj", "lm_head"]},
    "parameters": {"target_modules": ["q_proj"], "target_parameters": ["mlp.down_proj.weight"]},
    "repeated": {"layer_replication": [[0, 2], [1, 3]]},
    "velora": {"velora_config": {"num_groups": 4}},
    "qalora": {"use_qalora": True},
    "monteclora": {"monteclora_config": MontecloraConfig()},
    "bdlora": {
        "use_bdlora": BdLoraConfig(
            target_modules_bd_a=["down_proj"], target_modules_bd_b=["q_proj", "v_proj"], nblocks=2
        )
    },
    "kasa": {"kasa_config": {}},
}

REFUSED: dict[str, dict[str, Any]] = {
    "pissa_niter_4": {"init_lora_weights": "pissa_niter_4"},
    "corda": {"init_lora_weights": "corda"},
    "lora_ga": {"init_lora_weights": "lora_ga"},
    "loftq": {"init_lora_weights": "loftq", "loftq_config": LoftQConfig()},
    "alora": {"alora_invocation_tokens": [5, 6]},
    "arrow": {"arrow_config": {"top_k": 1}},
    "megatron": {"megatron_config": {"a": 1}},
    "classifier": {"task_type": "SEQ_CLS"},
}

_RANKED = ["MISS", "RANDLORA", "VERA", "PVERA", "HIRA", "PSOFT", "PEANUT", "DEFT", "GLORA", "HRA", "LOHA", "LOKR"]
_SETTINGS: dict[str, dict[str, Any]] = {
    "IA3": {"feedforward_modules": ["down_proj"]},
    "LN_TUNING": {"target_modules": ["norm", "input_layernorm"]},
    "ADALORA": {"total_step": 10},
    "TRAINABLE_TOKENS": {"token_indices": [1, 2, 3], "target_modules": None},
    "C3A": {"block_size": 16},
    "VBLORA": {"vector_length": 16, "num_vectors": 8, "target_modules": ["q_proj", "v_proj"]},
    "FOURIERFT": {"n_frequency": 20},
    "WAVEFT": {"n_frequency": 20},
    "BOFT": {"boft_block_size": 4},
    "OFT": {"oft_block_size": 8},
    "ADAPTION_PROMPT": {"adapter_len": 4, "adapter_layers": 2, "target_modules": None},
    "UNILORA": {"theta_d_length": 64},
    "OSF": {"effective_rank": 4},
    "ROAD": {"group_size": 16},
    "GRALORA": {"r": 4, "gralora_k": 2},
    "SHIRA": {"r": 2},
    **{
        x: {"r": 4}
        for x in [
            "MISS",
            "RANDLORA",
            "VERA",
            "PVERA",
            "HIRA",
            "PSOFT",
            "PEANUT",
            "DEFT",
            "GLORA",
            "HRA",
            "LOHA",
            "LOKR",
        ]
    },
}


def save_base(folder: Path, tokenizer_of: Path, **settings: Any) -> Path:
    """A Llama with random weights and three layers, and a tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), **shape, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id, **settings
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(folder: Path, base: Path, kind: str = "LORA", **settings: Any) -> Path:
    """An adapter of ``base`` with random weights; one of LoRA with ``settings``, or of another kind."""
    model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(3)
    adapted = get_peft_model(model, config_of(kind, **settings))
    for parameter in adapted.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data += 0.1 * torch.randn_like(parameter)
    adapted.save_pretrained(folder)
    name_base(folder, base.name)
    return folder


def config_of(kind: str, **settings: Any) -> Any:
    """A config of a kind, with the settings it needs on the tiny base."""
    if kind == "LORA":
        given = {"r": 4, "lora_alpha": 8, "target_modules": MODULES, "task_type": "CAUSAL_LM", **settings}
        return LoraConfig(**given)
    cls = PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(kind)]
    known = set(cls.__dataclass_fields__)
    wanted = {"target_modules": MODULES, "task_type": "CAUSAL_LM", **_SETTINGS.get(kind, {}), **settings}
    return cls(**{k: v for k, v in wanted.items() if k in known and v is not None})


def name_base(folder: Path, name: str, **changes: Any) -> None:
    """Writes the base's name, and other settings, into an adapter's config."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": name, **changes}))
