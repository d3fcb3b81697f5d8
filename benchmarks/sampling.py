"""The sample stage beside bare ``model.generate`` at several batch sizes: same model, prompts and settings, in turn.

Prompts are the tuning prompts of the `locale` corpus in 7 languages; all other settings are those of
`configs/nano-study.yaml`. The stage does what it does in a study: an own seed per answer, every answer recorded on
disk, its language identified, the dataset written. The bare loop sorts prompts by length, pads them on the left, draws
with `do_sample` and decodes. Both load the model anew. A round runs each once, in an order that turns.

Tokens are those of the answers' texts, counted by the tokenizer for both alike, after the time was taken. The ratio is
of time per token, against the batch size that is best on a processor.

    python benchmarks/sampling.py [--rounds 3] [--limit 10] [--n 16] [--batch-sizes 32 128 512 1024] [--batch-tokens N]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TQDM_DISABLE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from croco_eval.harness.run.progress import RunProgress
from croco_eval.training.config import SampleConfig, TrainConfig, read_train_config
from croco_eval.training.nano.shipped import base_folder
from croco_eval.training.records import Candidate, Prompt
from croco_eval.training.stages.folder import Stage
from croco_eval.training.stages.prompts import load_prompts
from croco_eval.training.stages.sample import sample
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

CONFIG = Path(__file__).parent.parent / "configs" / "nano-study.yaml"
STAGE = "sample stage"


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and on a processor, and what came out."""

    clock: float
    processor: float
    answers: int
    tokens: int

    @property
    def per_token(self) -> tuple[float, float]:
        """Seconds per token: on the clock, on a processor."""
        return self.clock / self.tokens, self.processor / self.tokens


def staged(config: TrainConfig, prompts: Sequence[Prompt]) -> list[str]:
    """The answers of the sample stage, from a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), "sample")
        progress = RunProgress(Console(quiet=True), 1, "stage")
        sample(config.model_copy(update={"out": folder}), prompts, stage, progress.lane(0), lambda message: None)
        return [x.answer for x in stage.read(Candidate) if x.kind == "generation"]


def bare(settings: SampleConfig, prompts: Sequence[Prompt], batch_size: int, seed: int) -> list[str]:
    """The answers of transformers alone."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base_folder(), dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(base_folder(), padding_side="left")
    messages = [[{"role": "user", "content": x.prompt}] for x in prompts]
    texts = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    lengths = [len(x) for x in tokenizer(texts)["input_ids"]]
    order = sorted(range(len(texts)), key=lambda x: -lengths[x])
    asked = [texts[x] for x in order for _ in range(settings.n)]
    answers: list[str] = []
    for start in range(0, len(asked), batch_size):
        batch = asked[start : start + batch_size]
        inputs = tokenizer(batch, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            output = model.generate(
                **inputs, do_sample=True, temperature=settings.temperature, top_p=settings.top_p, top_k=settings.top_k,
                max_new_tokens=settings.max_new_tokens,
            )  # fmt: skip
        answers += tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return answers


def measure(work: Callable[[], list[str]]) -> Cost:
    """Runs it once in this process."""
    clock, processor = time.perf_counter(), time.process_time()
    answers = work()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    ids = AutoTokenizer.from_pretrained(base_folder())(answers, add_special_tokens=False)["input_ids"]
    return Cost(clock, processor, len(answers), sum(map(len, ids)))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=10, help="prompts per language")
    parser.add_argument("--n", type=int, default=16, help="answers per prompt")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 128, 512, 1024])
    parser.add_argument("--batch-tokens", type=int, help="of the stage; by default what the config says")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    config = read_train_config(CONFIG)
    policy = config.policy.model_copy(update={"batch_tokens": given.batch_tokens or config.policy.batch_tokens})
    settings = config.sample.model_copy(update={"n": given.n})
    source = config.prompts.model_copy(update={"limit": given.limit}) if config.prompts else None
    config = config.model_copy(update={"policy": policy, "sample": settings, "prompts": source})
    prompts = load_prompts(config)
    print(
        f"{len(prompts)} prompts in {len(config.languages)} languages x {given.n} answers of up to "
        f"{settings.max_new_tokens} tokens, one thread, batch_tokens {policy.batch_tokens:,}"
    )
    jobs: dict[str, Callable[[], list[str]]] = {STAGE: lambda: staged(config, prompts)}
    for size in given.batch_sizes:
        jobs[f"generate, {size}"] = lambda size=size: bare(settings, prompts, size, config.seed)
    staged(config.model_copy(update={"sample": settings.model_copy(update={"n": 1})}), prompts[:2])
    rounds: list[dict[str, Cost]] = []
    for number in range(given.rounds):
        names = list(jobs)[number % len(jobs) :] + list(jobs)[: number % len(jobs)]
        costs = {name: measure(jobs[name]) for name in names}
        rounds.append({name: costs[name] for name in jobs})
        shown = (f"{k} {x.clock:.1f}/{x.processor:.1f}" for k, x in rounds[-1].items())
        print(f"round {number + 1}, seconds on the clock/on a processor: {'; '.join(shown)}", flush=True)
    show(rounds)


def show(rounds: Sequence[dict[str, Cost]]) -> None:
    """Medians over the rounds; ratios are taken within a round."""
    bares = [x for x in rounds[0] if x != STAGE]
    best = min(bares, key=lambda name: statistics.median(x[name].per_token[1] for x in rounds))
    print(
        f"{'medians':<16}{'clock':>9}{'processor':>11}{'answers/s':>11}{'tokens/s':>10}"
        "   time per token: clock, processor"
    )
    for name in rounds[0]:
        clock, processor = (statistics.median(getattr(x[name], y) for x in rounds) for y in ("clock", "processor"))
        answers = statistics.median(x[name].answers / x[name].clock for x in rounds)
        tokens = statistics.median(x[name].tokens / x[name].clock for x in rounds)
        ratios = [statistics.median(x[name].per_token[i] / x[best].per_token[i] for x in rounds) for i in (0, 1)]
        print(
            f"{name:<16}{clock:>7.1f} s{processor:>9.1f} s{answers:>11.0f}{tokens:>10,.0f}   "
            f"{ratios[0]:.2f}, {ratios[1]:.2f}"
        )


if __name__ == "__main__":
    main()
