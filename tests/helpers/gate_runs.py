"""Small run directories for the gate and for power: two systems, right or wrong on the same items, and their chat."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from croco_eval.harness.api.records import Generation, Item
from croco_eval.harness.store.files import read_json, write_json
from croco_eval.harness.store.parquet import write_records
from croco_eval.harness.store.run_directory import RunDirectory

from helpers.hand_built import both_orders, score, write_run

DANISH = "Dette er et ganske almindeligt svar på dansk om vejret og byen, {}."
GERMAN = "Das ist eine ganz gewöhnliche Antwort auf Deutsch über das Wetter und die Stadt, {}."


def answers(n: int, right: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < right).astype(float)


def with_losses(values: np.ndarray, losses: int) -> np.ndarray:
    """The same answers, with so many of the right ones wrong."""
    worse = values.copy()
    worse[np.flatnonzero(values)[:losses]] = 0
    return worse


def quiz_run(
    folder: Path,
    tuned: Mapping[str, Sequence[float | None]],
    base: Mapping[str, Sequence[float | None]],
    gaps: Sequence[tuple[str, str, str]] = (),
    languages: Sequence[str] | None = None,
) -> Path:
    """A structured suite ``quiz``: language -> right (1), wrong (0) or unscored (None), item by item."""
    scores = {
        (system, "quiz", language): [
            score(language, f"m{i}", "month", "acc", "binary", None if x is None else float(x))
            for i, x in enumerate(values)
        ]
        for system, of in (("base", base), ("tuned", tuned))
        for language, values in of.items()
    }
    return write_run(
        folder,
        systems=["base", "tuned"],
        suites={"quiz": "structured"},
        languages=list(languages or base),
        scores=scores,
        gaps=gaps,
    )


def chat_run(folder: Path, texts: Mapping[str, Sequence[str]], verdicts: Sequence[str | None] = ()) -> Path:
    """An open suite ``chat`` in Danish: system -> its answers; ``verdicts`` of the judge, the same in both orders."""
    judgments = [j for i, v in enumerate(verdicts) for j in both_orders("da", f"c{i}", v, v)]
    write_run(
        folder,
        systems=list(texts),
        suites={"chat": "open"},
        languages=["da"],
        scores={(system, "chat", "da"): [] for system in texts},
        judgments={("tuned", "chat", "da"): judgments} if judgments else None,
    )
    for system, of_system in texts.items():
        cell = RunDirectory(folder).cell(system, "chat", "da").path
        items = [Item(f"c{i}/da", f"c{i}", "talk", "?") for i in range(len(of_system))]
        generations = [Generation(f"c{i}/da", 0, "?", None, x, "stop", None, None, 1) for i, x in enumerate(of_system)]
        write_records(cell / "items.parquet", Item, items)
        write_records(cell / "generations.parquet", Generation, generations)
    return folder


def resign(folder: Path, system: str, suite: str, language: str, signature: str) -> None:
    """Gives a cell another signature, as another version of its data would."""
    file = RunDirectory(folder).cell(system, suite, language).path / "cell.json"
    write_json(file, {**read_json(file), "signature": signature})


def spend(folder: Path, *prices: float | None) -> None:
    """A ledger with these calls."""
    rows = [{"caller": "llm", "outcome": "ok", "price": x} for x in prices]
    (folder / "ledger.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows), encoding="utf-8")
