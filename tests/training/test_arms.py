"""Several tunings from one config: what they share, what each has of its own, and real trainers of every kind."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from croco_eval.harness.errors import DataError, ModelError, UserError
from croco_eval.harness.models.sources import find_model
from croco_eval.training.arms import choose_arms, resolve_arms
from croco_eval.training.config import DPO_LOSSES, DpoSettings, TrainConfig, read_train_config
from croco_eval.training.estimate import show_plan
from croco_eval.training.plan import ALL
from croco_eval.training.records import Pair
from croco_eval.training.run import run as run_stages
from helpers.paths import ROOT
from safetensors.torch import load_file

TINY = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "max_length": 96}
ONLINE = {**TINY, "max_new_tokens": 24}
ARMS: dict[str, Any] = {
    "gold": {"trainer": "sft", "settings": {"answers": "gold"}},
    "mono": {"trainer": "dpo", "seeds": [1, 2], "settings": {"save_steps": 1}},
    "multi": {"trainer": "dpo", "pair": {"pool": "all"}},
    "simpo": {"trainer": "dpo", "settings": {"loss_type": "simpo", "beta": 2.0}},
    "off": {"trainer": "dpo", "sample": {"policy": {"name": "other", "model": "croco-nano", "adapter": "sft"}}},
    "english": {"trainer": "dpo", "languages": ["en"]},
    "online": {"trainer": "online-dpo"},
    "grpo": {"trainer": "grpo", "settings": {"num_generations": 4}},
}


class Silent:
    """Progress that nobody looks at."""

    def begin(self, name: str) -> None: ...

    def answers(self, done: int, expected: int) -> None: ...

    def end(self) -> None: ...


def write(folder: Path, **changes: Any) -> TrainConfig:
    settings = {
        "name": "study",
        "languages": ["en", "da"],
        "policy": {"name": "base", "model": "croco-nano", "batch_tokens": 40000},
        "prompts": {"corpus": "locale", "limit": 6},
        "sample": {"n": 6, "max_new_tokens": 40},
        "scorers": [{"name": "reference"}],
        "sft": {"learning_rate": 2e-3, **TINY},
        "dpo": {"learning_rate": 1e-3, **TINY},
        "online_dpo": {"learning_rate": 1e-3, **ONLINE},
        "grpo": {"learning_rate": 1e-3, **ONLINE},
        "arms": ARMS,
        "out": str(folder / "out"),
        **changes,
    }
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return read_train_config(path)


def run(config: TrainConfig, *stages: str, said: list[str] | None = None, **more: Any) -> None:
    run_stages(config, stages, ([] if said is None else said).append, Silent(), **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arms")


@pytest.fixture(scope="module")
def config(folder: Path) -> TrainConfig:
    from croco_eval.training.nano.shipped import sft_folder

    arms = json.loads(json.dumps(ARMS).replace('"adapter": "sft"', f'"adapter": "{sft_folder()}"'))
    return write(folder, arms=arms)


@pytest.fixture(scope="module")
def done(config: TrainConfig, folder: Path) -> Path:
    run(config, *ALL)
    return folder / "out"


def adapter(folder: Path) -> dict[str, Any]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def test_every_arm_leaves_an_adapter_that_says_what_it_is(done: Path):
    kinds = {
        str(x.parent.parent.relative_to(done / "arms")): json.loads(x.read_text())
        for x in done.glob("arms/**/training.json")
    }
    assert {k: (v["trainer"], v["data"], v["pool"]) for k, v in kinds.items()} == {
        "gold/sft": ("sft", "gold", None),
        "mono/seed-1/dpo": ("dpo", "on-policy", "language"),
        "mono/seed-2/dpo": ("dpo", "on-policy", "language"),
        "multi/dpo": ("dpo", "on-policy", "all"),
        "simpo/dpo": ("dpo", "on-policy", "language"),
        "off/dpo": ("dpo", "off-policy", "language"),
        "english/dpo": ("dpo", "on-policy", "language"),
        "online/online-dpo": ("online-dpo", "online", None),
        "grpo/grpo": ("grpo", "online", None),
    }
    assert kinds["off/dpo"]["sampled_from"] == "other"


def test_arms_share_candidates_and_pairs_unless_they_change_them(done: Path):
    assert {str(x.relative_to(done)) for x in done.glob("**/sample")} == {"sample", "arms/off/sample"}
    assert {str(x.relative_to(done)) for x in done.glob("**/pair")} == {
        "pair", "arms/multi/pair", "arms/off/pair", "arms/english/pair",
    }  # fmt: skip
    policies = pd.read_parquet(done / "arms" / "off" / "sample" / "data.parquet")["policy"]
    assert set(policies) == {"other", "gold"}
    english = pd.read_parquet(done / "arms" / "english" / "pair" / "data.parquet")
    assert set(english["prompt_language"]) == {"en"}
    whole = pd.read_parquet(done / "pair" / "data.parquet")
    english_of_whole = whole[whole["prompt_language"] == "en"].reset_index(drop=True)
    pd.testing.assert_frame_equal(english.astype(object), english_of_whole.astype(object))


def test_seeds_differ_and_the_same_seed_gives_the_same_adapter(done: Path, config: TrainConfig, tmp_path: Path):
    one, two = (adapter(done / "arms" / "mono" / f"seed-{x}" / "dpo") for x in (1, 2))
    assert any((one[x] != two[x]).any() for x in one)
    again = config.model_copy(update={"out": str(tmp_path / "again")})
    run(again, "sample", "score", "pair", "dpo", arms=["mono/seed-1"])
    repeated = adapter(tmp_path / "again" / "arms" / "mono" / "seed-1" / "dpo")
    assert all((one[x] == repeated[x]).all() for x in one)
    assert not (tmp_path / "again" / "arms" / "mono" / "seed-2").exists()


@pytest.mark.parametrize(
    ("arm", "columns"),
    [
        ("gold/sft", ["loss", "kl", "grad_norm"]),
        ("mono/seed-1/dpo", ["loss", "reward_accuracy", "reward_margin", "kl", "grad_norm"]),
        ("simpo/dpo", ["loss", "reward_accuracy", "reward_margin", "kl"]),
        ("online/online-dpo", ["loss", "reward", "kl"]),
        ("grpo/grpo", ["reward", "kl"]),
    ],
)
def test_the_log_is_a_table_and_a_figure(done: Path, arm: str, columns: list[str]):
    log = pd.read_csv(done / "arms" / arm / "log.csv")
    assert log[[x for x in columns if x != "kl"]].notna().all().all()
    assert (log["kl"].dropna() >= 0).all()
    assert log["kl"].iloc[-1] > 0
    for kind in ("png", "pdf"):
        assert (done / "arms" / arm / f"log.{kind}").stat().st_size > 5000


def test_checkpoints_are_systems_and_a_learning_curve(done: Path, cli, tmp_path: Path):
    training = done / "arms" / "mono" / "seed-1" / "dpo"
    steps = sorted(int(x.name.split("-")[1]) for x in (training / "adapter").glob("checkpoint-*"))
    assert steps == list(range(1, len(pd.read_csv(training / "log.csv")) + 1))
    systems = [
        {"name": "base", "model": "croco-nano"},
        {"name": "dpo", "model": "croco-nano", "adapter": str(training / "adapter" / "checkpoint-*")},
    ]
    settings = {"name": "r", "languages": ["en"], "systems": systems, "suites": [{"name": "locale", "limit": 2}]}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert cli("run", "run.yaml", "--out", "run").returncode == 0
    assert cli("report", "run").returncode == 0
    curve = pd.read_csv(tmp_path / "run" / "checkpoints.csv")
    assert set(curve["step"]) == set(steps)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["systems"]["dpo-1"]["tuning"]["arm"] == "mono/seed-1"


def test_what_is_done_is_not_done_again(done: Path, config: TrainConfig):
    before = {x: x.stat().st_mtime_ns for x in done.rglob("*") if x.is_file()}
    run(config, *ALL)
    assert {x: x.stat().st_mtime_ns for x in done.rglob("*") if x.is_file()} == before


def test_a_run_that_diverges_stops_and_keeps_what_was_good(done: Path, config: TrainConfig, tmp_path: Path):
    arms = {"wild": {"trainer": "sft", "settings": {"answers": "gold", "learning_rate": 1e6, "save_steps": 1,
                                                    "num_train_epochs": 20, "max_grad_norm": 1e9}}}  # fmt: skip
    wild = write(tmp_path, arms=arms)
    with pytest.raises(ModelError, match=r"training diverges at step \d+ .* lower the learning rate"):
        run(wild, "sft")
    assert not (tmp_path / "out" / "arms" / "wild" / "sft" / "cell.json").exists()


def test_a_reward_model_learns_from_preferences_and_is_a_plain_classifier(tmp_path: Path):
    from transformers import AutoModelForSequenceClassification

    rows = [
        {"prompt": f"What is {x}?", "chosen": f"It is {x}.", "rejected": f"{x} {x} {x} {x}"}
        for x in ("tea", "bread", "rain", "salt", "milk", "sand", "wool", "corn") * 4
    ]
    (tmp_path / "preferences.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    reward = {"learning_rate": 2e-3, "num_train_epochs": 4, "preferences": "preferences.jsonl", **TINY}
    said: list[str] = []
    run(write(tmp_path, reward=reward, arms={}), "reward", said=said)
    assert "reward accuracy" in said[-1]
    log = pd.read_csv(tmp_path / "out" / "reward" / "log.csv")
    assert log["reward_accuracy"].iloc[-1] > 0.9
    made = tmp_path / "out" / "reward" / "model"
    model: Any = AutoModelForSequenceClassification.from_pretrained(made)
    assert model.config.num_labels == 1
    scorers = [{"name": "trained", "scorer": "reward-model", "options": {"model": str(made)}}]
    scored = write(tmp_path, scorers=scorers, arms={"x": {"trainer": "dpo"}})
    run(scored, "sample", "score")
    assert pd.read_parquet(tmp_path / "out" / "score" / "trained" / "data.parquet")["reward"].notna().any()


def test_accelerate_flags_that_no_shell_could_split_are_refused_before_anything_is_run(tmp_path: Path):
    config = write(tmp_path, arms={"gold": {"trainer": "sft", "settings": {"answers": "gold"}}})
    with pytest.raises(UserError, match=r"--accelerate .*No closing quotation"):
        run(config, "sft", accelerate="--num_processes '2")
    assert not (tmp_path / "out" / "sample").exists()


def test_accelerate_trains_in_several_processes(done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    arms = {"gold": {"trainer": "sft", "settings": {"answers": "gold"}}}
    two = write(tmp_path, arms=arms)
    run(two, "sft", accelerate="--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no")
    made = tmp_path / "out" / "arms" / "gold" / "sft"
    assert adapter(made)
    assert json.loads((made / "cell.json").read_text())["rows"] == 12
    steps = pd.read_csv(made / "log.csv")["step"].max()
    assert 0 < steps < pd.read_csv(done / "arms" / "gold" / "sft" / "log.csv")["step"].max()
    arms = {"wild": {"trainer": "sft", "settings": {"answers": "gold", "learning_rate": 1e9, "max_grad_norm": 1e9}}}
    wild = write(tmp_path, arms=arms)
    with pytest.raises(ModelError, match="training diverges at step"):
        run(wild, "sft", accelerate="--cpu --num_processes 1 --num_machines 1 --mixed_precision no")
    with pytest.raises(ModelError, match="accelerate launch --no_such_flag"):
        run(write(tmp_path, out=str(tmp_path / "b"), arms=arms), "sft", accelerate="--no_such_flag")


def test_the_plan_names_stages_rows_and_hours_and_runs_nothing(config: TrainConfig):
    said: list[str] = []
    show_plan(config, ALL, [], said.append)
    assert said[0].startswith("sample: 72 answers, 43.2 thousand tokens, less than 0.01 GPU hours")
    assert {x.split(":")[0] for x in said[:-1]} >= {"off/sample", "multi/pair", "mono/seed-2/dpo", "online/online-dpo"}
    assert said[-1].endswith("Nothing was run.")
    said.clear()
    show_plan(config, ["dpo"], ["mono"], said.append)
    assert [x.split(":")[0] for x in said[:-1]] == ["mono/seed-1/dpo", "mono/seed-2/dpo"]


def test_a_reward_model_is_planned_too(tmp_path: Path):
    rows = tmp_path / "preferences.jsonl"
    rows.write_text('{"prompt": "What is tea?", "chosen": "A drink.", "rejected": "A fish."}\n', encoding="utf-8")
    said: list[str] = []
    show_plan(write(tmp_path, reward={"preferences": str(rows)}), ["reward"], [], said.append)
    assert said[0].startswith("reward: 1 preferences, 1.6 thousand tokens, less than 0.01 GPU hours")
    with pytest.raises(UserError, match=r"reward\.preferences is missing"):
        show_plan(write(tmp_path), ["reward"], [], said.append)


@pytest.mark.parametrize("name", ["eurollm-9b", "tiny-aya"])
def test_the_studys_configs_parse_and_plan_without_their_models(name: str):
    config = read_train_config(ROOT / "configs" / f"{name}.yaml")
    said: list[str] = []
    show_plan(config, ALL, [], said.append)
    assert said[1].startswith("sample: 8,960,000 answers")
    assert not any("unknown" in x for x in said)
    assert (config.dpo.learning_rate, config.dpo.beta, config.dpo.lora.r, config.dpo.lora.alpha) == (5e-6, 0.1, 16, 32)


def test_arms_are_chosen_by_name_and_wrong_sections_are_told(tmp_path: Path):
    config = write(tmp_path)
    arms = resolve_arms(config)
    assert [x.name for x in choose_arms(arms, ["mono", "gold"])] == ["gold", "mono/seed-1", "mono/seed-2"]
    with pytest.raises(UserError, match=r"no arm 'mult' - did you mean 'multi'"):
        choose_arms(arms, ["mult"])
    for arm, told in (
        ({"trainer": "dpo", "settings": {"learning_rat": 1}}, r"arms\.x\.settings has no option 'learning_rat' - did"),
        (
            {"trainer": "dpo", "settings": {"loss_type": "simgoid"}},
            "unknown loss_type 'simgoid' - did you mean 'sigmoid'",
        ),
        ({"trainer": "dpo", "settings": {"loss_type": ["simpo", "sft"]}}, "simpo has no reference model"),
        ({"trainer": "dpo", "languages": ["fr"]}, r"arms\.x\.languages: 'fr' is not one of the config's languages"),
    ):
        with pytest.raises(UserError, match=told):
            resolve_arms(write(tmp_path, arms={"x": arm}))


def test_several_losses_are_weighed_as_asked(tmp_path: Path):
    from croco_eval.training.trainers.dpo import train_dpo

    pair = Pair("tea", "What is tea?", "en", "A drink.", "A fish.", 1.0, 0.0, "en", "en", 2)
    base = Path(find_model("croco-nano").path)
    first = {}
    for weights in ((1.0, 1.0), (1.0, 0.0)):
        settings = DpoSettings(loss_type=("sigmoid", "sft"), loss_weights=weights, max_length=96)
        first[weights] = train_dpo(base, [pair], tmp_path / str(weights) / "adapter", settings)[0]["loss"]
    assert first[1.0, 0.0] == pytest.approx(np.log(2), rel=1e-3)  # DPO's loss before anything is learnt
    assert first[1.0, 1.0] > np.log(2) + 0.3


def test_losses_are_those_of_the_trainer():
    from trl.trainer.dpo_trainer import DPOTrainer

    source = inspect.getsource(DPOTrainer)
    assert all(f'loss_type == "{x}"' in source for x in DPO_LOSSES)


def test_groups_that_a_batch_cannot_hold_and_missing_gold_are_refused(tmp_path: Path):
    arms = {"g": {"trainer": "grpo", "settings": {"num_generations": 3}}}
    with pytest.raises(UserError, match="num_generations 3 must divide"):
        run(write(tmp_path, arms=arms), "grpo")
    for code in ("en", "da"):
        (tmp_path / f"{code}.jsonl").write_text('{"prompt": "What is tea?"}\n', encoding="utf-8")
    arms = {"g": {"trainer": "sft", "settings": {"answers": "gold"}}}
    bare = write(tmp_path, arms=arms, prompts={"files": "{language}.jsonl"}, out=str(tmp_path / "bare"))
    with pytest.raises(DataError, match="no prompt has a gold answer"):
        run(bare, "sft")
