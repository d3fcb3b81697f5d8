"""``train pair CONFIG``: from candidates and rewards that are there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from croco_eval.training.records import Candidate, Prompt, Reward
from croco_eval.training.stages.folder import Stage


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """A config whose candidates and rewards are there."""
    prompts = [Prompt(f"{i}/{x}", str(i), x, f"{i}, {x}?") for x in ("da", "no") for i in range(3)]
    candidates = [
        Candidate(x.prompt_id, x.source_id, x.language, k, f"{x.prompt} {k}", "stop", "generation", "base")
        for x in prompts
        for k in range(4)
    ]
    rewards = [Reward(x.prompt_id, x.sample, float(x.sample)) for x in candidates]
    sample, score = Stage(tmp_path / "out", "sample"), Stage(tmp_path / "out", "score reference")
    sample.enter({"made": "here"})
    sample.finish(Candidate, candidates, {}, prompts=(Prompt, prompts))
    score.enter({"made": "here"})
    score.finish(Reward, rewards, {})

    def write(**changes: object) -> Path:
        settings = {
            "name": "try",
            "languages": ["da", "no"],
            "policy": {"name": "base", "model": "croco-nano"},
            "prompts": {"corpus": "locale"},
            "scorers": [{"name": "reference"}],
            "out": "out",
            **changes,
        }
        (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        return tmp_path / "train.yaml"

    return write


def pairs(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "out" / "pair" / "data.parquet")


def forget(folder: Path) -> None:
    for file in (folder / "out" / "pair").iterdir():
        file.unlink()


def test_pairs_are_made_once_and_told_again(config, cli, tmp_path: Path):
    path = config()
    first = cli("train", "pair", path)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines()[0].startswith("pair da: 3 pairs, reward gap 3.000")
    made, file = pairs(tmp_path), tmp_path / "out" / "pair" / "data.parquet"
    assert (len(made), set(made["prompt_language"])) == (6, {"da", "no"})
    written = file.stat().st_mtime_ns
    again = cli("train", "pair", path)
    assert (again.stdout, file.stat().st_mtime_ns) == (first.stdout, written)


def test_pairing_imports_none_of_what_other_stages_need(config, tmp_path: Path):
    code = (
        "import sys\nfrom croco_eval.harness.cli.main import main\n"
        f"sys.argv = ['croco-eval', 'train', 'pair', {str(config())!r}]\ntry:\n    main()\nfinally:\n"
        "    sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert not {"rich", "pandas", "torch", "py3langid", "transformers"} & set(done.stderr.split())
    assert len(pairs(tmp_path)) == 6


def test_a_config_that_was_changed_is_checked_again(config, cli, tmp_path: Path):
    cli("train", "pair", config())
    done = cli("train", "pair", config(pair={"reject_target": "mim"}))
    assert done.returncode == 2
    assert "reject_target" in done.stderr
    done = cli("train", "pair", config(pair={"reject_target": "mean"}))
    assert (done.returncode, "stage 'pair' was begun with other settings" in done.stderr) == (1, True)
    forget(tmp_path)
    assert cli("train", "pair", config(pair={"reject_target": "mean"})).returncode == 0
    assert set(pairs(tmp_path)["rejected_score"]) == {1.0}


def test_arms_have_their_own_pairs(config, cli, tmp_path: Path):
    arms = {"mono": {"trainer": "dpo", "languages": ["da"]}, "multi": {"trainer": "dpo", "pair": {"pool": "all"}}}
    path = config(arms=arms)
    done = cli("train", "pair", path)
    assert done.returncode == 0, done.stderr
    folders = {x: tmp_path / "out" / "arms" / x / "pair" for x in arms}
    assert set(pd.read_parquet(folders["mono"] / "data.parquet")["chosen_language"]) == {"da"}
    assert set(pd.read_parquet(folders["multi"] / "data.parquet")["pool_size"]) == {8}
    assert all(json.loads((x / "cell.json").read_text())["rows"] == 3 for x in folders.values())


def test_without_candidates_the_missing_stage_is_named(config, cli, tmp_path: Path):
    path = config(out="elsewhere")
    done = cli("train", "pair", path)
    assert done.returncode == 2
    assert "stage 'sample' is not done" in done.stderr
    assert cli("train", "pair", tmp_path / "nowhere.yaml").returncode == 2
