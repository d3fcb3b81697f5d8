"""Judge `llm` with vLLM, served and in this process, where it is installed: guided JSON and logprobs for real."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("vllm")

from croco_eval.harness.api.records import Judgment
from croco_eval.harness.config.run_config import JudgeConfig
from croco_eval.harness.run.execute import judge_again
from croco_eval.harness.store.parquet import read_records
from croco_eval.harness.store.run_directory import RunDirectory
from helpers.judged_run import make_run
from rich.console import Console

START_SECONDS = 400
GUIDED = {"backend": "xgrammar", "disable_any_whitespace": True}
"""A tiny model would fill its answer with the spaces that JSON allows."""
ENGINE = {"max_model_len": 1024, "dtype": "float32", "enforce_eager": True, "structured_outputs_config": GUIDED}
COMMON = {"max_tokens": 150, "temperature": 1.0, "reasks": 0, "prompt_language": "english", "allow_self_judging": True}


@pytest.fixture(scope="module")
def served(nano: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of vLLM's own server with croco-nano."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log.txt"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(nano)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "1024", "--dtype", "float32"]
    command += ["--enforce-eager", "--served-model-name", "nano", "--structured-outputs-config", json.dumps(GUIDED)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail(f"vLLM did not start: {log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def judged(folder: Path, **options: object) -> tuple[RunDirectory, list[Judgment]]:
    """A small run, judged with these options."""
    run = make_run(folder, n_items=3)
    judge = JudgeConfig(name="llm", options={**COMMON, **options})
    judge_again(run.path, "llm", [judge], Console(quiet=True)).raise_if_incomplete()
    place = run.judgments("llm", "tuned", "base", "open", "en")
    return run, read_records(place.path / "judgments.parquet", Judgment)


def check(run: RunDirectory, judgments: list[Judgment]) -> None:
    """Every reply was made in the schema; a tiny model rarely ends its reasoning, and a reply cut off is unscored."""
    assert len(judgments) == 6
    replies = [json.loads(x.details)["reply"] for x in judgments]
    assert all(x.startswith('{"reasoning":') for x in replies), replies
    assert {x.unscored for x in judgments} <= {None, "reply cut off"}
    assert all(0 <= x.preference <= 1 for x in judgments if x.preference is not None)
    rows = [json.loads(x) for x in run.ledger.read_text().splitlines()]
    assert all(x["outcome"] == "ok" and x["tokens_in"] > 100 and x["tokens_out"] > 0 for x in rows)


def test_guided_json_and_logprobs_over_the_wire(served: str, tmp_path: Path):
    """vLLM's own server makes even a tiny model answer in the schema."""
    check(*judged(tmp_path / "run", base_url=served, model="nano", verdict="json", logprobs=True))


def test_guided_json_and_logprobs_in_this_process(nano: Path, tmp_path: Path):
    check(
        *judged(tmp_path / "run", engine="vllm", model=str(nano), verdict="json", logprobs=True, engine_options=ENGINE)
    )
