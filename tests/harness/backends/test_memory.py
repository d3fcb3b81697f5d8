"""A machine without enough memory: a sentence that says what to lower, from real allocations that fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from croco_eval.harness.backends.memory import enough_memory_or
from croco_eval.harness.errors import ModelError
from croco_eval.harness.models.sources import find_model

LIMITED = """
import resource
import sys
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.backends.hf_rewards import HfRewardModel
from croco_eval.harness.errors import ModelError
from croco_eval.harness.models.sources import find_model
from croco_eval.harness.api.records import GenerationRequest

kind, path = sys.argv[1:]
spec = ModelSpec(path, dtype="float32", batch_tokens=1_000_000)
model = HfRewardModel(spec) if kind == "reward" else HfBackend(spec, print)
engine = None if kind == "reward" else model.engine(None)
text = "What is the currency of Denmark? " * 40
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
try:
    if kind == "reward":
        model.rewards([[{"role": "user", "content": text}, {"role": "assistant", "content": text}]] * 400)
    else:
        requests = [GenerationRequest(str(x), 0, text, 4) for x in range(800)]
        list(engine.generate(requests, frozenset()))
except ModelError as error:
    print(error)
"""


def test_the_machines_own_memory_counts_too():
    with pytest.raises(ModelError, match="lower it"), enough_memory_or("lower it"):
        torch.empty(1 << 60)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shape"), enough_memory_or("lower it"):
        torch.ones(2).reshape(3)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of address space")
@pytest.mark.parametrize("kind", ["reward", "base"])
def test_a_batch_that_does_not_fit_says_what_to_lower(kind: str, nano: Path):
    folder = nano if kind == "base" else Path(find_model("croco-nano-reward").path)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, kind, str(folder)], capture_output=True, text=True, env=environment, check=False
    )
    assert "ran out of memory on cpu; lower batch_tokens (now 1000000)." in done.stdout, done.stderr[-2000:]
