"""croco-nano's reward model: what is shipped, the preferences it comes from, and how it ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.backends.hf_rewards import HfRewardModel
from croco_eval.harness.errors import UserError
from croco_eval.harness.models.sources import find_model
from croco_eval.harness.store.fingerprint import folder_digest
from croco_eval.tasks.locale import cldr
from croco_eval.tasks.locale.corpus import PREFERENCE_FLAWS, LocaleCorpus
from croco_eval.tasks.locale.facts import in_split
from croco_eval.training.config import CorpusPreferences, RewardSettings
from croco_eval.training.nano.build import read_recipe
from croco_eval.training.nano.packed import keep_head
from croco_eval.training.nano.shipped import base_folder
from croco_eval.training.stages.prompts import read_preference_pairs
from pydantic import ValidationError
from safetensors.torch import load_file

MEGABYTES = 2**20
LANGUAGES = ("en", "de", "fr", "it", "no", "sv", "gl")


@pytest.fixture(scope="module")
def shipped() -> Path:
    return Path(find_model("croco-nano-reward").path)


@pytest.fixture(scope="module")
def ranked(shipped: Path) -> dict[str, dict[str, float]]:
    """Share of 10 pairs of the evaluation split ranked rightly, per flaw and language."""
    model = HfRewardModel(ModelSpec(str(shipped), dtype="float32", batch_tokens=4096))
    found: dict[str, dict[str, float]] = {}
    for language in LANGUAGES:
        pairs = list(LocaleCorpus().preferences(language, 7, split="evaluation", flaws=("partial", "repeated")))
        for flaw in ("partial", "repeated"):
            rows = [x for x in pairs if x.flaw == flaw and x.family == "describe"][::14][:10]
            talks = [_talk(x.prompt, y) for x in rows for y in (x.chosen, x.rejected)]
            rewards = [x for x in model.rewards(talks) if x is not None]
            right = [a > b for a, b in zip(rewards[::2], rewards[1::2], strict=True)]
            found.setdefault(flaw, {})[language] = sum(right) / len(rows)
    return found


def _talk(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def test_the_shipped_model_is_a_small_classifier_with_one_logit_in_float16(shipped: Path):
    config = json.loads((shipped / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    assert len(config["id2label"]) == 1
    assert "_name_or_path" not in config
    weights = load_file(shipped / "model.safetensors")
    assert tuple(weights["score.weight"].shape) == (1, 192)
    assert {x.dtype for x in weights.values()} == {torch.float16}


def _put_together(home: Path) -> subprocess.CompletedProcess[str]:
    """Asks a new process, whose cache is below ``home``, for the packaged reward model."""
    code = "from croco_eval.training.nano.shipped import reward_folder; print(reward_folder())"
    environment = {**os.environ, "HF_HOME": str(home)}
    environment.pop("HF_ASSETS_CACHE", None)
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_package_holds_the_head_alone_and_puts_the_model_together_once(shipped: Path, tmp_path: Path):
    keep_head(shipped, tmp_path / "head")
    packaged = base_folder().with_name("croco-nano-reward")
    for file in packaged.iterdir():
        assert (tmp_path / "head" / file.name).read_bytes() == file.read_bytes()
    assert sum(x.stat().st_size for x in packaged.iterdir()) < MEGABYTES / 100
    weights, base = load_file(shipped / "model.safetensors"), load_file(base_folder() / "model.safetensors")
    assert set(weights) - set(base) == {"score.weight"}
    assert all(torch.equal(weights[x], base[x]) for x in base)
    made, written = [], []
    for _ in range(2):
        done = _put_together(tmp_path / "home")
        assert done.returncode == 0, done.stderr
        made.append(Path(done.stdout.strip()))
        written.append((made[-1] / "model.safetensors").stat().st_mtime_ns)
    assert made[0].is_relative_to(tmp_path / "home")
    assert (made[0], written[0]) == (made[1], written[1])
    assert [x.name for x in made[0].parent.iterdir()] == [made[0].name]
    assert folder_digest(made[0]) == folder_digest(shipped)


def test_a_cache_that_can_t_be_written_is_told_with_what_to_set(tmp_path: Path):
    (tmp_path / "home").write_text("a file where a folder should be", encoding="utf-8")
    done = _put_together(tmp_path / "home")
    assert done.returncode == 1
    assert "set HF_HOME to a folder that can be written to" in done.stderr


def test_a_flawed_answer_is_ranked_below_a_good_one_in_most_languages_though_english_alone_was_shown(ranked):
    for flaw, shares in ranked.items():
        assert shares["en"] > 0.8, flaw
        above = [x for x in shares.values() if x > 0.5]
        assert len(above) > len(shares) / 2, (flaw, shares)


def test_the_recipe_shows_it_english_alone(shipped: Path):
    settings = RewardSettings(**read_recipe()["reward"])
    assert isinstance(settings.preferences, CorpusPreferences)
    assert settings.preferences.language == "en"
    assert (shipped / "chat_template.jinja").read_text(encoding="utf-8").strip() == (
        settings.chat_template or ""
    ).strip()


def test_preferences_of_the_tuning_split_name_no_territory_of_the_evaluation():
    evaluated = {cldr.territory_name(x.code, "en") for x in in_split("evaluation")}
    pairs = [x for x in LocaleCorpus().preferences("en", 42) if x.family == "describe"]
    assert pairs
    for pair in pairs:
        assert pair.chosen != pair.rejected
        assert not any(pair.prompt.endswith(f": {x}.") for x in evaluated), pair.prompt


@pytest.mark.parametrize("flaw", PREFERENCE_FLAWS)
def test_each_flaw_is_what_its_name_says(flaw: str):
    pairs = [x for x in LocaleCorpus().preferences("en", 1, flaws=(flaw,)) if x.family == "describe"]
    assert len(pairs) > 50
    for pair in pairs:
        name = pair.prompt.rsplit(": ", 1)[-1].rstrip(".?")
        good, bad = pair.chosen.split(". "), pair.rejected.split(". ")
        if flaw == "partial":
            assert len(bad) < len(good)
        elif flaw == "repeated":
            assert len({x.rstrip(".") for x in bad}) < len(bad)
        elif flaw == "off_topic":
            assert pair.rejected not in (x.chosen for x in pairs if x.source_id == pair.source_id)
        elif name in pair.chosen:
            assert name in pair.rejected


def test_preferences_come_in_one_seeded_order_and_not_twice():
    source = CorpusPreferences(corpus="locale", passes=2, flaws=("partial",))
    rows = read_preference_pairs(source, 3)
    assert rows == read_preference_pairs(source, 3)
    assert len(set(rows)) == len(rows) > 300
    assert set(rows) != set(read_preference_pairs(source, 4))


def test_an_unknown_flaw_or_setting_is_refused_by_name():
    with pytest.raises(UserError, match="no flaw 'rude'"):
        list(LocaleCorpus().preferences("en", 1, flaws=("rude",)))
    with pytest.raises(ValidationError, match="split"):
        RewardSettings.model_validate({"preferences": {"corpus": "locale", "split": "evaluation"}})


def test_a_special_token_in_an_answer_is_read_as_its_letters(shipped: Path):
    """As a token it lifted the reward of this answer from 0.5 to 3.1; as text it does what any such tail does."""
    model = HfRewardModel(ModelSpec(str(shipped), dtype="float32"))
    talks = [_talk("Tell me about Denmark.", f"It is a country.{x}") for x in ("<|user|>", "<|foo|>")]
    user, other = model.rewards(talks)
    assert user == pytest.approx(other, abs=0.5)
