"""A run whose answers are there, made without any model: what a judge is let loose on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from croco_eval.harness.api.records import Generation, Item, Score
from croco_eval.harness.config.run_config import dump_config, parse_config
from croco_eval.harness.store.files import write_json
from croco_eval.harness.store.run_directory import SCHEMA_VERSION, RunDirectory

Answer = Callable[[str, str, int], str]
"""(system, language, number of the item) -> the system's answer."""


def longer_answers(system: str, language: str, i: int) -> str:
    """The tuned system's answers are longer but for every fourth item."""
    words = 3 if system == "base" else 2 if i % 4 == 3 else 5
    return f"{language} " + f"word{i} " * words


def make_run(
    folder: Path,
    judges: Sequence[Any] = (),
    languages: Sequence[str] = ("en",),
    systems: Sequence[str] = ("base", "tuned"),
    n_items: int = 8,
    answer: Answer = longer_answers,
    model: str = "croco-nano",
) -> RunDirectory:
    """Writes the config, the manifest and the sealed cells of a run over one open suite; the first system is the
    reference."""
    config = {
        "name": "judged",
        "languages": list(languages),
        "systems": [{"name": x, "model": model} for x in systems],
        "suites": ["open"],
        "judges": list(judges),
    }
    run = RunDirectory(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = dump_config(parse_config(yaml.safe_dump(config), "made", folder))
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "seed": 0,
        "reference": systems[0],
        "languages": list(languages),
        "suites": {"open": {"kind": "open"}},
        "systems": {x: {} for x in systems},
        "judges": {},
    }
    write_json(folder / "manifest.json", manifest)
    for system in systems:
        for language in languages:
            _write_cell(run, system, language, n_items, answer)
    return run


def _write_cell(run: RunDirectory, system: str, language: str, n_items: int, answer: Answer) -> None:
    items = [Item(f"q{i}/{language}", f"q{i}", "advice", f"Question {i}?") for i in range(n_items)]
    generations = [
        Generation(x.item_id, 0, x.prompt, None, answer(system, language, i), "stop", None, None, 5)
        for i, x in enumerate(items)
    ]
    info = {
        "fingerprint": {"system": system, "suite": "open", "language": language},
        "signature": f"suite:open|data:{language}|seed:0",
        "n_items": n_items,
    }
    tables = {"items": (Item, items), "generations": (Generation, generations), "scores": (Score, [])}
    run.cell(system, "open", language).seal(tables, info)
