"""How fast judgments come beside a bare asyncio loop over the same client, and how much memory they take.

A scripted server in its own process answers after a fixed latency, so many calls at a time as it has slots. In turn,
each in a process of its own: a bare loop (``openai.AsyncOpenAI``, a semaphore, the same messages, the verdict read with
``json``), and judge ``llm`` over a run directory (rendering, ledger, replies, judgments on the disk, sealed cells).
Prints judgments per second, their ratio, and the peak memory of the judge.

    python benchmarks/judging.py [--judgments 1000 10000] [--rounds 1] [--latency 0.2] [--slots 64]

With ``--alpaca-venv DIR``, a virtual environment that has alpaca-eval, the same comparisons (one order: it has no
other) are put to the same server by it too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LANGUAGES = ("da", "de", "en", "es", "fr", "it", "nl")
ITEMS = 71
ANSWER = "One sentence of an answer that is about as long as such sentences are. "
REPLY = {"reasoning": "Both answers say the same, but the first says it in fewer words. " * 4, "verdict": "A"}


def serve(port: int, latency: float, slots: int) -> None:
    """The server's process. Its reply holds a verdict as JSON and one that alpaca-eval can read."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    places = asyncio.Semaphore(slots)

    def body(text: str) -> bytes:
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 600, "completion_tokens": 80, "total_tokens": 680}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        about = {"id": "x", "object": "chat.completion", "created": 1, "model": "judge"}
        return json.dumps({**about, "choices": [choice], "usage": usage}).encode()

    verdict, preference = body(json.dumps(REPLY)), body("Output (a)")

    async def chat(request: Request) -> Response:
        asked = await request.body()
        async with places:
            await asyncio.sleep(latency)
        return Response(verdict if b"response_format" in asked else preference, media_type="application/json")

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical")


def make_run(folder: Path, judgments: int, url: str, slots: int) -> int:
    """A run with answers, made without a model; gives the number of judgments it asks for."""
    from croco_eval.harness.api.records import Generation, Item, Score
    from croco_eval.harness.config.run_config import dump_config, parse_config
    from croco_eval.harness.store.files import write_json
    from croco_eval.harness.store.run_directory import SCHEMA_VERSION, RunDirectory

    candidates = [f"tuned{i}" for i in range(max(1, judgments // (2 * len(LANGUAGES) * ITEMS)))]
    options = f"{{base_url: '{url}', model: judge, max_concurrency: {slots}}}"
    text = (
        f"name: bench\nlanguages: [{', '.join(LANGUAGES)}]\nsuites: [open]\n"
        f"systems: [{', '.join(f'{{name: {x}, model: croco-nano}}' for x in ('base', *candidates))}]\n"
        f"judges: [{{name: llm, options: {options}}}]\n"
    )
    run = RunDirectory(folder)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_config(parse_config(text, "bench", folder)), encoding="utf-8")
    manifest = {"schema_version": SCHEMA_VERSION, "seed": 0, "reference": "base", "languages": list(LANGUAGES)}
    manifest |= {"suites": {"open": {"kind": "open"}}, "systems": dict.fromkeys(("base", *candidates)), "judges": {}}
    write_json(folder / "manifest.json", manifest)
    for system in ("base", *candidates):
        for language in LANGUAGES:
            items = [Item(f"q{i}/{language}", f"q{i}", "advice", f"Question {i}: {ANSWER}") for i in range(ITEMS)]
            answers = [
                Generation(x.item_id, 0, x.prompt, None, f"{system} {x.item_id} {ANSWER * 9}", "stop", None, None, 9)
                for x in items
            ]
            tables = {"items": (Item, items), "generations": (Generation, answers), "scores": (Score, [])}
            info = {"fingerprint": {"system": system, "language": language}, "signature": f"suite:open|data:{language}"}
            run.cell(system, "open", language).seal(tables, {**info, "n_items": ITEMS})
    return 2 * ITEMS * len(LANGUAGES) * len(candidates)


class Clock:
    """Wall time, processor time of this process, and its peak memory in MiB."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu, "mib": mib}


def judge(folder: Path) -> dict[str, float]:
    """Judge ``llm`` over the run, in this process."""
    from croco_eval.harness.config.run_config import parse_config
    from croco_eval.harness.run.judging import judge_cells, judging_cells
    from croco_eval.harness.run.plan import make_judges
    from croco_eval.harness.run.progress import JudgingProgress
    from croco_eval.harness.store.run_directory import RunDirectory
    from rich.console import Console

    run = RunDirectory(folder)
    config = parse_config(run.config_text() or "", "bench", folder)
    made = make_judges(config.judges, config)["llm"]
    cells = judging_cells(run, "llm")
    clock = Clock()
    judge_cells(run, made, cells, JudgingProgress(Console(quiet=True), "llm", len(cells)))
    return clock.read()


def bare(folder: Path, url: str, slots: int) -> dict[str, float]:
    """The same calls in a loop that does nothing else."""
    from croco_eval.harness.run.judging import _answer_pairs, judging_cells
    from croco_eval.harness.store.run_directory import RunDirectory
    from croco_eval.judges.llm.options import LlmOptions
    from croco_eval.judges.llm.render import render
    from croco_eval.judges.llm.verdict import verdict_schema

    run = RunDirectory(folder)
    options = LlmOptions(model="judge", base_url=url)
    work = [
        [{"role": role, "content": text} for role, text in render(pair, order, options, 0)]
        for cell in judging_cells(run, "llm")
        for pair in _answer_pairs(run, cell)
        for order in ("candidate_first", "reference_first")
    ]
    schema = {"name": "reply", "strict": True, "schema": verdict_schema(True)}
    settings = {"response_format": {"type": "json_schema", "json_schema": schema}, "temperature": 0, "max_tokens": 1024}

    async def all_of_them() -> list[str]:
        client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
        places = asyncio.Semaphore(slots)

        async def one(messages: list[dict[str, str]]) -> str:
            async with places:
                reply = await client.chat.completions.create(model="judge", messages=messages, seed=0, **settings)
            return json.loads(reply.choices[0].message.content or "")["verdict"]

        return await asyncio.gather(*(one(x) for x in work))

    clock = Clock()
    import openai  # inside the measured time, as in the judge

    verdicts = asyncio.run(all_of_them())
    assert set(verdicts) == {"A"}
    return clock.read()


def alpaca(venv: Path, folder: Path, url: str, slots: int) -> float:
    """Seconds alpaca-eval takes for the comparisons of the run, in its own environment."""
    from croco_eval.harness.run.judging import _answer_pairs, judging_cells
    from croco_eval.harness.store.run_directory import RunDirectory

    run = RunDirectory(folder)
    pairs = [x for cell in judging_cells(run, "llm") for x in _answer_pairs(run, cell)]
    with tempfile.TemporaryDirectory() as place:
        for name in ("candidate", "reference"):
            rows = [{"instruction": f"{x.item.item_id} {x.item.prompt}", "output": getattr(x, name)} for x in pairs]
            (Path(place) / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
        (Path(place) / "alpaca.py").write_text(_ALPACA, encoding="utf-8")
        environment = {**os.environ, "OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url}
        command = [str(venv / "bin" / "python"), "alpaca.py", str(slots)]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"alpaca-eval failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


_ALPACA = """
import json, pathlib, sys, time, yaml
from alpaca_eval.annotators import PairwiseAnnotator

slots = int(sys.argv[1])
config = pathlib.Path("judge"); config.mkdir()
(config / "prompt.txt").write_text(
    "<|im_start|>system\\nYou compare.\\n<|im_end|>\\n"
    "<|im_start|>user\\n{instruction}\\n(a) {output_1}\\n(b) {output_2}\\n<|im_end|>"
)
(config / "configs.yaml").write_text(yaml.safe_dump({"judge": {
    "prompt_template": str((config / "prompt.txt").resolve()),
    "fn_completions": "openai_completions",
    "completions_kwargs": {"model_name": "judge", "max_tokens": 50, "temperature": 0, "num_procs": slots},
    "fn_completion_parser": "regex_parser",
    "completion_parser_kwargs": {"outputs_to_match": {1: "Output \\\\(a\\\\)", 2: "Output \\\\(b\\\\)"}},
    "batch_size": 1,
}}))
annotator = PairwiseAnnotator(annotators_config=str((config / "configs.yaml").resolve()), caching_path=None, seed=0)
candidate, reference = (json.loads(pathlib.Path(x).read_text()) for x in ("candidate.json", "reference.json"))
begun = time.perf_counter()
annotations = annotator.annotate_head2head(outputs_1=reference, outputs_2=candidate)
seconds = time.perf_counter() - begun
assert len(annotations) == len(candidate) and all(x["preference"] is not None for x in annotations)
print(seconds)
"""


def in_a_process(*arguments: object) -> dict[str, float]:
    """One side, alone in a process."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


def wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)


def compare(options: argparse.Namespace, url: str) -> None:
    """Prints a block for each number of judgments."""
    for wanted in options.judgments:
        ratios = []
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place) / "run"
                n = make_run(folder, wanted, url, options.slots)
                sides = {
                    "bare": ("--side", "bare", "--folder", folder, "--url", url, "--slots", options.slots),
                    "judge": ("--side", "judge", "--folder", folder),
                }
                turn = sorted(sides, reverse=number % 2 == 1)
                found = {x: in_a_process(*sides[x]) for x in turn}
                theirs, ours = found["bare"], found["judge"]
                if options.alpaca_venv and number == 0:
                    seconds = alpaca(options.alpaca_venv, folder, url, options.slots)
                    rate, own = n / 2 / seconds, n / ours["seconds"]
                    print(f"alpaca-eval: {n // 2:,} comparisons, {rate:.0f}/s; the judge: {own / rate:.1f} times that")
            ratios.append(theirs["seconds"] / ours["seconds"])
            print(
                f"{n:,} judgments, round {number + 1}: judge {n / ours['seconds']:.0f}/s, "
                f"bare loop {n / theirs['seconds']:.0f}/s, ratio {ratios[-1]:.2f}; processor time per judgment: judge "
                f"{ours['cpu'] / n * 1e3:.2f} ms, bare loop {theirs['cpu'] / n * 1e3:.2f} ms; "
                f"peak memory: judge {ours['mib']:.0f} MiB, bare loop {theirs['mib']:.0f} MiB",
                flush=True,
            )
        print(f"{n:,} judgments: median ratio {statistics.median(ratios):.2f}")


def main() -> None:
    """Starts the server and prints the table; with ``--side``, plays one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judgments", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--alpaca-venv", type=Path)
    parser.add_argument("--side", choices=["serve", "bare", "judge"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side == "serve":
        serve(options.port, options.latency, options.slots)
    elif options.side == "judge":
        print(json.dumps(judge(options.folder)))
    elif options.side == "bare":
        print(json.dumps(bare(options.folder, options.url, options.slots)))
    else:
        port = free_port()
        settings = ["--latency", str(options.latency), "--slots", str(options.slots), "--port", str(port)]
        server = subprocess.Popen([sys.executable, __file__, "--side", "serve", *settings])
        try:
            wait_for(port)
            print(
                f"server: {options.latency:g} s, {options.slots} slots: {options.slots / options.latency:.0f}/s at most"
            )
            compare(options, f"http://127.0.0.1:{port}/v1")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
