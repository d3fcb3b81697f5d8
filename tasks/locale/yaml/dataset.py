"""Functions the YAML tasks of ``locale`` name: their documents, and exact match after folding."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

# lm-eval reads this file by its path, so there is no package to be relative to.
from croco_eval.tasks.locale.items import build_items, is_accepted  # pyright: ignore[reportMissingImports]
from datasets import Dataset

FEW_SHOT_POOL = 16


def load(family: str, language: str = "en", size: int = 100, seed: int = 0, **_: Any) -> dict[str, Dataset]:
    """Documents of a family in a language: ``size`` evaluation items, and tuning items for few-shot examples."""
    return {
        "evaluation": Dataset.from_list([asdict(x) for x in build_items(family, language, size, seed)]),
        "tuning": Dataset.from_list([asdict(x) for x in build_items(family, language, FEW_SHOT_POOL, seed, "tuning")]),
    }


def exact_match(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """1.0 if the answer equals an accepted one after folding."""
    return {"exact_match": float(is_accepted(results[0], doc["accepted"]))}
