"""What the harness costs beside a bare lm-eval ``simple_evaluate``: same tasks, same model, same machine, in turn.

Prints, per round and as medians, the wall time of a whole run (plan, cells, records on disk, tables) and of lm-eval's
own loop with its own transformers class, and their ratio. Both load the model and the tasks anew each time.

    python benchmarks/overhead.py [--rounds 3] [--limit 25] [--languages de da en]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TQDM_DISABLE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import argparse
import io
import logging
import statistics
import tempfile
import time
from pathlib import Path

import torch
from croco_eval.harness.api.suite import SuiteOptions
from croco_eval.harness.config.run_config import parse_config
from croco_eval.harness.run.execute import execute
from croco_eval.tasks.locale.items import families_in
from croco_eval.tasks.locale.suite import locale_suite
from croco_eval.training.nano.shipped import base_folder
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer


def harness(languages: list[str], limit: int) -> float:
    """Seconds of a whole run, tables included."""
    text = (
        f"name: bench\nlanguages: [{', '.join(languages)}]\nsystems: [{{name: base, model: croco-nano}}]\n"
        f"suites: [{{name: locale, limit: {limit}}}]\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        execute(parse_config(text, "bench", Path(folder)), Path(folder) / "run", Console(file=io.StringIO()))
        return time.perf_counter() - begun


def bare(languages: list[str], limit: int, batch_size: int) -> float:
    """Seconds of lm-eval alone: model, tasks, one ``simple_evaluate`` per language."""
    begun = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(base_folder(), dtype=torch.float32)
    lm = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(base_folder()), batch_size=batch_size)
    for language in languages:
        task = locale_suite.load(language, SuiteOptions("locale", limit, None, 0))
        specs = [{"group": x, "task": [{"task": name, **more}]} for x, (name, more) in task.specs.items()]
        simple_evaluate(
            model=lm, tasks=specs, task_manager=task.manager, bootstrap_iters=0, log_samples=True,
            apply_chat_template=True, fewshot_as_multiturn=True,
        )  # fmt: skip
    return time.perf_counter() - begun


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=25)
    parser.add_argument("--languages", nargs="+", default=["de", "da", "en"])
    parser.add_argument("--batch-size", type=int, default=64, help="of lm-eval's model class")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    items = options.limit * sum(len(families_in(x)) for x in options.languages)
    print(f"{items} items in {len(options.languages)} languages, one thread")
    ours, theirs = [], []
    bare(options.languages[:1], 2, options.batch_size)
    for number in range(options.rounds):
        theirs.append(bare(options.languages, options.limit, options.batch_size))
        ours.append(harness(options.languages, options.limit))
        print(
            f"round {number + 1}: harness {ours[-1]:.2f} s, bare {theirs[-1]:.2f} s, ratio {ours[-1] / theirs[-1]:.2f}"
        )
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(
        f"median: harness {statistics.median(ours):.2f} s, bare {statistics.median(theirs):.2f} s, "
        f"ratio {statistics.median(ratios):.2f}"
    )


if __name__ == "__main__":
    main()
