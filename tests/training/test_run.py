"""The stages from prompts to adapters, with the packaged tiny model and real trainers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from croco_eval.harness import registry
from croco_eval.harness.errors import StoreError, UserError
from croco_eval.training.config import read_train_config
from croco_eval.training.run import run as run_stages

SMALL = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "max_length": 128}


class Silent:
    """Progress that nobody looks at."""

    def begin(self, name: str) -> None: ...

    def answers(self, done: int, expected: int) -> None: ...

    def end(self) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def config(folder: Path) -> Callable[..., Path]:
    def write(**changes: object) -> Path:
        settings = {
            "name": "try",
            "languages": ["en", "da"],
            "policy": {"name": "base", "model": "croco-nano"},
            "prompts": {"corpus": "locale", "limit": 5},
            "sample": {"n": 4, "max_new_tokens": 48},
            "scorers": [{"name": "reference"}],
            "sft": {"learning_rate": 2e-3, **SMALL},
            "dpo": {"learning_rate": 1e-3, **SMALL},
            "out": str(folder / "try"),
            **changes,
        }
        path = folder / "train.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return path

    return write


def run(path: Path, *stages: str) -> list[str]:
    said: list[str] = []
    run_stages(read_train_config(path), stages, said.append, Silent())
    return said


@pytest.fixture(scope="module")
def done(config, folder: Path) -> Path:
    said = run(config(), "sample", "score", "pair", "sft", "dpo")
    assert any(x.startswith("dpo: loss") for x in said)
    return folder / "try"


def test_every_stage_leaves_a_dataset_and_what_made_it(done: Path):
    candidates = pd.read_parquet(done / "sample" / "data.parquet")
    assert len(candidates) == 2 * 5 * (4 + 1)
    assert candidates.groupby("kind").size().to_dict() == {"generation": 40, "gold": 10}
    rewards = pd.read_parquet(done / "score" / "reference" / "data.parquet")
    assert rewards["prompt_id"].tolist() == candidates["prompt_id"].tolist()
    gold = rewards["reward"][candidates["kind"] == "gold"]
    assert gold.min() > rewards["reward"][candidates["kind"] == "generation"].mean()
    pairs = pd.read_parquet(done / "pair" / "data.parquet")
    assert len(pairs)
    assert (pairs["chosen_score"] > pairs["rejected_score"]).all()
    for stage in ("sample", "score/reference", "pair", "sft", "dpo"):
        info = json.loads((done / stage / "cell.json").read_text())
        assert info["fingerprint"]
    assert json.loads((done / "sample" / "cell.json").read_text())["on_policy"] is True


def test_adapters_are_systems_and_logs_are_tables(done: Path, cli, tmp_path: Path):
    for stage in ("sft", "dpo"):
        assert (done / stage / "adapter" / "adapter_model.safetensors").is_file()
        log = pd.read_csv(done / stage / "log.csv")
        assert log["loss"].notna().all()
    assert pd.read_csv(done / "dpo" / "log.csv")["reward_accuracy"].between(0, 1).all()
    systems = [{"name": "base", "model": "croco-nano"}]
    systems += [{"name": x, "model": "croco-nano", "adapter": str(done / x / "adapter")} for x in ("sft", "dpo")]
    settings = {"name": "r", "languages": ["en"], "systems": systems, "suites": [{"name": "locale", "limit": 1}]}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert cli("run", "run.yaml").returncode == 0


def test_what_is_done_is_not_done_again(done: Path, config):
    before = {x: x.stat().st_mtime_ns for x in done.rglob("*") if x.is_file()}
    run(config(), "sample", "score", "pair", "sft", "dpo")
    assert {x: x.stat().st_mtime_ns for x in done.rglob("*") if x.is_file()} == before


def test_another_pair_rule_samples_nothing_and_a_changed_stage_is_refused_by_name(done: Path, config):
    with pytest.raises(StoreError, match=r"stage 'pair' was begun with other settings .*reject_target"):
        run(config(pair={"reject_target": "min"}), "pair")
    with pytest.raises(StoreError, match=r"stage 'sample' was begun with other settings .*temperature"):
        run(config(sample={"n": 4, "max_new_tokens": 48, "temperature": 0.5}), "sample")


def test_a_second_scorer_is_a_second_column(done: Path, config):
    scorers = [{"name": "reference"}, {"name": "again", "scorer": "reference"}]
    run(config(scorers=scorers), "score")
    first, second = (pd.read_parquet(done / "score" / x / "data.parquet") for x in ("reference", "again"))
    pd.testing.assert_frame_equal(first, second)


class Interrupting(Silent):
    """Stops the run once some answers are known."""

    def answers(self, done: int, expected: int) -> None:
        if done and not expected:
            raise KeyboardInterrupt


def test_an_interrupted_sampling_keeps_its_answers_and_ends_with_the_same_candidates(done: Path, config, folder: Path):
    whole = pd.read_parquet(done / "sample" / "data.parquet")
    policy = {"name": "base", "model": "croco-nano", "batch_tokens": 512}
    settings = read_train_config(config(out=str(folder / "again"), policy=policy))
    with pytest.raises(KeyboardInterrupt):
        run_stages(settings, ["sample"], lambda message: None, Interrupting())
    kept = (folder / "again" / "sample" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert 0 < len(kept) < 40
    run_stages(settings, ["sample"], lambda message: None, Silent())
    again = pd.read_parquet(folder / "again" / "sample" / "data.parquet")
    pd.testing.assert_frame_equal(again, whole)


def test_stages_out_of_order_and_wrong_names_are_refused(config, folder: Path):
    path = config(out=str(folder / "empty"))
    with pytest.raises(UserError, match="stage 'sample' is not done"):
        run(path, "score")
    with pytest.raises(UserError, match="did you mean 'dpo'"):
        run(path, "dop")
    with pytest.raises(UserError, match=r"pair\.reward 'rm' is not one of the scorers"):
        run(config(pair={"reward": "rm"}), "pair")
    with pytest.raises(UserError, match="reject_target"):
        run(config(pair={"reject_target": "mum"}), "pair")


def test_scorers_are_registered_by_name():
    assert {"reference", "reward-model"} <= set(registry.names("scorers"))
