"""Bad input: one clear sentence, a non-zero exit, no traceback, nothing half-written left as if whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

BASE = {"name": "base", "model": "croco-nano"}


def sentence(done: subprocess.CompletedProcess, *expected: str, code: int | None = None) -> None:
    """Non-zero exit, no traceback, one message that holds the expected parts."""
    assert done.returncode != 0
    assert code is None or done.returncode == code
    assert "Traceback" not in done.stderr
    for part in expected:
        assert part in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"languages": ["dk"]}, "unknown language 'dk'"),
        ({"languages": ["german"]}, "did you mean 'de' (German)?"),
        ({"languages": ["pt-BR"]}, "European Portuguese"),
        ({"suites": ["locael"]}, "unknown suite 'locael' - did you mean 'locale'"),
        ({"judges": ["referenc"]}, "unknown judge 'referenc' - did you mean 'reference'"),
        ({"systems": [BASE | {"backend": "hff"}]}, "unknown backend 'hff' - did you mean 'hf'"),
        ({"systems": [BASE | {"model": "croco-nanno"}]}, "did you mean 'croco-nano'"),
        ({"systems": [BASE | {"model": "./nowhere"}]}, "unknown model './nowhere'"),
        ({"systems": [BASE | {"model": "nobody/nothing"}]}, "hub"),
        ({"systems": [BASE | {"adapter": "./nowhere"}]}, "unknown model './nowhere'"),
        ({"systems": [BASE | {"temperature": 1}]}, "unknown key 'systems.0.temperature'"),
        ({"systems": [BASE | {"generation": {"temprature": 1}}]}, "did you mean 'temperature'"),
        ({"languges": ["en"]}, "did you mean 'languages'"),
        ({"systems": []}, "systems"),
        ({"reference": "bsae"}, "did you mean 'base'"),
        ({"suites": [{"name": "own", "task": "own_{language}"}]}, "no task_path"),
        ({"suites": [{"name": "own", "task": "own_{language}"}], "task_path": "./nowhere"}, "is not a folder"),
    ],
)
def test_wrong_names_are_named_with_the_near_ones(cli, write_config, changes: dict, expected: str):
    done = cli("run", write_config(**changes))
    sentence(done, expected)
    assert not list(Path(done.args[-1]).parent.glob("runs/*/cells"))


def test_an_unknown_key_is_named_with_its_line(cli, tmp_path: Path):
    (tmp_path / "c.yaml").write_text("name: x\nsystems: [{name: a, model: croco-nano}]\nsuits: [locale]\n")
    sentence(cli("run", "c.yaml"), "c.yaml:3: unknown key 'suits' - did you mean 'suites'", code=2)


def test_broken_yaml_is_named_with_its_line(cli, tmp_path: Path):
    (tmp_path / "c.yaml").write_text("name: x\nsystems: [\nsuites: {\n")
    sentence(cli("run", "c.yaml"), "c.yaml:", "not valid YAML", code=2)


def test_a_missing_config_file_is_named(cli):
    sentence(cli("run", "nowhere.yaml"), "nowhere.yaml", code=2)


def test_an_unreadable_model_is_one_sentence(cli, write_config, tmp_path: Path, nano: Path):
    shutil.copytree(nano, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"not weights")
    done = cli("run", write_config(systems=[{"name": "own", "model": "./broken"}]))
    sentence(done, "can't be loaded")


def test_a_folder_without_a_model_is_one_sentence(cli, write_config, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    sentence(cli("run", write_config(systems=[{"name": "own", "model": "./empty"}])), "holds no model")


def test_an_adapter_for_another_base_is_refused_before_anything_runs(cli, write_config, tmp_path: Path, nano_sft: Path):
    shutil.copytree(nano_sft, tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": "meta-llama/Llama-3.1-8B"}))
    done = cli("run", write_config(systems=[BASE | {"adapter": "./adapter"}]))
    sentence(done, "was trained on 'meta-llama/Llama-3.1-8B'", "allow_base_mismatch")


def test_no_chat_template_is_one_sentence(cli, write_config, tmp_path: Path, nano: Path):
    shutil.copytree(nano, tmp_path / "plain")
    (tmp_path / "plain" / "chat_template.jinja").unlink(missing_ok=True)
    file = tmp_path / "plain" / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    settings.pop("chat_template", None)
    file.write_text(json.dumps(settings))
    done = cli("run", write_config(systems=[{"name": "own", "model": "./plain"}], judges=None))
    sentence(done, "chat_template: false")


def test_a_task_without_documents_is_a_gap_and_the_rest_goes_on(cli, write_config, tmp_path: Path):
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "own.yaml").write_text(
        "task: own_en\ncustom_dataset: !function own.load\ntest_split: test\noutput_type: generate_until\n"
        'doc_to_text: "{{question}}"\ndoc_to_target: "{{answer}}"\nmetric_list: [{metric: exact_match}]\n'
    )
    (tasks / "own.py").write_text(
        "from datasets import Dataset\n"
        "def load(**_):\n"
        "    return {'test': Dataset.from_dict({'question': [], 'answer': []})}\n"
    )
    config = write_config(
        suites=[{"name": "own", "task": "own_{language}"}, {"name": "locale", "limit": 1}],
        task_path="tasks",
        languages=["en", "de"],
        systems=[BASE],
        judges=None,
    )
    done = cli("run", config)
    sentence(done, "1 of the tasks could not be run (own in en)", code=1)
    assert "gap: own, en" in done.stdout
    assert "gap: own, de" in done.stdout
    scores = (tmp_path / "runs" / "trial" / "scores.csv").read_text()
    assert "base,own,all,en,gap,,,,0,0,none" in scores
    assert "base,locale,all,en,score" in scores


def test_a_template_with_a_missing_key_is_named(cli, write_config, tmp_path: Path):
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "own.yaml").write_text(
        "task: own_en\ncustom_dataset: !function own.load\ntest_split: test\noutput_type: multiple_choice\n"
        'doc_to_text: "{{quesstion}}"\ndoc_to_target: right\ndoc_to_choice: ["a", "b"]\nmetric_list: [{metric: acc}]\n'
    )
    (tasks / "own.py").write_text(
        "from datasets import Dataset\n"
        "def load(**_):\n"
        "    return {'test': Dataset.from_list([{'question': '?', 'right': 0}])}\n"
    )
    config = write_config(
        suites=[{"name": "own", "task": "own_{language}"}],
        task_path="tasks",
        languages=["en"],
        systems=[BASE],
        judges=None,
    )
    done = cli("run", config)
    sentence(done, "could not be run", code=1)
    assert "'quesstion' is undefined" in done.stdout
    assert not list((tmp_path / "runs").rglob("cell.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission_is_one_sentence(cli, write_config, tmp_path: Path):
    (tmp_path / "closed").mkdir(mode=0o500)
    sentence(cli("run", write_config(), "--out", "closed/run"), "closed/run", "Permission denied")


def test_a_place_that_cannot_be_written_is_one_sentence(cli, write_config):
    sentence(cli("run", write_config(), "--out", "/proc/croco"), "/proc/croco")


def test_a_folder_with_other_files_is_not_taken_for_a_run(cli, write_config, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    sentence(cli("run", write_config(), "--out", "mine"), "not a run")
    assert [x.name for x in (tmp_path / "mine").iterdir() if not x.name.startswith(".")] == ["thesis.txt"]


def test_a_full_disk_is_one_sentence_and_the_run_can_go_on(cli, write_config, tmp_path: Path):
    """A small file system in memory fills up while the run writes."""
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(place)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("mounting a small file system needs privileges")
    try:
        config = write_config(languages=["en", "de", "fr"])
        sentence(cli("run", config, "--out", "small/run"), "No space left on device")
        assert not list((place / "run").glob("*.csv"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        done = cli("run", config, "--out", "small/run")
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", str(place)], check=False)


def test_report_on_something_else_is_one_sentence(cli, tmp_path: Path):
    sentence(cli("report", tmp_path), "is not a run directory")


def test_ls_names_what_there_is(cli):
    for kind, expected in (
        ("languages", "Gaeilge"),
        ("suites", "locale-open"),
        ("judges", "reference"),
        ("backends", "hf"),
    ):
        done = cli("ls", kind)
        assert done.returncode == 0
        assert expected in done.stdout
    sentence(cli("ls", "judge"), "did you mean 'judges'", code=2)


def test_verbose_shows_the_traceback_wherever_it_stands(cli):
    for arguments in (("-v", "run", "nowhere.yaml"), ("run", "nowhere.yaml", "--verbose")):
        done = cli(*arguments)
        assert done.returncode != 0
        assert "Traceback" in done.stderr


def test_version_is_shown(cli):
    done = cli("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("croco-eval ")
