"""What docs/training.md and docs/croco-nano.md show can be put into a config."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from croco_eval.harness.models.reward import RewardModelOptions
from croco_eval.training.config import TrainConfig
from croco_eval.training.scorers.implicit import ImplicitOptions
from croco_eval.training.scorers.translation import TranslationOptions
from croco_eval.training.scorers.typicality import TypicalityOptions
from helpers.paths import ROOT

DOCS = ROOT / "docs"
BARE: dict[str, Any] = {
    "name": "bare",
    "languages": ["en", "da"],
    "policy": {"name": "base", "model": "croco-nano"},
    "prompts": {"corpus": "locale"},
    "scorers": [{"name": "reference"}],
}
OPTIONS = {"reward-model": RewardModelOptions, "implicit": ImplicitOptions, "typicality": TypicalityOptions}


def fragments() -> list[dict[str, Any]]:
    blocks = [
        yaml.safe_load(block)
        for name in ("training.md", "croco-nano.md")
        for block in re.findall(r"```yaml\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)
    ]
    assert len(blocks) >= 7
    return blocks


@pytest.mark.parametrize("fragment", fragments(), ids=lambda x: "-".join(x))
def test_every_fragment_fits_into_a_config(fragment: dict[str, Any]):
    whole = {**BARE, **fragment}
    if "translate" in fragment:
        del whole["prompts"]
    config = TrainConfig.model_validate(whole)
    for scorer in config.scorers:
        kind = scorer.scorer or scorer.name
        if kind in OPTIONS:
            OPTIONS[kind].model_validate(scorer.options)


@pytest.mark.parametrize(
    ("scorer", "known"),
    [("reward-model", RewardModelOptions), ("implicit", ImplicitOptions), ("translation", TranslationOptions)],
)
def test_the_options_of_a_scorer_are_all_there(scorer: str, known: type):
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    bullets = text[text.index(f"- `{scorer}`:") : text.index("\n## `pair`")]
    for option in known.model_fields:  # pyright: ignore[reportAttributeAccessIssue]
        assert f"`{option}`" in bullets or option == "allow_base_mismatch", option
