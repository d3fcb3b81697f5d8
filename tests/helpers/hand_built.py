"""Runs written by hand, as directories or in memory: a few items, a few systems, any value in any cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from croco_eval.harness.api.records import Generation, Item, Judgment, Score, Signature
from croco_eval.harness.store.files import write_json
from croco_eval.harness.store.parquet import write_records
from croco_eval.harness.store.run_directory import SCHEMA_VERSION, RunDirectory
from croco_eval.reports.records.run_data import RunData

Values = Mapping[str, Mapping[str, Sequence[float | None]]]
"""System -> language -> one value per item."""


def score(language, source, task, metric, kind, value, primary=True):
    unscored = "cut off" if value is None else None
    return Score(f"{source}/{language}", source, task, metric, kind, primary, value, unscored)


def both_orders(language, source, first, second):
    return [
        Judgment(f"{source}/{language}", source, "talk", order, verdict, None if verdict else "refused")
        for order, verdict in (("candidate_first", first), ("reference_first", second))
    ]


def signature(suite, language):
    return f"suite:{suite}|data:{language}1|seed:0"


def write_run(folder: Path, *, systems, suites, languages, scores, judgments=None, gaps=(), identities=None):
    """A run directory. ``scores``: (system, suite, language) -> its scores, for each cell that is sealed;
    ``judgments``: (candidate, suite, language) -> judgments by the judge ``j`` against the first system."""
    run = RunDirectory(folder)
    for (system, suite, language), rows in scores.items():
        items = [Item(x, x.split("/")[0], "t", "?") for x in dict.fromkeys(r.item_id for r in rows)]
        answers = [Generation(x.item_id, 0, "?", None, "!", "stop", None, None, 1) for x in items]
        tables = {"items": (Item, items), "generations": (Generation, answers), "scores": (Score, rows)}
        info = {"fingerprint": {}, "signature": signature(suite, language), "n_items": len(items)}
        run.cell(system, suite, language).seal(tables, info)
    for (candidate, suite, language), rows in (judgments or {}).items():
        info = {"fingerprint": {}, "signature": f"judge:j|{signature(suite, language)}", "n_items": len(rows)}
        run.judgments("j", candidate, systems[0], suite, language).seal({"judgments": (Judgment, rows)}, info)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "systems": {x: (identities or {}).get(x, {}) for x in systems},
        "suites": {x: {"kind": kind} for x, kind in suites.items()},
        "languages": languages,
        "judges": {"j": {}} if judgments else {},
        "reference": systems[0],
    }
    write_json(folder / "manifest.json", manifest)
    write_json(folder / "gaps.json", [{"suite": s, "language": x, "reason": reason} for s, x, reason in gaps])
    return folder


def write_config(folder: Path, systems: Sequence[str], suites: Sequence[str], **sections: object) -> None:
    """The run's ``config.yaml``, with sections such as ``statistics``."""
    config = {"name": "run", "systems": [{"name": x, "model": "croco-nano"} for x in systems], "suites": list(suites)}
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **sections}), encoding="utf-8")


def item_scores(language: str, values: Sequence[float | None], kind: str = "binary") -> list[Score]:
    """One metric of the items m0, m1, ... of one task."""
    return [
        score(language, f"m{i}", "month", "acc", kind, None if x is None else float(x)) for i, x in enumerate(values)
    ]


def graded(language: str, preferences: Sequence[float | None]) -> list[Judgment]:
    """One graded judgment of each of the items m0, m1, ..."""
    return [
        Judgment(f"m{i}/{language}", f"m{i}", "talk", "unordered", *_verdict(x), preference=x)
        for i, x in enumerate(preferences)
    ]


def _verdict(preference: float | None) -> tuple[Any, str | None]:
    if preference is None:
        return None, "refused"
    return ("tie" if preference == 0.5 else "candidate" if preference > 0.5 else "reference"), None


def write_quiz(
    folder: Path, values: Values, kind: str = "binary", preferences: Values | None = None, **settings
) -> Path:
    """A structured suite ``quiz``, and an open one, ``chat``, if there are preferences over the first system."""
    languages = list(dict.fromkeys(x for of in (*values.values(), *(preferences or {}).values()) for x in of))
    cells = {(s, "quiz", x): item_scores(x, v, kind) for s, of in values.items() for x, v in of.items()}
    judgments = {(s, "chat", x): graded(x, v) for s, of in (preferences or {}).items() for x, v in of.items()}
    chat = {(s, "chat", x): [] for s in values for x in languages} if preferences else {}
    suites = {"quiz": "structured", **({"chat": "open"} if preferences else {})}
    arguments: dict[str, Any] = {"languages": languages, "judgments": judgments or None, **settings}
    return write_run(folder, systems=list(values), suites=suites, scores={**cells, **chat}, **arguments)


def write_answers(folder: Path, system: str, language: str, texts: Sequence[str], suite: str = "chat") -> None:
    """A system's answers to the items m0, m1, ... of an open suite whose cell is there."""
    cell = RunDirectory(folder).cell(system, suite, language).path
    items = [Item(f"m{i}/{language}", f"m{i}", "talk", "?") for i in range(len(texts))]
    answers = [
        Generation(x.item_id, 0, "?", None, text, "stop", None, None, 1) for x, text in zip(items, texts, strict=True)
    ]
    write_records(cell / "items.parquet", Item, items)
    write_records(cell / "generations.parquet", Generation, answers)


def quiz_data(values: Values, kind: str = "binary", suite: str = "quiz") -> RunData:
    """The same as ``write_quiz`` in memory, without preferences; the first system is the reference."""
    rows = [
        {"system": system, "suite": suite, "language": language, **vars(x), "signature": signature(suite, language)}
        for system, of in values.items()
        for language, v in of.items()
        for x in item_scores(language, v, kind)
    ]
    languages = list(dict.fromkeys(x for of in values.values() for x in of))
    manifest = {
        "systems": {x: {} for x in values},
        "suites": {suite: {"kind": "structured"}},
        "languages": languages,
        "judges": {},
        "reference": next(iter(values)),
    }
    table = pd.DataFrame(rows)
    return RunData.of_tables(manifest, table.assign(signature=table["signature"].map(Signature.parse)), pd.DataFrame())
