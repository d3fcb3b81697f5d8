"""Builds croco-nano from seeds: tokenizer, base, and the packaged SFT adapter.

The base is stored as float16 to keep the package small, and the adapter is trained on the base as it is stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml

from ...harness import registry
from ...harness.languages import LANGUAGES
from .base import encode, train_base
from .tokenizer import train_tokenizer

_TOKENIZER_DOCUMENTS = 120_000


def read_recipe(path: Path | None = None) -> dict[str, Any]:
    """The packaged recipe, or another one in the same form."""
    text = path.read_text(encoding="utf-8") if path else (files(__package__) / "recipe.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def build_base(recipe: dict[str, Any], out: Path, say: Callable[[str], None]) -> None:
    """Writes tokenizer and base model to ``out``; everything follows from the recipe and its seed."""
    seed = recipe["seed"]
    corpus = registry.load("corpora", recipe["corpus"])()
    shares = {x: recipe["shares"][x] for x in LANGUAGES if x in recipe["shares"]}
    documents = list(corpus.base_documents(shares, recipe["passes"], seed))
    say(f"{len(documents):,} documents in {len(shares)} languages")
    texts = (f"{x.prompt}\n{x.answer}" for x in documents[:_TOKENIZER_DOCUMENTS])
    tokenizer = train_tokenizer(texts, **recipe["tokenizer"])
    data = encode(documents, tokenizer, prompt_loss=True)
    say(f"{sum(data['length']):,} tokens, vocabulary {len(tokenizer):,}")
    model = train_base(data, tokenizer, recipe["model"], recipe["base"], out, seed)
    say(f"{sum(x.numel() for x in model.parameters()):,} parameters trained")
    model.to(torch.float16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    _name_model(out, "croco-nano")


def _name_model(folder: Path, name: str) -> None:
    """Leaves no path of the machine that built it in the shipped files."""
    for file in (folder / "config.json", folder / "tokenizer_config.json"):
        settings = json.loads(file.read_text(encoding="utf-8"))
        settings.pop("_name_or_path", None)
        settings.pop("name_or_path", None)
        file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
