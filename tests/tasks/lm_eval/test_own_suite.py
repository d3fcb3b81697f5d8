"""One's own lm-eval YAML, as docs/own-task.md shows it, on the real SIB-200 files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.paths import ROOT

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def workplace(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples beside the data, as the document says; the data sets' cache goes to the same place."""
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sib200").symlink_to(shared_data / "sib200")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_sib200_runs_from_the_documented_example(cli, workplace: Path):
    config = yaml.safe_load((workplace / "sib200.yaml").read_text(encoding="utf-8"))
    config["suites"][0]["limit"] = 12
    config["languages"] = ["da", "no", "mt", "gl"]
    (workplace / "sib200.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    done: subprocess.CompletedProcess = cli("run", "sib200.yaml")
    assert done.returncode == 0, done.stderr
    assert "gap: my-sib200, gl: the suite has no data in this language" in done.stdout
    scores = pd.read_csv(workplace / "runs" / "my-sib200" / "scores.csv")
    acc = scores[(scores["metric"] == "acc") & (scores["system"] == "base")].set_index("language")
    assert acc["n"].to_dict() == {"da": 12, "no": 12, "mt": 12}
    pooled = scores[(scores["system"] == "base") & (scores["metric"] == "score") & (scores["language"] == "all")]
    assert pooled["n"].tolist() == [36]
    assert pooled["method"].tolist()[0] in ("cluster-t", "wilson")  # Wilson's where all items agree
    cells = workplace / "runs" / "my-sib200" / "cells" / "base" / "my-sib200"
    items = {x: pd.read_parquet(cells / x / "items.parquet") for x in ("da", "no")}
    assert items["da"]["source_id"].tolist() == items["no"]["source_id"].tolist()
    texts = pd.read_csv(workplace / "data" / "sib200" / "da_test.tsv", sep="\t")["text"]
    assert {x.removesuffix("\nTopic:") for x in items["da"]["prompt"]} <= set(texts)


def test_the_document_shows_the_files_that_run():
    document = (EXAMPLES.parent / "own-task.md").read_text(encoding="utf-8")
    for name in ("_sib200.yaml", "sib200_da.yaml"):
        lines = [x for x in (EXAMPLES / "sib200" / name).read_text(encoding="utf-8").splitlines() if x[:1] != "#"]
        assert "\n".join(lines) in document


def test_changed_data_are_refused(cli, workplace: Path):
    data = workplace / "data" / "sib200"
    source = data.resolve()
    data.unlink()
    data.mkdir()
    for split in ("train", "test"):
        shutil.copy(source / f"mt_{split}.tsv", data)
    config = yaml.safe_load((workplace / "sib200.yaml").read_text(encoding="utf-8"))
    config["languages"] = ["mt"]
    config["suites"][0]["limit"] = 5
    config["systems"] = config["systems"][:1]
    (workplace / "sib200.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert cli("run", "sib200.yaml").returncode == 0
    text = (data / "mt_test.tsv").read_text(encoding="utf-8")
    (data / "mt_test.tsv").write_text(text.replace(" il-", " l-"), encoding="utf-8")
    done = cli("run", "sib200.yaml")
    assert done.returncode == 1
    assert "task.data:" in done.stderr
