"""`croco-eval run` as a user meets it: a whole run, an interrupted one, a changed one, a contested one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from croco_eval.harness.store.run_directory import SCHEMA_VERSION
from helpers.command import COMMAND, run_command

TABLES = ("scores.csv", "preferences.csv", "leaderboard.csv")


def tables(folder: Path) -> dict[str, bytes]:
    return {x: (folder / x).read_bytes() for x in TABLES}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run over four cells and two judgings, with its config beside it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "config.yaml").write_text(
        """
name: trial
languages: [en, mt]
systems:
  - {name: base, model: croco-nano, batch_tokens: 512, generation: {max_new_tokens: 24}}
  - {name: sft, model: croco-nano, adapter: croco-nano-sft, batch_tokens: 512, generation: {max_new_tokens: 24}}
suites: [{name: locale, limit: 2}, {name: locale-open, limit: 3}]
judges: [reference]
""",
        encoding="utf-8",
    )
    done = run_command(folder, "run", "config.yaml")
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def test_a_run_writes_the_tables_and_prints_the_summary(finished: Path):
    run = finished / "runs" / "trial"
    printed = (finished / "stdout.txt").read_text(encoding="utf-8")
    assert "locale: mean score" in printed
    assert "win_rate[reference]" in printed
    assert "leaderboard.csv" in printed
    scores = pd.read_csv(run / "scores.csv")
    assert set(scores["system"]) == {"base", "sft"}
    assert set(scores["language"]) == {"en", "mt", "all"}
    whole = scores[(scores["task"] == "all") & (scores["language"] == "en") & (scores["suite"] == "locale")]
    assert whole["n"].tolist() == [2 * 9, 2 * 9]
    board = pd.read_csv(run / "leaderboard.csv")
    assert board["system"].isin(["base", "sft"]).all()
    comparisons = pd.read_csv(run / "comparisons.csv")
    assert comparisons["language"].tolist() == ["en", "mt", "all"] * 2
    assert "sft in locale: at or above base in " in printed
    assert board["is_reference"].sum() == 1


def test_config_in_the_run_directory_has_every_default(finished: Path):
    written = yaml.safe_load((finished / "runs" / "trial" / "config.yaml").read_text(encoding="utf-8"))
    assert written["reference"] == "base"
    assert written["systems"][0]["dtype"] == "auto"
    assert written["systems"][0]["generation"]["temperature"] == 0.0
    assert written["seed"] == 0


def test_manifest_identifies_systems_tasks_and_versions(finished: Path):
    manifest = json.loads((finished / "runs" / "trial" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["schema_version"] == SCHEMA_VERSION
    assert manifest["systems"]["base"]["model"] == manifest["systems"]["sft"]["model"]
    assert manifest["systems"]["base"]["adapter"] is None
    assert manifest["systems"]["sft"]["adapter"]
    assert set(manifest["tasks"]) == {"locale/en", "locale/mt", "locale-open/en", "locale-open/mt"}
    assert {"torch", "lm_eval", "transformers"} <= set(manifest["packages"])


def test_a_second_run_does_nothing_and_loads_no_model(finished: Path):
    before = tables(finished / "runs" / "trial")
    cells = {x: x.stat().st_mtime_ns for x in (finished / "runs" / "trial" / "cells").rglob("*.parquet")}
    again = run_command(finished, "run", "config.yaml")
    assert again.returncode == 0, again.stderr
    assert tables(finished / "runs" / "trial") == before
    assert {x: x.stat().st_mtime_ns for x in cells} == cells


def test_report_recomputes_the_tables_without_a_model(finished: Path):
    run = finished / "runs" / "trial"
    before = tables(run)
    for name in TABLES:
        (run / name).unlink()
    code = (
        "import sys; sys.argv = ['croco-eval', 'report', sys.argv[1]]\n"
        "from croco_eval.harness.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "assert not {'torch', 'transformers', 'lm_eval'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tables(run) == before


@pytest.mark.parametrize("seconds_of_work", [0.0, 0.8, 2.0])
def test_resume_after_kill_gives_identical_tables(finished: Path, tmp_path: Path, seconds_of_work: float):
    """SIGKILL some time after the first answer is on the disk; then the same command, and the same bytes."""
    (tmp_path / "config.yaml").write_bytes((finished / "config.yaml").read_bytes())
    process = subprocess.Popen(
        [COMMAND, "run", "config.yaml"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    cells = tmp_path / "runs" / "trial" / "cells"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any(x.stat().st_size for x in cells.rglob("generations.jsonl")) or any(cells.rglob("cell.json")):
            break
        time.sleep(0.02)
    time.sleep(seconds_of_work)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {x: x.read_bytes() for x in cells.rglob("generations.jsonl")}
    done = run_command(tmp_path, "run", "config.yaml")
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "runs" / "trial") == tables(finished / "runs" / "trial")
    assert not list(cells.rglob("*.jsonl"))
    assert all(b"\n" in x for x in kept.values() if x)


def test_several_workers_give_the_same_tables(finished: Path, tmp_path: Path):
    text = (finished / "config.yaml").read_text(encoding="utf-8") + "workers: 2\n"
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    done = subprocess.run([COMMAND, "run", "config.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "runs" / "trial") == tables(finished / "runs" / "trial")
    manifests = [json.loads((x / "runs" / "trial" / "manifest.json").read_text()) for x in (tmp_path, finished)]
    assert manifests[0]["tasks"] == manifests[1]["tasks"]


def test_workers_end_with_their_parent_and_the_run_can_go_on(finished: Path, tmp_path: Path):
    text = (finished / "config.yaml").read_text(encoding="utf-8") + "workers: 2\n"
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    process = subprocess.Popen(
        [COMMAND, "run", "config.yaml"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    children: list[int] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(children) < 3:  # two workers, and the resource tracker
        time.sleep(0.05)
        file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        children = [int(x) for x in file.read_text().split()] if file.exists() else []
    time.sleep(5)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(_is_running(x) for x in children):
        time.sleep(0.05)
    assert not [x for x in children if _is_running(x)]
    done = subprocess.run([COMMAND, "run", "config.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "runs" / "trial") == tables(finished / "runs" / "trial")


def _is_running(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_an_error_in_a_worker_is_one_sentence(cli, write_config, tmp_path: Path, nano: Path):
    import shutil

    shutil.copytree(nano, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"not weights")
    done = cli("run", write_config(systems=[{"name": "own", "model": "./broken"}], workers=2))
    assert done.returncode == 1
    assert "can't be loaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_answers_on_the_disk_are_not_asked_for_again(finished: Path, tmp_path: Path):
    """A cell is put back to half done; on resume the recorded half is kept as it was, even where it was altered."""
    import shutil

    shutil.copytree(finished, tmp_path / "copy")
    cell = tmp_path / "copy" / "runs" / "trial" / "cells" / "sft" / "locale-open" / "mt"
    table = pd.read_parquet(cell / "generations.parquet")
    (cell / "begun.json").write_text(json.dumps(json.loads((cell / "cell.json").read_text())["fingerprint"]))
    row = table.iloc[0]
    altered = {"kind": "generation", "item_id": row["item_id"], "index": 0, "text": "recorded earlier"}
    altered |= {"finish_reason": "stop", "logprob": None, "is_greedy": None, "n_tokens": 2}
    (cell / "generations.jsonl").write_text(
        json.dumps(altered) + "\n" + '{"kind": "generation", "item', encoding="utf-8"
    )
    (cell / "cell.json").unlink()
    shutil.rmtree(tmp_path / "copy" / "runs" / "trial" / "judgments")
    done = run_command(tmp_path / "copy", "run", "config.yaml")
    assert done.returncode == 0, done.stderr
    resumed = pd.read_parquet(cell / "generations.parquet").set_index("item_id")["text"]
    assert resumed[row["item_id"]] == "recorded earlier"
    others = table.set_index("item_id")["text"].drop(row["item_id"])
    assert resumed.drop(row["item_id"]).equals(others)


def test_a_changed_config_is_refused_and_the_field_is_named(finished: Path):
    text = (finished / "config.yaml").read_text(encoding="utf-8")
    (finished / "changed.yaml").write_text(text.replace("limit: 2", "limit: 5"), encoding="utf-8")
    done = run_command(finished, "run", "changed.yaml")
    assert done.returncode == 1
    assert "suites.locale.limit: 2 -> 5" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_neutral_setting_may_change(finished: Path):
    text = (finished / "config.yaml").read_text(encoding="utf-8")
    (finished / "neutral.yaml").write_text(text.replace("batch_tokens: 512", "batch_tokens: 1024"), encoding="utf-8")
    done = run_command(finished, "run", "neutral.yaml")
    assert done.returncode == 0, done.stderr


def test_a_setting_younger_than_the_run_is_at_its_default(finished: Path, tmp_path: Path):
    shutil.copytree(finished / "runs", tmp_path / "runs")
    stored = tmp_path / "runs" / "trial" / "config.yaml"
    config = yaml.safe_load(stored.read_text(encoding="utf-8"))
    for system in config["systems"]:
        del system["truncate"]
    stored.write_text(yaml.safe_dump(config), encoding="utf-8")
    text = (finished / "config.yaml").read_text(encoding="utf-8")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    done = run_command(tmp_path, "run", "config.yaml")
    assert done.returncode == 0, done.stderr
    (tmp_path / "config.yaml").write_text(
        text.replace("croco-nano,", "croco-nano, truncate: refuse,"), encoding="utf-8"
    )
    done = run_command(tmp_path, "run", "config.yaml")
    assert "truncate: cut -> refuse" in done.stderr


def test_how_results_are_compared_may_change_in_a_finished_run(finished: Path, tmp_path: Path):
    shutil.copytree(finished / "runs", tmp_path / "runs")
    run = tmp_path / "runs" / "trial"
    sections = "statistics: {margin: 0.3, alpha: 0.2}\narms: {dpo: sft, sft: base}\n"
    text = (finished / "config.yaml").read_text(encoding="utf-8")
    (tmp_path / "config.yaml").write_text(text + sections, encoding="utf-8")
    done = run_command(tmp_path, "run", "config.yaml")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["statistics"]["margin"] == 0.3
    assert set(pd.read_csv(run / "comparisons.csv")["margin"]) == {0.3}
    assert set(pd.read_csv(run / "policy.csv")["contrast"]) == {"dpo vs sft"}
    assert (run / "scores.csv").read_bytes() == (finished / "runs" / "trial" / "scores.csv").read_bytes()


def test_changed_weights_are_refused(finished: Path, tmp_path: Path, nano: Path):
    import shutil

    shutil.copytree(nano, tmp_path / "model")
    config = {
        "name": "weights", "languages": ["en"], "suites": [{"name": "locale-open", "limit": 1}],
        "systems": [{"name": "own", "model": "./model", "generation": {"max_new_tokens": 4}}],
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    first = run_command(tmp_path, "run", "config.yaml")
    assert first.returncode == 0, first.stderr
    with (tmp_path / "model" / "generation_config.json").open("a") as file:
        file.write("\n")
    second = run_command(tmp_path, "run", "config.yaml")
    assert second.returncode == 1
    assert "system.model:" in second.stderr


def test_a_second_run_on_the_same_directory_is_told_who_holds_it(finished: Path):
    from croco_eval.harness.store.run_directory import RunLock

    with RunLock(finished / "runs" / "trial"):
        done = run_command(finished, "run", "config.yaml")
    assert done.returncode == 1
    assert f'"pid": {os.getpid()}' in done.stderr


def test_a_judge_that_can_say_nothing_about_a_suite_says_so(cli, write_config, tmp_path: Path):
    done = cli("run", write_config(languages=["cy"], suites=[{"name": "open", "limit": 1}]))
    assert done.returncode == 0, done.stderr
    assert "judge reference has nothing to say about the items of suite open" in done.stdout
    answers = pd.read_parquet(tmp_path / "runs" / "trial" / "cells" / "sft" / "open" / "cy" / "generations.parquet")
    assert len(answers) == 1
    assert pd.read_csv(tmp_path / "runs" / "trial" / "preferences.csv").empty


def test_parallel_items_are_the_same_source_in_every_language(finished: Path):
    cells = finished / "runs" / "trial" / "cells" / "base" / "locale"
    english, maltese = (pd.read_parquet(cells / x / "items.parquet") for x in ("en", "mt"))
    shared = set(english["task"]) & set(maltese["task"])
    assert len(shared) == 7
    for task in shared:
        sources = [set(x.loc[x["task"] == task, "source_id"]) for x in (english, maltese)]
        assert sources[0] == sources[1]
