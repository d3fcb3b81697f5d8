"""The divergence from the reference, which is the model with its adapter off: that must leave no trace of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from croco_eval.harness.errors import ModelError
from croco_eval.training.trainers.drift import Drift
from helpers.adapters import OWN, config_of
from peft import get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.mark.parametrize("settings", [OWN["pissa"], OWN["kasa"], OWN["repeated"]])
def test_no_drift_is_measured_from_a_base_that_the_adapter_has_changed(nano: Path, settings: dict):
    drift = Drift(AutoTokenizer.from_pretrained(nano), [("Hello", "World")])
    base = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)
    assert drift.measure(get_peft_model(base, config_of("LORA"))) == 0
    base = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)
    with pytest.raises(ModelError, match=r"the drift of a LORA adapter can't be measured: it "):
        drift.measure(get_peft_model(base, config_of("LORA", **settings)))
