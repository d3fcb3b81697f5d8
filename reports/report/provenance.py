"""How the numbers came about: systems, settings of the statistics, signatures, versions."""

from __future__ import annotations

from ...harness.api.records import Signature
from ..document.document import Block, Section, TextTable
from ..document.numbers import words
from ..items.scopes import WHOLE
from ..records.run_data import Frame
from ..tables.all import RunTables


def provenance_section(tables: RunTables) -> Section:
    """Everything that is needed to say how a number was made."""
    blocks: list[Block] = [_settings(tables)]
    if tables.data.settings.config:
        blocks.append(_systems(tables))
    if tables.data.settings.tunings:
        blocks.append(_tunings(tables))
    if (signatures := _signatures(tables)).rows:
        blocks.append(signatures)
    manifest = tables.data.manifest
    if "croco_eval" in manifest:
        packages = ", ".join(f"{k} {v}" for k, v in manifest.get("packages", {}).items())
        commit = f", commit {manifest['git_commit']}" if manifest.get("git_commit") else ""
        blocks.append(
            f"Run by croco-eval {manifest['croco_eval']}{commit}, Python {manifest.get('python')}, {packages}."
        )
    blocks.append(
        "The tables in full, with every column and six digits, are the CSV files beside this folder. What is computed, "
        "and what no interval here says, is in docs/statistics.md."
    )
    return Section("How this was made", tuple(blocks))


def _settings(tables: RunTables) -> str:
    x, tuned = tables.data.settings.rules, tables.data.settings.tuned
    correction = {"holm": "Holm", "bh": "Benjamini-Hochberg"}[x.correction]
    margins = [f"{v:g} in {k}" for k, v in x.margins.items()]
    return (
        f"Alpha {x.alpha:g} in each family of tests, corrected by {correction}. Margin of non-inferiority "
        f"{words([f'{x.margin:g}', *margins])}, in the metric's units. Intervals of {100 * x.level:g}%, "
        f"{x.n_resamples} resamples, seed {x.seed}. Tuned languages: {' '.join(tuned)}."
    )


def _systems(tables: RunTables) -> TextTable:
    config = tables.data.settings.config
    rows = [(x.name, x.model, x.revision or "", x.adapter or "", x.backend) for x in (config.systems if config else ())]
    return TextTable("Systems", ("system", "model", "revision", "adapter", "backend"), tuple(rows), n_names=5)


def _tunings(tables: RunTables) -> TextTable:
    """How adapters came about, by what lies beside their weights."""
    rows = [
        (
            name,
            x.arm,
            x.trainer,
            x.data,
            x.sampled_from or "",
            x.pool or "",
            x.reward or "",
            " ".join(x.languages),
            f"{x.seed}",
        )
        for name, x in tables.data.settings.tunings.items()
    ]
    head = ("system", "arm", "trainer", "data", "sampled from", "pool", "reward", "languages", "seed")
    return TextTable("How adapters were tuned", head, tuple(rows), n_names=8)


def _signatures(tables: RunTables) -> TextTable:
    """One row per suite and metric; where systems differ, one for each signature."""
    scores = tables.frames["scores.csv"]
    rows: Frame = scores[
        scores["task"].eq(WHOLE) & scores["metric"].ne("gap") & scores["language"].isin(tables.data.languages)
    ]
    lines: list[tuple[str, ...]] = []
    for (suite, metric), part in rows.groupby(["suite", "metric"], sort=False):
        by_signature: dict[Signature, list[str]] = {}
        for system, of_system in part.groupby("system", sort=False):
            by_signature.setdefault(Signature.joint(of_system["signature"]), []).append(str(system))
        for signature, systems in by_signature.items():
            of = "all" if len(by_signature) == 1 else " ".join(systems)
            lines.append((str(suite), str(metric), of, str(signature)))
    return TextTable(
        "Signatures (* where languages differ)", ("suite", "metric", "systems", "signature"), tuple(lines), 4
    )
