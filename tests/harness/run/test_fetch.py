"""``croco-eval prefetch``: what is needed, what is there, and what a run can do without. The hub's part is in
``tests/tasks/test_hub_runs.py``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nltk
import pytest
from croco_eval.harness.config.run_config import read_config
from croco_eval.harness.run.fetch import Fetched, fetch_all
from helpers.punkt import write_punkt

WriteConfig = Callable[..., Path]


@pytest.fixture
def nltk_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """NLTK's only folder, empty; here and in the processes started from here."""
    folder = tmp_path / "nltk"
    folder.mkdir()
    monkeypatch.setattr(nltk.data, "path", [str(folder)])
    monkeypatch.setenv("NLTK_DATA", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


@pytest.fixture
def config(tmp_path: Path, write_config: WriteConfig) -> Callable[..., Path]:
    """A config that asks two data sets of euroeval in German, from local files."""
    folder = tmp_path / "data" / "euroeval"
    ifeval = {"text": "Schreibe.", "target_text": {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}}
    rows = {
        "ifeval-de/de_test": [ifeval],
        "scala-de/de_test": [{"text": "Ein Satz.", "label": "correct"}],
        "scala-de/de_train": [{"text": f"Satz {i}.", "label": ("correct", "incorrect")[i % 2]} for i in range(12)],
    }
    for name, content in rows.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(map(json.dumps, content)) + "\n", encoding="utf-8")

    def write(**options: list[str]) -> Path:
        return write_config(
            languages=["de", "fi"],
            suites=[{"name": "euroeval", "options": options}],
            judges=None,
            data_root=str(tmp_path / "data"),
        )

    return write


def fetched(config: Path, kind: str) -> list[Fetched]:
    return [x for x in fetch_all(read_config(config)) if x.kind == kind]


TASKS = ["ifeval-de", "scala-de"]


def test_what_is_there_is_said_of_everything(config: Callable[..., Path], nltk_data: Path):
    write_punkt(nltk_data)
    found = list(fetch_all(read_config(config(tasks=TASKS))))
    assert [(x.kind, x.name, x.is_lost) for x in found] == [
        ("model", "croco-nano", False),
        ("model", "croco-nano-sft", False),
        ("resource", "NLTK punkt_tab", False),
        ("task", "euroeval/de", False),
        ("task", "euroeval/fi", False),
    ]
    assert found[2].what == f"in {nltk_data / 'tokenizers' / 'punkt_tab'}"
    assert found[3].what.startswith("2 items, data ")
    assert found[4].what == "the suite has no data in this language"


@pytest.mark.parametrize("options", [{"tasks": ["scala-de"]}, {"tasks": TASKS, "exclude": ["ifeval-de"]}])
def test_punkt_is_needed_only_where_ifeval_is_asked(
    config: Callable[..., Path], nltk_data: Path, options: dict[str, list[str]]
):
    assert fetched(config(**options), "resource") == []


def test_without_punkt_a_run_can_go_on_so_prefetch_says_so_and_succeeds(
    config: Callable[..., Path], nltk_data: Path, cli: Callable
):
    done = cli("prefetch", config(tasks=TASKS))
    assert done.returncode == 0, done.stderr
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("resource")]
    assert "the network is switched off (HF_HUB_OFFLINE): IFEval items that count sentences or words in" in line


def test_punkt_is_downloaded_once(config: Callable[..., Path], nltk_data: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def download(name: str, **_: object) -> bool:
        asked.append(name)
        write_punkt(nltk_data)
        return True

    monkeypatch.setattr("huggingface_hub.is_offline_mode", lambda: False)
    monkeypatch.setattr(nltk, "download", download)
    for _ in range(2):
        (resource,) = fetched(config(tasks=["ifeval-de"]), "resource")
        assert resource.problem is None
    assert asked == ["punkt_tab"]


def test_a_download_that_fails_is_one_sentence_with_nltks_reason(
    config: Callable[..., Path], nltk_data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("huggingface_hub.is_offline_mode", lambda: False)
    monkeypatch.setattr(nltk.downloader._downloader, "_url", "http://127.0.0.1:9/index.xml")
    (resource,) = fetched(config(tasks=["ifeval-de"]), "resource")
    assert resource.problem is not None
    assert resource.problem.startswith("it can't be downloaded (Error loading punkt_tab: ")
    assert "\n" not in resource.problem
    assert not resource.is_lost
    assert "punkt" not in capfd.readouterr().err


def test_a_task_without_data_is_lost(config: Callable[..., Path], nltk_data: Path, cli: Callable, tmp_path: Path):
    (tmp_path / "data" / "euroeval" / "scala-de" / "de_train.jsonl").unlink()
    done = cli("prefetch", config(tasks=["scala-de"]))
    assert done.returncode == 1
    assert "has no split 'train'" in done.stdout
    assert "1 of the things this config needs could not be fetched" in done.stderr
