"""The paired cluster bootstrap of many systems beside a loop over resamples: same data, same machine, in turn.

50 systems, 14 languages and 500 items against one reference, each item with its 14 translations as one cluster: an
interval per system and language, and one per system over all languages. The loop draws items (or clusters) and takes
the mean of what it drew, one resample after the other, as published scripts do. It runs on fewer resamples, and its
time is scaled up to the same number: both are linear in it.

    python benchmarks/bootstrap.py [--values binary] [--unscored 0.0]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import resource
import time

import numpy as np
from croco_eval.reports.stats import paired_bootstrap_many


def scores(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Scores of shape (systems, languages * items) and of the reference; a tenth of the items differ."""
    rng = np.random.default_rng(0)
    n = options.languages * options.items
    reference = (rng.random(n) < 0.6).astype(float) if options.values == "binary" else rng.random(n)
    other = 1 - reference if options.values == "binary" else rng.random((options.systems, n))
    systems = np.where(rng.random((options.systems, n)) < 0.1, other, reference)
    systems[rng.random(systems.shape) < options.unscored] = np.nan
    return systems, reference


def fast(systems: np.ndarray, reference: np.ndarray, options: argparse.Namespace) -> tuple[float, float]:
    """Seconds for all intervals: by the clock, on the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    kind = "binary" if options.values == "binary" else "bounded"
    sources = np.tile(np.arange(options.items), options.languages)
    found = paired_bootstrap_many(systems, reference, sources, n_resamples=options.resamples, kind=kind)
    for columns in np.split(np.arange(len(reference)), options.languages):
        found += paired_bootstrap_many(
            systems[:, columns], reference[columns], n_resamples=options.resamples, kind=kind
        )
    assert len(found) == options.systems * (options.languages + 1)
    return time.perf_counter() - clock, time.process_time() - processor


def loop(systems: np.ndarray, reference: np.ndarray, options: argparse.Namespace) -> tuple[float, float]:
    """The same, scaled from ``options.loop_resamples``."""
    clock, processor = time.perf_counter(), time.process_time()
    rng = np.random.default_rng(0)
    items, made = options.items, 0
    for system in systems:
        table = (system - reference).reshape(options.languages, items)
        for row in [*table, table.T]:
            mean = np.nanmean if np.isnan(row).any() else np.mean
            means = [mean(row[rng.integers(0, items, items)]) for _ in range(options.loop_resamples)]
            np.quantile(means, [0.025, 0.975])
            made += 1
    assert made == options.systems * (options.languages + 1)
    scale = options.resamples / options.loop_resamples
    return (time.perf_counter() - clock) * scale, (time.process_time() - processor) * scale


def main() -> None:
    """Prints seconds by the clock and on the processor, the ratio of the latter, and the peak of the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", choices=["binary", "continuous"], default="continuous")
    parser.add_argument("--unscored", type=float, default=0.0, help="share of a system's items without a score")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", type=int, default=50)
    parser.add_argument("--languages", type=int, default=14)
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--loop-resamples", type=int, default=100)
    options = parser.parse_args()
    systems, reference = scores(options)
    intervals = options.systems * (options.languages + 1)
    print(f"{intervals} intervals of {options.resamples} resamples each, {options.values} values, one thread")
    fast(systems[:2], reference, argparse.Namespace(**{**vars(options), "systems": 2, "resamples": 100}))
    ratios = []
    for number in range(options.rounds):
        clock, processor = fast(systems, reference, options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        loop_clock, loop_processor = loop(systems, reference, options)
        ratios.append(loop_processor / processor)
        print(
            f"round {number + 1}: {clock:.2f} s ({processor:.2f} s on the processor), peak memory {peak:.0f} MiB; "
            f"loop {loop_clock:.0f} s ({loop_processor:.0f} s), scaled from {options.loop_resamples} resamples; "
            f"ratio {ratios[-1]:.0f}"
        )
    print(f"median ratio of processor times {np.median(ratios):.0f}")


if __name__ == "__main__":
    main()
