"""Pair selection beside a plain script (``pairing_baseline.py``): whole processes, in turn, time and peak memory.

Makes candidates of 7 languages x PROMPTS x 64 answers of 1 to 2 KB (500 prompts: 224,000; 5,000: 2.2 million) as scored
JSONL and as the datasets of the stages `sample` and `score`. `parquet` is `croco-eval train pair CONFIG`; the script it
is compared with makes the same pairs (DPO, in language). `jsonl` is `train pair-files`; it and its script write all
four kinds of files.
Checks that both found the same pairs. Memory is the largest process's.

    python benchmarks/pairing.py [--prompts 500] [--rounds 5] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import yaml
from croco_eval.harness.store.columns import numbers, texts
from croco_eval.harness.store.parquet import read_records, write_columns
from croco_eval.training.records import Candidate, Pair, Prompt, Reward
from croco_eval.training.stages.folder import Stage

LANGUAGES = ("da", "de", "en", "es", "fr", "it", "nl")
SAMPLES = 64
HERE = Path(__file__).parent
COMMAND = str(Path(sys.executable).with_name("croco-eval"))


def wordy_text(rng: np.random.Generator, characters: int = 8_000_000) -> bytes:
    """Words of a made-up language, frequent ones often, 3% of the letters beyond ASCII."""
    letters = np.array(list("etaoinsrhldcumfpgwybvkæøåéüß"))
    often = np.where(np.char.isalpha(letters) & (letters < "z"), 1.0, 0.12)
    words = np.array(
        ["".join(rng.choice(letters, size=n, p=often / often.sum())) for n in rng.integers(2, 11, size=5000)]
    )
    weights = 1 / np.arange(1, len(words) + 1)
    drawn = rng.choice(words, size=characters // 5, p=weights / weights.sum())
    return " ".join(drawn.tolist()).encode()


def answers_of(rng: np.random.Generator, text: bytes, n: int) -> list[bytes]:
    """``n`` pieces of the text, of 1 to 2 KB."""
    places, sizes = rng.integers(0, len(text) - 2048, size=n), rng.integers(1000, 2000, size=n)
    cut = (text[x : x + size] for x, size in zip(places.tolist(), sizes.tolist(), strict=True))
    return [x.decode(errors="ignore").strip().encode() for x in cut]


@dataclass(frozen=True)
class Data:
    """Where everything lies."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "train.yaml"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def files(self, what: str) -> list[str]:
        return [str(self.folder / f"{what}_{x}{'_scored' if what == 'answers' else ''}.jsonl") for x in LANGUAGES]


def make_data(folder: Path, prompts: int) -> Data:
    """The same candidates in both forms."""
    data = Data(folder)
    asked = [
        Prompt(f"{i}/{x}", str(i), x, f"[{x}] question {i}: " + "how and why, in some words? " * 8)
        for x in LANGUAGES
        for i in range(prompts)
    ]
    for language, file in zip(LANGUAGES, data.files("prompts"), strict=True):
        rows = [
            {"id": x.source_id, "source_dataset": "made", "domain": "none", "messages": [_says("user", x.prompt)]}
            for x in asked
            if x.language == language
        ]
        Path(file).write_bytes(b"".join(orjson.dumps(x) + b"\n" for x in rows))
    sampled, scored = Stage(data.run, "sample"), Stage(data.run, "score made")
    rewards: list[pa.Table] = []
    for stage in (sampled, scored):
        stage.enter({"made": "for the benchmark"})
    write_columns(sampled.data, Candidate, _candidates(data, asked, rewards))
    write_columns(scored.data, Reward, rewards)
    sampled.seal({"prompts": (Prompt, asked)}, {"fingerprint": sampled.begun_with()})
    scored.seal({}, {"fingerprint": scored.begun_with()})
    settings = {
        "name": "pairing",
        "languages": list(LANGUAGES),
        "policy": {"name": "base", "model": "croco-nano"},
        "prompts": {"files": "prompts_{language}.jsonl"},
        "scorers": [{"name": "made", "scorer": "reference"}],
        "out": "run",
    }
    data.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return data


def _says(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _candidates(data: Data, asked: list[Prompt], rewards: list[pa.Table]) -> Iterator[pa.Table]:
    """Candidates, some prompts at a time; their rewards and the JSONL rows are written along with them."""
    rng = np.random.default_rng(0)
    text = wordy_text(rng)
    for language, file in zip(LANGUAGES, data.files("answers"), strict=True):
        mine = [x for x in asked if x.language == language]
        with Path(file).open("wb") as jsonl:
            for start in range(0, len(mine), 500):
                some = [x for x in mine[start : start + 500] for _ in range(SAMPLES)]
                answers, values = answers_of(rng, text, len(some)), rng.normal(0, 3, size=len(some))
                for x, answer, value in zip(some, answers, values.tolist(), strict=True):
                    row = {
                        "id": x.source_id,
                        "source_dataset": "made",
                        "messages": [_says("user", x.prompt), _says("assistant", answer.decode())],
                        "reward_score": value,
                        "model": "made",
                    }
                    jsonl.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                same = {
                    "prompt_id": texts([x.prompt_id.encode() for x in some]),
                    "sample": numbers(np.tile(np.arange(SAMPLES), len(some) // SAMPLES)),
                }
                rewards.append(
                    pa.table({**same, "reward": numbers(values), "unscored": pa.nulls(len(some), pa.string())})
                )
                columns = {
                    **same,
                    "source_id": texts([x.source_id.encode() for x in some]),
                    "language": texts([language.encode()] * len(some)),
                    "answer": texts(answers),
                    "finish_reason": texts([b"stop"] * len(some)),
                    "kind": texts([b"generation"] * len(some)),
                    "policy": texts([b"made"] * len(some)),
                    "in_language": pa.array([True] * len(some)),
                }
                yield pa.table(columns)


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds on the clock and on a processor, and its peak memory in MiB."""

    clock: float
    processor: float
    memory: float


_MEASURED = """
import json, os, resource, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
clock = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([clock, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def measure(command: list[str]) -> Cost:
    """Runs a command; its processes are the only children of the process that measures them."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _MEASURED, *command],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return Cost(*json.loads(done.stdout))


def commands(data: Data) -> dict[str, list[str]]:
    """What is measured, by name; each with the script it is compared with before it."""
    script = [sys.executable, str(HERE / "pairing_baseline.py"), str(data.folder / "plain")]
    files = [*data.files("answers"), "--prompts", *data.files("prompts")]
    given = ["--scored", *data.files("answers"), "--prompts", *data.files("prompts")]
    return {
        "script, pairs": [*script, "dpo_in_lang", *files],
        "parquet": [COMMAND, "train", "pair", str(data.config)],
        "script, all files": [*script, "all", *files],
        "jsonl": [COMMAND, "train", "pair-files", *given, "--out", str(data.folder / "study")],
    }


def run_round(data: Data) -> dict[str, Cost]:
    """One run of each."""
    costs: dict[str, Cost] = {}
    for name, command in commands(data).items():
        if name == "parquet":
            shutil.rmtree(data.run / "pair", ignore_errors=True)
        costs[name] = measure(command)
    return costs


def check_same(data: Data) -> int:
    """Number of pairs, which are the same in both forms and by the script. Raises SystemExit if they differ."""
    found: dict[str, list[tuple[str, str, str]]] = {"script": [], "jsonl": []}
    for name, folder in (("script", "plain"), ("jsonl", "study")):
        for language in LANGUAGES:
            lines = (data.folder / folder / f"dpo_in_lang_{language}.jsonl").read_bytes().splitlines()
            rows = map(orjson.loads, lines)
            found[name] += [(x["prompt"], x["chosen"], x["rejected"]) for x in rows]
    pairs = read_records(data.run / "pair" / "data.parquet", Pair)
    found["parquet"] = [(x.prompt.strip(), x.chosen, x.rejected) for x in pairs]
    if not found["script"] == found["jsonl"] == found["parquet"]:
        sys.exit("the pairs differ.")
    return len(pairs)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="Where the data go (about 1.2 GB per 500 prompts).")
    given = parser.parse_args()
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        data = make_data(Path(name), given.prompts)
        size = sum(Path(x).stat().st_size for x in data.files("answers"))
        print(f"{given.prompts * SAMPLES * len(LANGUAGES):,} candidates, {size / 1e6:,.0f} MB of JSONL")
        rounds = []
        for number in range(given.rounds):
            rounds.append(run_round(data))
            shown = (f"{k} {x.clock:.2f}/{x.processor:.2f}" for k, x in rounds[-1].items())
            print(f"round {number + 1}, seconds on the clock/on a processor: {'; '.join(shown)}")
        print(f"{check_same(data):,} pairs, the same three times")
    against = {"parquet": "script, pairs", "jsonl": "script, all files"}
    print(f"{'medians':<20}{'clock':>9}{'processor':>11}{'memory':>11}   times as fast: clock, processor")
    for name in rounds[0]:
        clock, processor = (statistics.median(getattr(x[name], y) for x in rounds) for y in ("clock", "processor"))
        memory = max(x[name].memory for x in rounds)
        ratios = ""
        if name in against:
            other = against[name]
            of = [
                statistics.median(getattr(x[other], y) / getattr(x[name], y) for x in rounds)
                for y in ("clock", "processor")
            ]
            ratios = f"{of[0]:.1f}, {of[1]:.1f}"
        print(f"{name:<20}{clock:>7.2f} s{processor:>9.2f} s{memory:>7.0f} MiB   {ratios}")


if __name__ == "__main__":
    main()
