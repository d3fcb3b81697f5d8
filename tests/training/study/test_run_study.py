"""The study in miniature, at a toy size, as a user would run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from croco_eval.harness.config.run_config import read_config
from croco_eval.harness.models.sources import find_model
from croco_eval.harness.models.tuning import read_tuning
from croco_eval.training.study.run_study import evaluated_arms, evaluation_config, training_config
from safetensors.torch import load_file

TINY = {"num_train_epochs": 1, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "max_length": 96}
ARMS: dict[str, Any] = {
    "sft": {"trainer": "sft", "seeds": [1], "settings": {"answers": "gold"}},
    "mono": {"trainer": "dpo", "seeds": [1]},
    "off-policy": {
        "trainer": "dpo",
        "seeds": [1],
        "sample": {"policy": {"name": "other", "model": "croco-nano", "adapter": "croco-nano-sft"}},
    },
    "online": {"trainer": "online-dpo", "seeds": [1]},
    "teacher": {"trainer": "dpo", "languages": ["en"]},
    "icr": {"trainer": "dpo", "seeds": [1], "pair": {"reward": "icr"}},
}
SCORERS: list[dict[str, Any]] = [
    {"name": "reward", "scorer": "reference"},
    {"name": "reference"},
    {"name": "icr", "scorer": "implicit", "options": {"model": "croco-nano", "adapter": {"arm": "teacher"}}},
]


def write(folder: Path, **changes: Any) -> Path:
    settings = {
        "name": "toy",
        "languages": ["da", "en"],
        "policy": {"name": "base", "model": "croco-nano", "batch_tokens": 20000},
        "prompts": {"corpus": "locale", "limit": 4},
        "sample": {"n": 6, "max_new_tokens": 32},
        "scorers": SCORERS,
        "sft": {"learning_rate": 1e-3, **TINY},
        "dpo": {"learning_rate": 3e-4, **TINY},
        "online_dpo": {"learning_rate": 3e-4, **TINY, "max_new_tokens": 24},
        "arms": ARMS,
        **changes,
    }
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def test_the_packaged_study_has_all_arms_with_three_seeds_and_plans(tmp_path: Path, cli):
    settings = training_config(None, tmp_path)
    run = evaluation_config(None, settings, tmp_path, workers=2)
    names = [f"{x}-{seed}" for x in ("sft", "max-r", "mono", "multi", "off-policy", "online", "icr")
             for seed in (42, 43, 44)]  # fmt: skip
    assert [x.name for x in run.systems] == ["base", *names]
    assert run.reference == "base"
    assert len(run.languages) == 14
    assert run.arms.systems == {
        "on_policy": "mono-42", "off_policy": "off-policy-42", "online": "online-42", "offline": "mono-42",
        "dpo": "mono-42", "sft": "sft-42", "multi": "multi-42", "mono": "mono-42",
    }  # fmt: skip
    assert "icr-teacher" not in {x.name for x in evaluated_arms(settings)}


def test_a_toy_study_runs_through_the_command_and_says_which_findings_hold(cli, tmp_path: Path):
    write(tmp_path)
    base = {"name": "base", "model": "croco-nano", "generation": {"max_new_tokens": 24}}
    suites = [{"name": "locale", "limit": 1}, {"name": "locale-open", "limit": 1}]
    evaluation = {
        "name": "toy",
        "languages": ["da"],
        "systems": [base],
        "suites": suites,
        "judges": ["reference"],
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(evaluation), encoding="utf-8")
    options = ("--out", "study", "--workers", 1, "--training", "train.yaml", "--evaluation", "run.yaml")
    done = cli("nano", "study", *options)
    assert done.returncode == 0, done.stderr
    study = tmp_path / "study"
    findings = pd.read_csv(study / "report" / "findings.csv")
    assert findings["finding"].nunique() == 6
    assert set(findings["finding_answer"]) <= {"holds", "doesn't hold", "can't be told"}
    against = findings.loc[findings["candidate"] == "mono-1", "reference"].tolist()
    assert against == ["base", "base", "sft-1", "off-policy-1", "base"]
    trained = pd.read_csv(study / "report" / "training.csv").set_index("arm")
    assert set(trained.index) == set(ARMS)
    assert trained.loc[["mono", "icr"], "reward_margin"].notna().all()
    assert trained["ordered"].between(0, 1).all()
    assert (trained["ordered_low"] < trained["ordered_high"]).all()
    report = (study / "report" / "study.md").read_text(encoding="utf-8")
    assert f"Made by croco-eval nano study {' '.join(map(str, options))} (" in report
    assert "mono better than base in locale-open, win" in report
    adapter = study / "train" / "arms" / "teacher" / "dpo" / "adapter"
    made = json.loads((study / "train" / "score" / "icr" / "cell.json").read_text(encoding="utf-8"))
    assert made["fingerprint"]["scorer.adapter"]
    assert (adapter / "adapter_model.safetensors").exists()
    assert len(read_config(study / "run.yaml").systems) == 6
    kept = [study / "train" / "arms" / "icr" / "seed-1" / "dpo" / x
            for x in ("adapter/adapter_model.safetensors", "learned.parquet")]  # fmt: skip
    first = [x.stat().st_mtime_ns for x in kept]
    again = cli("nano", "study", *options)
    assert again.returncode == 0, again.stderr
    assert (study / "report" / "study.md").read_text(encoding="utf-8") == report
    assert [x.stat().st_mtime_ns for x in kept] == first

    packed = cli("nano", "pack", "study", "--training", "train.yaml", "--out", "packed")
    assert packed.returncode == 0, packed.stderr
    names = {x.name for x in (tmp_path / "packed").iterdir()}
    assert names == {f"croco-nano-study-{x}" for x in ("sft", "mono", "off-policy", "online", "icr")}
    folder = tmp_path / "packed" / "croco-nano-study-off-policy"
    assert {x.dtype for x in load_file(folder / "adapter_model.safetensors").values()} == {torch.float16}
    tuning = read_tuning(find_model(str(folder)))
    assert tuning is not None
    assert (tuning.arm, tuning.data, tuning.sampled_from) == ("off-policy/seed-1", "off-policy", "other")


def test_a_study_that_is_not_done_has_nothing_to_pack(cli, tmp_path: Path):
    write(tmp_path)
    done = cli("nano", "pack", "study", "--training", "train.yaml", "--out", "packed")
    assert done.returncode != 0
    assert "finish the study first (croco-eval nano study)" in done.stderr
