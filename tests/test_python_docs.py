"""The examples of docs/python.md run: on a small real run, and as a package of a third party."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
import pytest
import yaml
from croco_eval.harness import registry
from croco_eval.harness.config.run_config import parse_config
from croco_eval.harness.run.execute import execute
from helpers.paths import ROOT
from rich.console import Console

TEXT = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


EXAMPLES = [x for x in blocks("python") if not x.startswith("# my_package/")]
FILES = {x.splitlines()[0].removeprefix("# "): x for x in blocks("python") if x.startswith("# my_package/")}


def run(folder: Path, settings: str) -> Path:
    config = parse_config(settings, "docs/python.md", folder)
    execute(config, folder / "runs" / config.name, Console(quiet=True)).raise_if_incomplete()
    return folder / "runs" / config.name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``runs/my-tuning`` in it."""
    folder = tmp_path_factory.mktemp("docs")
    system = {"model": "croco-nano", "generation": {"max_new_tokens": 24}}
    settings = {
        "name": "my-tuning",
        "languages": ["da", "en"],
        "systems": [{"name": "base", **system}, {"name": "tuned", "adapter": "croco-nano-sft", **system}],
        "suites": [{"name": "locale", "limit": 3}, {"name": "locale-open", "limit": 2}],
        "judges": ["reference"],
    }
    run(folder, yaml.safe_dump(settings))
    return folder


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's package, as an installer would write it."""
    for name, code in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code, encoding="utf-8")
    (declared,) = blocks("toml")
    groups = tomllib.loads(declared)["project"]["entry-points"]
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for group, of in groups.items()]
    (info / "entry_points.txt").write_text("".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    registry._entries.cache_clear()
    yield
    registry._entries.cache_clear()


def test_the_examples_run_one_after_the_other(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    assert len(EXAMPLES) >= 6
    for number, example in enumerate(EXAMPLES):
        exec(compile(example, f"docs/python.md, example {number + 1}", "exec"), names)
    written = {x.name for x in (folder / "runs" / "my-tuning").rglob("*")}
    assert {"comparisons.csv", "leaderboard.csv", "report.md"} <= written
    assert {"differences.png", "differences.pdf"} <= {x.name for x in folder.iterdir()}


def test_the_package_of_the_page_makes_a_run(installed: None, tmp_path: Path):
    assert distribution("my-package").version == "1.0"
    assert set(FILES) == {"my_package/suite.py", "my_package/judge.py", "my_package/backend.py"}
    (settings,) = blocks("yaml")
    scores = pd.read_csv(run(tmp_path, settings) / "scores.csv")
    sums = scores[scores["suite"].eq("sums") & scores["task"].eq("sums")]
    assert set(zip(sums["system"], sums["language"], strict=True)) >= {("parrot", "da"), ("base", "en")}
    parrot = sums[sums["system"].eq("parrot") & sums["language"].eq("en")].iloc[0]
    assert (parrot["value"], parrot["n"]) == (0.2, 5)  # "0 + 0 =" holds its own answer
    assert "win_rate[shorter]" in set(scores["metric"])
