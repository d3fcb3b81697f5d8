"""`croco-eval judge` and judging in `croco-eval run`, as a user meets them: spend, kill, keys, changed configs."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
import yaml
from croco_eval.harness.config.run_config import JudgeConfig, parse_config, read_judges
from croco_eval.harness.errors import BudgetSpent, ServerError, StoreError, UserError
from croco_eval.harness.run.execute import Outcome, execute, judge_again
from croco_eval.harness.store.run_directory import RunDirectory, RunLock
from croco_eval.training.nano.shipped import base_folder
from helpers.command import COMMAND, run_command
from helpers.judged_run import make_run
from helpers.scripted_server import ScriptedServer, longer_wins, refuse, say, verdict
from rich.console import Console

TABLES = ("scores.csv", "preferences.csv", "leaderboard.csv")


def llm(server: ScriptedServer, **options: Any) -> dict[str, Any]:
    return {"name": "llm", "options": {"base_url": server.base_url, "model": "judge-model", **options}}


def judge(run: RunDirectory, *more: object, **env: str) -> subprocess.CompletedProcess[str]:
    with mock.patch.dict(os.environ, env):
        return run_command(run.path, "judge", run.path, "--judge", "llm", *more)


def judge_here(run: RunDirectory, *judges: Any) -> tuple[Outcome, str]:
    """As the command does it, in this process; also what it prints."""
    said = io.StringIO()
    chosen = read_judges(snippet(run.path.parent, *judges)) if judges else None
    return judge_again(run.path, "llm", chosen, Console(file=said, width=200)), said.getvalue()


def snippet(folder: Path, *judges: Any) -> Path:
    path = folder / "judges.yaml"
    path.write_text(yaml.safe_dump({"judges": list(judges), "other": "keys do not matter"}), encoding="utf-8")
    return path


def spent(run: RunDirectory) -> Counter[str]:
    return Counter(json.loads(x)["outcome"] for x in run.ledger.read_text().splitlines())


def test_a_run_is_judged_by_a_judge_of_its_config(tmp_path: Path):
    with ScriptedServer(longer_wins) as server:
        options = {"price": {"input": 1, "output": 2}, "prompt_language": "english"}
        run = make_run(tmp_path / "run", [llm(server, **options)], ("da", "en"), answer=english)
        done = judge(run)
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == 2 * 2 * 8
    assert "win_rate[llm]" in done.stdout
    assert "judge llm: 32/32 judgments, 2/2 cells" in done.stdout
    assert "0.0045 spent" in done.stdout
    scores = pd.read_csv(run.path / "scores.csv")
    rate = scores[(scores["metric"] == "win_rate[llm]") & (scores["task"] == "all")].set_index("language")["value"]
    assert rate.to_dict() == {"da": 0.75, "en": 0.75, "all": 0.75}
    assert spent(run) == {"ok": 32}
    assert run.manifest()["judges"]["llm"]["model"] == "judge-model"
    asked = len(server.requests)
    judge_here(run)[0].raise_if_incomplete()
    assert len(server.requests) == asked


def english(system: str, language: str, i: int) -> str:
    return f"answer {i} in {language} " * (2 if system == "base" else 1 if i % 4 == 3 else 3)


def test_a_system_against_its_twin_gives_one_half_and_no_significant_result(tmp_path: Path):
    moods = iter("ABBABABAAB" * 20)
    with ScriptedServer(lambda *_: verdict(next(moods))) as server:
        run = make_run(tmp_path / "run", languages=("da", "en"), n_items=30, answer=lambda _, lang, i: f"{lang} {i}")
        judge_here(run, llm(server, prompt_language="english"))[0].raise_if_incomplete()
        assert len(server.requests) == 2 * 30, "equal answers are one call for both orders"
    rates = pd.read_csv(run.path / "win_rates.csv")
    assert rates["language"].tolist() == ["da", "en", "all"]
    for name in ("win_rate", "lc_alpaca_eval", "lc_croco", "bt_style"):
        assert set(rates[name]) == {0.5}
        assert ((rates[f"{name}_ci_low"] < 0.5) & (rates[f"{name}_ci_high"] > 0.5)).all()
    assert set(rates["p_value"]) == set(rates["p_adjusted"]) == {1.0}
    compared = pd.read_csv(run.path / "comparisons.csv")
    assert set(compared["verdict"]) <= {"inconclusive", "matched"}


def test_judging_loads_no_model_library(tmp_path: Path):
    with ScriptedServer(longer_wins) as server:
        run = make_run(tmp_path / "run", [llm(server)], n_items=2)
        code = (
            "import sys; sys.argv = ['croco-eval', 'judge', sys.argv[1], '--judge', 'llm']\n"
            "from croco_eval.harness.cli.main import main\n"
            "try: main()\n"
            "except SystemExit as e: assert not e.code, e.code\n"
            "assert not {'torch', 'transformers', 'lm_eval', 'trl'} & set(sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code, run.path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == 4


def test_a_stop_at_the_budget_says_what_is_spent_and_raising_it_goes_on(tmp_path: Path):
    with ScriptedServer(lambda *_: verdict("A", delay=0.02)) as server:
        run = make_run(tmp_path / "run", languages=("de", "en"), n_items=20)
        options = {"max_concurrency": 4, "prompt_language": "english"}
        stopped, _ = judge_here(run, llm(server, budget={"tokens": 7200}, **options))
        with pytest.raises(BudgetSpent, match=r"llm stopped at its budget: 7,\d+ of 7,200 tokens spent in 6\d calls"):
            stopped.raise_if_incomplete()
        assert 60 <= len(server.requests) <= 64
        scores = pd.read_csv(run.path / "scores.csv")
        gaps = scores[scores["metric"] == "gap"]
        assert gaps["language"].tolist() == ["en"]
        assert gaps["signature"].iloc[0].startswith("judge llm: judged 1")
        assert gaps["signature"].iloc[0].endswith(" of 20: budget")
        assert scores[scores["metric"] == "win_rate[llm]"]["language"].tolist() == ["de", "de", "all"]
        raised, _ = judge_here(run, llm(server, budget={"tokens": 99_999}, **options))
        raised.raise_if_incomplete()
        assert len(server.requests) == 80, "nothing is paid twice"
    whole = pd.read_csv(run.path / "scores.csv")
    rates = whole[whole["metric"] == "win_rate[llm]"]
    assert set(rates["value"]) == {0.5}, "an always-first judge has no say"
    assert "gap" not in set(whole["metric"])


def test_the_command_ends_with_1_and_one_sentence_at_the_budget_and_shows_the_gap(tmp_path: Path):
    with ScriptedServer() as server:
        run = make_run(tmp_path / "run", [llm(server, budget={"tokens": 500}, max_concurrency=1)])
        done = judge(run)
    assert done.returncode == 1
    assert done.stderr.startswith("croco-eval: llm stopped at its budget: 600 of 500 tokens spent in 5 calls; ")
    assert "raise `budget` and run the same command again" in done.stderr
    assert "gap: open, en: judge llm: judged 2 of 8: budget" in done.stdout


def judge_and_kill(run: RunDirectory, config: Path, server: ScriptedServer, when: int) -> None:
    """SIGKILL as soon as the server has answered ``when`` calls."""
    command = [COMMAND, "judge", str(run.path), "--judge", "llm", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(server.answered) < when and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert process.poll() is None, "it was to be killed while it works"
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_kill_during_judging_loses_no_more_than_the_calls_in_flight_and_pays_for_none_twice(tmp_path: Path):
    in_flight = 8
    with ScriptedServer(lambda b, _: longer_wins(b, 0) if b["seed"] else say("hm", delay=0.03)) as server:
        run = make_run(tmp_path / "run", languages=("de", "en"), n_items=25)
        options = {"max_concurrency": in_flight, "prompt_language": "english", "reasks": 1}
        config = snippet(tmp_path, llm(server, **options))
        for answered in (20, 110):
            judge_and_kill(run, config, server, answered)
        done = judge(run, "--config", config)
        assert done.returncode == 0, done.stderr
        asked = Counter(json.dumps(x, sort_keys=True) for x in server.requests)
    twice = sum(n - 1 for n in asked.values())
    assert len(asked) == 2 * 2 * 2 * 25, "every judgment takes two calls: the first reply can't be read"
    assert twice <= 2 * in_flight
    undisturbed = make_run(tmp_path / "undisturbed", languages=("de", "en"), n_items=25)
    with ScriptedServer(lambda b, _: longer_wins(b, 0) if b["seed"] else say("hm")) as server:
        judge_here(undisturbed, llm(server, **options))
    for name in TABLES:
        assert (run.path / name).read_bytes() == (undisturbed.path / name).read_bytes()


KEY = "k-very-secret-0123456789"


@pytest.mark.parametrize(
    ("verbose", "script", "code", "said"),
    [
        (True, lambda *_: verdict("A", f"Your key is {KEY}."), 0, ""),
        (
            False,
            lambda *_: refuse(401, f"Incorrect API key provided: {KEY}"),
            2,
            "refuses the key in JUDGE_KEY (HTTP 401)",
        ),
        (
            True,
            lambda *_: refuse(400, f"odd header Bearer {KEY}"),
            1,
            "refuses the request (HTTP 400: odd header Bearer ***",
        ),
    ],
    ids=["in a reply", "refused", "in an error"],
)
def test_the_key_is_in_no_file_and_in_no_message(tmp_path: Path, verbose: bool, script: Any, code: int, said: str):
    with ScriptedServer(script) as server:
        run = make_run(tmp_path / "run", [llm(server, api_key_env="JUDGE_KEY", max_retries=0, reasks=0)], n_items=3)
        done = judge(run, *(["-v"] if verbose else []), JUDGE_KEY=KEY, **({"OPENAI_LOG": "debug"} if verbose else {}))
        assert server.authorizations[0] == f"Bearer {KEY}"
    assert done.returncode == (1 if code and verbose else code)
    assert said in done.stderr
    assert KEY not in done.stdout + done.stderr
    assert all(KEY.encode() not in x.read_bytes() for x in run.path.rglob("*") if x.is_file())
    assert "api_key_env: JUDGE_KEY" in (run.config_text() or "")


def test_a_missing_key_is_said_before_anything_else(tmp_path: Path):
    with ScriptedServer() as server:
        run = make_run(tmp_path / "run", [llm(server, api_key_env="NO_SUCH_KEY")])
    with pytest.raises(UserError, match="environment variable NO_SUCH_KEY, which is not set"):
        judge_here(run)


def test_a_judge_equal_to_a_judged_system_is_refused_unless_allowed(tmp_path: Path):
    with ScriptedServer(longer_wins) as server:
        run = make_run(tmp_path / "run", n_items=1)
        own = llm(server)
        for name in ("croco-nano", "Croco-Nano", base_folder(), f"owner/{base_folder().name}"):
            own["options"]["model"] = str(name)
            with pytest.raises(UserError, match="is the model of system 'base'"):
                judge_here(run, own)
        assert server.requests == []
        own["options"]["allow_self_judging"] = True
        judge_here(run, own)[0].raise_if_incomplete()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("judges: [{name: llm, optoins: {}}]", "unknown key 'judges.0.optoins'"),
        ("judges: []", "judges"),
        ("name: x", "judges: is missing"),
        ("judges: [{name: other, judge: reference}]", "there is no judge 'llm' in the config file (other)"),
        ("judges: [{name: llm, judge: lllm}]", "unknown judge 'lllm' - did you mean 'llm'"),
        ("judges: [{name: llm, options: {base_url: 'http://h/v1', model: m, reask: 1}}]", "did you mean 'reasks'"),
        ("judges: [", "not valid YAML"),
    ],
)
def test_a_wrong_judges_file_is_one_sentence(tmp_path: Path, content: str, said: str):
    run = make_run(tmp_path / "run", n_items=1)
    (tmp_path / "judges.yaml").write_text(content)
    with pytest.raises(UserError) as refused:
        judge_again(run.path, "llm", read_judges(tmp_path / "judges.yaml"), Console(quiet=True))
    assert said in str(refused.value)


def test_a_folder_that_is_no_run_is_said_so(tmp_path: Path):
    with pytest.raises(StoreError, match="not a run directory"):
        judge_again(tmp_path, "llm", None, Console(quiet=True))


def test_a_run_that_is_being_written_is_left_alone(tmp_path: Path):
    run = make_run(tmp_path / "run", ["reference"], n_items=1)
    with RunLock(run.path), pytest.raises(StoreError, match="being written by another process"):
        judge_again(run.path, "reference", None, Console(quiet=True))


# In a run


def trial(server: ScriptedServer, **options: Any):
    judges = [llm(server, prompt_language="english", **options)]
    config = {
        "name": "trial",
        "languages": ["en"],
        "systems": [
            {"name": x, "model": "croco-nano", "generation": {"max_new_tokens": n}}
            for x, n in (("base", 3), ("long", 6))
        ],
        "suites": [{"name": "open", "limit": 3}],
        "judges": judges,
    }
    return parse_config(yaml.safe_dump(config), "trial", Path.cwd())


def test_neutral_options_may_change_in_a_run_that_has_begun_and_others_may_not(tmp_path: Path):
    folder, console = tmp_path / "run", Console(quiet=True)
    with ScriptedServer(longer_wins) as server:
        first = execute(trial(server, budget={"tokens": 200}, max_concurrency=1), folder, console)
        with pytest.raises(BudgetSpent):
            first.raise_if_incomplete()
        assert (folder / "scores.csv").exists()
        with pytest.raises(StoreError, match=r"judges\.llm\.options\.temperature: 0\.0 -> 1\.0"):
            execute(trial(server, temperature=1.0), folder, console)
        with pytest.raises(StoreError, match=r"judges\.llm\.options\.rubric: None -> rhyme"):
            execute(trial(server, rubric="rhyme"), folder, console)
    with ScriptedServer(longer_wins) as elsewhere:
        options = {"budget": {"money": 1}, "price": {"input": 1, "output": 1}, "timeout": 9.0, "max_concurrency": 2}
        second = execute(trial(elsewhere, **options, temperature=0.0), folder, console)
        second.raise_if_incomplete()
        written = yaml.safe_load((folder / "config.yaml").read_text())["judges"][0]["options"]
        assert written["base_url"] == elsewhere.base_url
        assert written["budget"] == {"money": 1.0, "tokens": None}
        assert not {str(x) for x in server.requests} & {str(x) for x in elsewhere.requests}, "nothing is paid twice"
    added = judge_by_facts(folder)
    assert set(added["judges"]) == {"llm", "facts"}
    with ScriptedServer(longer_wins) as elsewhere:
        execute(trial(elsewhere, **options), folder, console).raise_if_incomplete()
        assert elsewhere.requests == []
    assert set(RunDirectory(folder).manifest()["judges"]) == {"llm", "facts"}, "an added judge is not forgotten"


def judge_by_facts(folder: Path) -> dict[str, Any]:
    judge_again(folder, "facts", [JudgeConfig(name="facts", judge="reference")], Console(quiet=True))
    return RunDirectory(folder).manifest()


def test_a_judge_that_is_down_leaves_a_gap_and_the_others_judge(tmp_path: Path):
    with ScriptedServer() as gone:
        pass
    with ScriptedServer(longer_wins) as server:
        fine = {**llm(server), "name": "fine", "judge": "llm"}
        config = trial(gone, max_retries=0)
        config = config.model_copy(update={"judges": [*config.judges, JudgeConfig.model_validate(fine)]})
        outcome = execute(config, tmp_path / "run", Console(quiet=True))
    with pytest.raises(ServerError, match="can't be reached"):
        outcome.raise_if_incomplete()
    scores = pd.read_csv(tmp_path / "run" / "scores.csv")
    gap = scores[scores["metric"] == "gap"]["signature"].iloc[0]
    assert gap.startswith("judge llm: judged 0 of 3: the server at")
    assert scores.loc[scores["metric"] == "win_rate[fine]", "n"].max() == 3
