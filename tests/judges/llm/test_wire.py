"""Judge `llm` over a real server: `transformers serve` with croco-nano, which answers as servers do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from croco_eval.harness.api.records import Judgment
from croco_eval.harness.config.run_config import JudgeConfig
from croco_eval.harness.errors import ServerError
from croco_eval.harness.run.execute import judge_again
from croco_eval.harness.store.parquet import read_records
from helpers.judged_run import make_run
from rich.console import Console


def options(served: str, nano: Path, **more: object) -> dict[str, object]:
    base = {"base_url": served, "model": str(nano), "max_tokens": 12, "max_concurrency": 2, "reasks": 0}
    return {**base, "prompt_language": "english", "allow_self_judging": True, **more}


@pytest.mark.parametrize("how", ["tag", "json"])
def test_real_replies_are_read_counted_and_kept(served: str, nano: Path, tmp_path: Path, how: str):
    run = make_run(tmp_path / "run", n_items=2)
    judge = JudgeConfig(name="llm", options=options(served, nano, verdict=how, price={"input": 1, "output": 1}))
    judge_again(run.path, "llm", [judge], Console(quiet=True)).raise_if_incomplete()
    folder = run.judgments("llm", "tuned", "base", "open", "en")
    judgments = read_records(folder.path / "judgments.parquet", Judgment)
    assert len(judgments) == 4
    assert {x.unscored for x in judgments} <= {"no readable verdict", "reply cut off", "empty reply"}
    assert any(json.loads(x.details)["reply"] for x in judgments)
    rows = [json.loads(x) for x in run.ledger.read_text().splitlines()]
    assert len(rows) == 4
    assert all(x["outcome"] == "ok" and x["tokens_in"] > 300 and 0 < x["tokens_out"] <= 12 for x in rows)
    assert all(x["price"] == pytest.approx((x["tokens_in"] + x["tokens_out"]) / 1e6) for x in rows)


def test_a_wrong_model_is_said_in_the_servers_words(served: str, nano: Path, tmp_path: Path):
    run = make_run(tmp_path / "run", n_items=1)
    judge = JudgeConfig(name="llm", options=options(served, nano, model="another"))
    outcome = judge_again(run.path, "llm", [judge], Console(quiet=True))
    with pytest.raises(ServerError, match=r"HTTP 400: Server is pinned to .* requested 'another'"):
        outcome.raise_if_incomplete()
