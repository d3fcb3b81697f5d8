"""``croco-eval report`` on a large run: all tables, and with ``--figures`` the figures too, in a process of its own.

Writes a run directory of 50 systems, 14 languages and 500 items with four options each (translations share a source, a
tenth of the items differ from the reference), then times the command: by the clock, on the processor, peak memory.
``--profile`` prints where the time goes instead.

    python benchmarks/report.py [--values continuous] [--figures] [--profile]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import cProfile
import pstats
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from croco_eval.harness.api.records import Generation, Item, Score
from croco_eval.harness.store.files import write_json
from croco_eval.harness.store.parquet import write_records
from croco_eval.harness.store.run_directory import SCHEMA_VERSION, RunDirectory
from croco_eval.harness.text.languages import GROUPS

SUITE, OPTIONS = "quiz", 4


def write_run(folder: Path, options: argparse.Namespace) -> None:
    """The run directory, as a finished run leaves it."""
    rng = np.random.default_rng(0)
    languages, binary = GROUPS["paper"][: options.languages], options.values == "binary"
    systems = [f"system{i}" for i in range(options.systems)]
    run = RunDirectory(folder)
    for language in languages:
        first = folder / "prompts" / language
        first.mkdir(parents=True)
        items = [Item(f"m{i}/{language}", f"m{i}", "month", "?") for i in range(options.items)]
        asked = [
            Generation(x.item_id, k, x.prompt, f"option {k}", None, None, -float(k), False, 2)
            for x in items
            for k in range(OPTIONS)
        ]
        write_records(first / "items.parquet", Item, items)
        write_records(first / "generations.parquet", Generation, asked)
        reference = (rng.random(options.items) < 0.6).astype(float) if binary else rng.random(options.items)
        for number, system in enumerate(systems):
            other = 1 - reference if binary else rng.random(options.items)
            values = np.where(rng.random(options.items) < 0.1 * (number > 0), other, reference)
            kind = "binary" if binary else "bounded"
            scores = [
                Score(x.item_id, x.source_id, x.task, "acc", kind, True, float(v))
                for x, v in zip(items, values, strict=True)
            ]
            cell = run.cell(system, SUITE, language).path
            shutil.copytree(first, cell)
            write_records(cell / "scores.parquet", Score, scores)
            signature = f"suite:{SUITE}|data:{language}|seed:0"
            write_json(cell / "cell.json", {"fingerprint": {}, "signature": signature, "n_items": len(items)})
    shutil.rmtree(folder / "prompts")
    manifest = {"schema_version": SCHEMA_VERSION, "systems": {x: {} for x in systems}, "languages": list(languages)}
    manifest |= {"suites": {SUITE: {"kind": "structured"}}, "judges": {}, "reference": systems[0]}
    write_json(folder / "manifest.json", manifest)
    config = {"name": "bench", "languages": list(languages), "suites": [SUITE]}
    config["systems"] = [{"name": x, "model": "croco-nano"} for x in systems]
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def command(folder: Path, options: argparse.Namespace) -> list[str]:
    """Arguments of ``croco-eval``."""
    return ["report", str(folder), *([] if options.figures else ["--no-figures"])]


def profile(folder: Path, options: argparse.Namespace) -> None:
    """Where the time goes, within this process."""
    from croco_eval.harness.cli.main import main as cli

    sys.argv = ["croco-eval", *command(folder, options)]
    profiler = cProfile.Profile()
    try:
        profiler.runcall(cli.main)
    except SystemExit:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)


def main() -> None:
    """Prints a line per round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", choices=["binary", "continuous"], default="binary")
    parser.add_argument("--figures", action="store_true", help="draw the figures too")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", type=int, default=50)
    parser.add_argument("--languages", type=int, default=14)
    parser.add_argument("--items", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        write_run(folder, options)
        size = f"{options.systems} systems, {options.languages} languages, {options.items} items"
        print(f"{size}, {options.values} values, one thread", flush=True)
        if options.profile:
            profile(folder, options)
            return
        for number in range(options.rounds):
            begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            started = [str(Path(sys.executable).with_name("croco-eval")), *command(folder, options)]
            subprocess.run(started, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            clock, peak = time.perf_counter() - begun, after.ru_maxrss / 2**10
            print(f"round {number + 1}: {clock:.1f} s ({used:.1f} s on the processor), peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
