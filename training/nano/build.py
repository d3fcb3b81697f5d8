"""Builds croco-nano from seeds: tokenizer, base, the packaged SFT adapter, and the reward model.

The base is stored as float16 to keep the package small; adapter and reward model are trained on the base as it is
stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from ...harness import registry
from ...harness.errors import UserError
from ...harness.text.languages import LANGUAGES
from .base import encode, new_model, train
from .packed import keep_adapter, keep_head
from .tokenizer import train_tokenizer

_TOKENIZER_DOCUMENTS = 120_000


def read_recipe(path: Path | None = None) -> dict[str, Any]:
    """The packaged recipe, or another one in the same form."""
    file = path or files("croco_eval.training.nano") / "recipe.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def build_base(recipe: dict[str, Any], out: Path, say: Callable[[str], None]) -> None:
    """Writes tokenizer and base model to ``out``; everything follows from the recipe and its seed.

    A stage goes on from the model that the stage before left on the disk, as it is stored there.
    """
    passes = 0
    for number, stage in enumerate(recipe["base"]):
        build_stage(recipe, number, passes, out, say)
        passes += stage["passes"]


def build_stage(recipe: dict[str, Any], number: int, passes_before: int, out: Path, say: Callable[[str], None]) -> None:
    """One stage of the base's training; the first one also makes the tokenizer."""
    stage, seed = recipe["base"][number], recipe["seed"] + number
    corpus = registry.load("corpora", recipe["corpus"])()
    shares = {x: recipe["shares"][x] for x in LANGUAGES if x in recipe["shares"]}
    documents = list(corpus.base_documents(shares, stage["passes"], recipe["seed"] + passes_before))
    say(f"stage {number + 1}: {len(documents):,} documents in {len(shares)} languages")
    if number == 0:
        texts = (f"{x.prompt}\n{x.answer}" for x in documents[:_TOKENIZER_DOCUMENTS])
        tokenizer = train_tokenizer(texts, **recipe["tokenizer"])
        model = new_model(tokenizer, recipe["model"], seed)
    else:
        tokenizer = AutoTokenizer.from_pretrained(out)
        model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    data = encode(documents, tokenizer, stage["prompt_loss"])
    say(f"{sum(data['length']):,} tokens, vocabulary {len(tokenizer):,}, {model.num_parameters():,} parameters")
    train(model, tokenizer, data, stage["training"], out, seed)
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    _name_model(out)


def build_reward(recipe: dict[str, Any], base: Path, out: Path, say: Callable[[str], None]) -> None:
    """Writes the reward model to ``out``: the base with a head of one logit, from preferences in one language. Beside
    it, in a folder with ``-head`` in its name, what the package holds of it."""
    from ..config import RewardSettings
    from ..stages.prompts import read_preference_pairs
    from ..trainers.reward import train_reward

    settings = RewardSettings(seed=recipe["seed"], **recipe["reward"])
    if settings.preferences is None:
        raise UserError("the recipe's section reward has no preferences.")
    rows = read_preference_pairs(settings.preferences, settings.seed)
    say(f"{len(rows):,} preferences")
    log = train_reward(base, [(x.prompt, x.chosen, x.rejected) for x in rows], out, settings)
    say(f"reward loss {log[-1]['loss']:.3f}, accuracy {log[-1]['accuracy']:.3f} in training")
    AutoModelForSequenceClassification.from_pretrained(out, dtype=torch.float16).save_pretrained(out)
    _name_model(out)
    (out / "training_args.bin").unlink()
    keep_head(out, out.with_name(f"{out.name}-head"))


def _name_model(folder: Path) -> None:
    """Leaves no path of the machine that built it in the shipped files."""
    for file in (folder / "config.json", folder / "tokenizer_config.json"):
        settings = json.loads(file.read_text(encoding="utf-8"))
        settings.pop("_name_or_path", None)
        settings.pop("name_or_path", None)
        file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def build_sft(recipe: dict[str, Any], base: Path, out: Path, say: Callable[[str], None]) -> None:
    """Writes the SFT adapter to ``out``: good answers about the tuning split, in the recipe's languages."""
    from ..config import SftSettings
    from ..trainers.sft import train_sft

    settings = dict(recipe["sft"])
    corpus = registry.load("corpora", recipe["corpus"])()
    documents = list(corpus.tuning_documents(tuple(settings.pop("languages")), recipe["seed"]))
    say(f"{len(documents):,} tuning documents")
    answers = [(x.prompt, x.answer) for x in documents]
    log = train_sft(base, answers, out, SftSettings(seed=recipe["seed"], **settings))
    say(f"SFT loss {log[-1]['loss']:.3f}")
    keep_adapter(out, out)
    for other in out.iterdir():
        if not other.name.startswith("adapter_"):
            other.unlink()
