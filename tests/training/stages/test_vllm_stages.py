"""Stages through vLLM, where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("vllm")

import yaml
from croco_eval.training.config import ScorerConfig, read_train_config
from croco_eval.training.records import Candidate, Prompt
from croco_eval.training.run import run as run_stages
from croco_eval.training.scorers.base import Rated, make_scorer
from helpers.reward_models import save_reward_model


class Silent:
    def begin(self, name: str) -> None: ...

    def answers(self, done: int, expected: int) -> None: ...

    def end(self) -> None: ...


def test_a_tuned_policy_is_sampled(tmp_path: Path):
    policy = {
        "name": "tuned",
        "model": "croco-nano",
        "adapter": "croco-nano-sft",
        "backend": "vllm",
        "dtype": "float32",
        "engine_options": {"enforce_eager": True, "max_model_len": 256},
    }
    settings = {
        "name": "try",
        "languages": ["en", "da"],
        "policy": {"name": "base", "model": "croco-nano"},
        "prompts": {"corpus": "locale", "limit": 3},
        "sample": {"n": 4, "max_new_tokens": 24, "policy": policy},
        "scorers": [{"name": "reference"}],
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings))
    run_stages(read_train_config(tmp_path / "train.yaml"), ["sample"], print, Silent())
    sample = tmp_path / "train/try/sample"
    candidates = pd.concat([pd.read_parquet(sample / "data.parquet"), pd.read_feather(sample / "data.arrow")], axis=1)
    own = candidates[candidates["kind"] == "generation"]
    assert len(own) == 2 * 3 * 4
    assert set(own["policy"]) == {"tuned"}
    assert own["answer"].str.len().gt(0).all()
    assert own.groupby("prompt_id")["answer"].nunique().max() > 1


def test_rewards_are_those_of_transformers(tmp_path: Path, nano: Path):
    folder = save_reward_model(tmp_path, nano)
    texts = ("It is a country.", "", "No, " * 20, "long " * 400)
    prompt = Prompt("s/en", "s", "en", "Tell me about Denmark.")
    rows = [
        Rated(prompt, Candidate("s/en", "s", "en", i, x, "stop", "generation", "base")) for i, x in enumerate(texts)
    ]
    found: dict[str, list[Any]] = {}
    for engine in ("transformers", "vllm"):
        more = {"engine_options": {"enforce_eager": True}} if engine == "vllm" else {}
        options = {"model": str(folder), "dtype": "float32", "backend": engine, **more}
        scorer = make_scorer(ScorerConfig(name="reward-model", options=options))
        found[engine] = [x for batch in scorer.score(rows) for x in batch]
        scorer.close()
    assert [x for x, _ in found["vllm"][:3]] == pytest.approx([x for x, _ in found["transformers"][:3]], abs=1e-4)
    assert found["vllm"][3] == found["transformers"][3] == (None, "longer than the model's window")
