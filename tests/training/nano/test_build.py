"""croco-nano: what is shipped, what it was trained on, and that it can be built again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from importlib.resources import as_file, files
from pathlib import Path

import pandas as pd
import pytest
import yaml
from croco_eval.harness import registry
from croco_eval.harness.models.sources import find_model
from croco_eval.harness.models.tuning import read_tuning
from croco_eval.harness.text.languages import LANGUAGES
from croco_eval.tasks.locale import cldr
from croco_eval.tasks.locale.corpus import FLAWS, LocaleCorpus
from croco_eval.tasks.locale.facts import in_split
from croco_eval.tasks.locale.items import build_items, families_in
from croco_eval.tasks.locale.open_items import build_open_items, open_families_in
from croco_eval.training.nano.build import read_recipe
from croco_eval.training.nano.shipped import STUDY
from croco_eval.training.study.run_study import evaluated_arms, training_config
from safetensors import safe_open

MEGABYTES = 2**20


@pytest.fixture(scope="module")
def base_text():
    return list(LocaleCorpus().base_documents(dict.fromkeys(LANGUAGES, 1.0), passes=1, seed=read_recipe()["seed"]))


@pytest.fixture(scope="module")
def tuning_text():
    return list(LocaleCorpus().tuning_documents(tuple(LANGUAGES), seed=read_recipe()["seed"]))


def test_shipped_weights_are_small_and_name_no_place_on_a_machine(nano: Path):
    files = [x for x in nano.parent.rglob("*") if x.is_file()]
    assert sum(x.stat().st_size for x in files) < 16 * MEGABYTES
    for file in files:
        if file.suffix == ".json":
            assert "/" not in json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path", "")
            assert "_name_or_path" not in json.loads(file.read_text(encoding="utf-8"))


def test_the_study_s_adapters_are_packaged_one_for_each_arm_and_say_how_they_were_tuned():
    arms = {x.name.rpartition("/")[0]: x for x in evaluated_arms(training_config(None, Path("study")))
            if x.settings.seed == 42}  # fmt: skip
    names = {x.removeprefix(STUDY): x for x in registry.names("models") if x.startswith(STUDY)}
    assert set(names) == set(arms)
    for arm, name in names.items():
        tuning = read_tuning(find_model(name))
        assert tuning is not None
        assert (tuning.arm, tuning.trainer, tuning.seed) == (arms[arm].name, arms[arm].trainer, 42)


def test_every_packaged_model_says_what_it_is():
    told = [registry.load("models", x).__doc__ for x in registry.names("models") if x.startswith("croco-nano")]
    assert len(set(told)) == len(told) >= 10
    assert all(x and x.startswith("croco-nano") for x in told)


def test_the_packaged_comparison_of_the_study_s_adapters_plans(cli, tmp_path: Path):
    with as_file(files("croco_eval.configs") / "nano-arms.yaml") as config:
        done = cli("run", config, "--dry-run")
    assert done.returncode == 0, done.stderr


def test_the_base_has_three_to_four_million_parameters(nano: Path):
    with safe_open(nano / "model.safetensors", framework="numpy") as weights:
        sizes = [pd.Series(weights.get_slice(x).get_shape()).prod() for x in weights.keys()]  # noqa: SIM118
    assert 3_000_000 <= sum(sizes) <= 4_000_000


def test_no_evaluation_item_stands_in_the_training_text(base_text, tuning_text):
    """Neither its whole prompt nor, where the question alone tells the fact, its question; for several seeds.

    The reverse families ask "where is this currency used?" in both splits, with other options and another answer.
    """
    prompts = {x.prompt for x in base_text} | {x.prompt for x in tuning_text}
    questions = {x.split("\n")[0] for x in prompts}
    for language in LANGUAGES:
        for seed in (0, 1, 42, 47):
            items = [x for f in families_in(language) for x in build_items(f, language, 100, seed)]
            opened = [x for f in open_families_in(language) for x in build_open_items(f, language, 100, seed)]
            assert not prompts & {x.prompt for x in (*items, *opened)}
            assert not questions & {x.prompt.split("\n")[0] for x in items if "reverse" not in x.family}


def test_tuning_text_is_about_no_territory_of_the_evaluation(tuning_text):
    for language in ("en", "de", "cy"):
        evaluated = {cldr.territory_name(x.code, language) for x in in_split("evaluation")}
        asked = [
            x
            for x in tuning_text
            if x.language == language and x.family in ("currency", "official_language", "describe")
        ]
        assert asked
        for document in asked:
            question = document.prompt.split("\n")[0]
            assert not any(f": {name}." in question or f": {name}?" in question for name in evaluated), question


def test_answers_to_open_prompts_have_their_flaws_in_the_stated_shares(base_text, tuning_text):
    families = {"describe", "languages", "compare", "weekdays", "months", "date"}
    flaws = Counter(x.flaw for x in base_text if x.family in families)
    total = sum(flaws.values())
    assert set(flaws) == set(FLAWS)
    for flaw, share in FLAWS.items():
        assert flaws[flaw] / total == pytest.approx(share, abs=0.02)
    assert {x.flaw for x in tuning_text} == {"good"}


def test_the_recipe_is_imbalanced_on_purpose():
    shares = read_recipe()["shares"]
    assert set(shares) == set(LANGUAGES)
    assert min(shares[x] for x in ("en", "de", "fr")) > 3 * max(shares[x] for x in ("mt", "ga", "cy"))


def test_base_accuracy_is_above_chance_in_the_high_group_and_leaves_room(cli, write_config, tmp_path: Path):
    """A sixth of the packaged comparison: multiple choice in three large and three small languages."""
    config = write_config(
        languages=["en", "de", "fr", "cy", "ga", "mt"],
        systems=[{"name": "base", "model": "croco-nano"}],
        suites=[{"name": "locale", "limit": 15}],
        judges=None,
    )
    done = cli("run", config)
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(tmp_path / "runs" / "trial" / "scores.csv")
    choice = scores[(scores["metric"] == "acc")]
    high = choice[choice["language"].isin(["en", "de", "fr"])]
    low = choice[choice["language"].isin(["cy", "ga", "mt"])]
    mean = (high["value"] * high["n"]).sum() / high["n"].sum()
    error = (mean * (1 - mean) / high["n"].sum()) ** 0.5
    assert mean - 4 * error > 0.25
    assert mean < 0.9
    whole = scores[(scores["task"] == "all") & (scores["metric"] == "score")].set_index("language")
    assert 0.2 < whole.loc["high", "value"] < 0.9
    assert (low["value"] * low["n"]).sum() / low["n"].sum() < mean


def test_nano_build_gives_the_same_weights_from_the_same_seed(cli, tmp_path: Path):
    recipe = read_recipe() | {"shares": {"en": 0.05, "mt": 0.05}, "tokenizer": {"vocab_size": 600}}
    recipe["base"] = [stage | {"passes": 1} for stage in recipe["base"]]
    recipe["model"] |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 1, "num_key_value_heads": 1}
    recipe["model"] |= {"intermediate_size": 64}
    recipe["sft"] |= {"languages": ["mt"], "per_device_train_batch_size": 64}
    recipe["reward"] |= {"preferences": {"corpus": "locale", "flaws": ["partial"]}, "per_device_train_batch_size": 64}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    digests = []
    for name in ("first", "second"):
        done = cli("nano", "build", "--recipe", "recipe.yaml", "--out", name)
        assert done.returncode == 0, done.stderr
        digests.append(
            {
                str(x.relative_to(tmp_path / name)): hashlib.sha256(x.read_bytes()).hexdigest()
                for x in sorted((tmp_path / name).rglob("*"))
                if x.is_file()
            }
        )
    assert digests[0] == digests[1]
    assert {
        "croco-nano/model.safetensors",
        "croco-nano-sft/adapter_model.safetensors",
        "croco-nano-reward/model.safetensors",
    } <= set(digests[0])
