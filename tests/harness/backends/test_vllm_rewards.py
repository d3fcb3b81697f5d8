"""Reward models through vLLM, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from croco_eval.harness.api.backend import ModelSpec
from helpers.reward_models import save_reward_model

pytest.importorskip("vllm")

TALKS = [
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": x}]
    for x in ("Yes.", "", "No, " * 20, "long " * 400)
]


def test_vllm_gives_the_rewards_of_transformers(tmp_path: Path, nano: Path):
    from croco_eval.harness.backends.hf_rewards import HfRewardModel
    from croco_eval.harness.backends.vllm_rewards import VllmRewardModel

    folder = save_reward_model(tmp_path, nano)
    spec = ModelSpec(str(folder), dtype="float32")
    expected = HfRewardModel(spec).rewards(TALKS)
    model = VllmRewardModel(spec, {"enforce_eager": True})
    try:
        assert model.rewards(TALKS)[:3] == pytest.approx(expected[:3], abs=1e-4)
        assert (model.rewards(TALKS)[3], expected[3]) == (None, None)
        assert model.rewards(TALKS[3:]) == [None]
    finally:
        model.close()
