"""Configs that are shipped or shown must be right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from croco_eval.harness.config.run_config import parse_config, read_config
from croco_eval.harness.run.plan import make_plan
from croco_eval.training.config import read_train_config
from helpers.paths import ROOT

FOLDERS = (ROOT / "configs", ROOT / "docs" / "examples")
TRAINING = {"eurollm-9b.yaml", "tiny-aya.yaml", "nano-study.yaml"}
CONFIGS = [x for folder in FOLDERS for x in sorted(folder.glob("*.yaml")) if x.name not in {"gate.yaml", *TRAINING}]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda x: x.name)
def test_every_config_parses(path: Path):
    assert read_config(path).systems


@pytest.mark.parametrize("name", sorted(TRAINING))
def test_every_training_config_parses(name: str):
    assert read_train_config(ROOT / "configs" / name).arms


def test_the_quickstart_is_what_the_readme_says():
    config = read_config(ROOT / "configs" / "quickstart.yaml")
    plan = make_plan(config)
    assert len(config.languages) == 14
    assert [x.name for x in plan.systems] == ["base", "sft"]
    assert set(plan.suites) == {"locale", "locale-open"}
    assert len(plan.cells) == 2 * 2 * 14
    assert plan.gaps == []
    assert len({x.base_key for x in plan.systems}) == 1


def test_the_config_in_the_readme_parses():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(# compare\.yaml.*?)```", text, flags=re.DOTALL)
    config = parse_config(block, "README.md", ROOT)
    assert [x.name for x in config.systems] == ["base", "tuned"]
