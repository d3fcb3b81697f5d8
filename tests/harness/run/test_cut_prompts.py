"""A run whose prompts are longer than the model's window says so, and leaves their items unscored if it is asked to."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

FILLER = "The rain fell on the harbour and the boats did not go out that day. " * 110


@pytest.mark.parametrize("truncate", ["cut", "refuse"])
def test_prompts_that_do_not_fit_are_told_and_counted(cli, write_config, tmp_path: Path, truncate: str):
    rows = [{"question": f"{x}Which city?", "answer": "Oslo", "choices": ["Oslo", "Rome"]} for x in (FILLER, "")]
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "rows.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
    common = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tasks / "rows.jsonl")}},
        "test_split": "test",
        "doc_to_text": "{{question}}",
    }
    choice = {"output_type": "multiple_choice", "doc_to_target": 0, "doc_to_choice": "choices"}
    free = {"output_type": "generate_until", "doc_to_target": "{{answer}}", "generation_kwargs": {"max_gen_toks": 4}}
    for name, more, metric in (("mc", choice, "acc"), ("say", free, "exact_match")):
        task = {"task": f"{name}_en", **common, **more, "metric_list": [{"metric": metric}]}
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump(task))
    write_config(
        languages=["en"],
        systems=[{"name": "base", "model": "croco-nano", "truncate": truncate}],
        suites=[{"name": x, "task": f"{x}_en", "few_shot": 0} for x in ("mc", "say")],
        task_path="tasks",
        judges=[],
    )
    done = cli("run", "config.yaml")
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    word = "refused" if truncate == "refuse" else "cut by"
    assert f"base, mc, en: 2 of 4 prompts are longer than the model's window and were {word}" in said
    assert f"base, say, en: 1 of 2 prompts are longer than the model's window and were {word}" in said
    for name in ("mc", "say"):
        cell = tmp_path / f"runs/trial/cells/base/{name}/en"
        scores = pd.read_parquet(cell / "scores.parquet")
        generations = pd.read_parquet(cell / "generations.parquet")
        assert (generations["n_cut"] > 0).tolist() == [True] * (len(generations) // 2) + [False] * (
            len(generations) // 2
        )
        assert generations["prompt"].str.startswith("<|user|>").all()
        assert scores["value"].isna().tolist() == [truncate == "refuse", False]
        if truncate == "refuse":
            assert scores["unscored"][0].startswith("the prompt is longer than the model's window by ")
