"""Backend `openai`: systems behind a server, scripted and real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from croco_eval.harness.api.answerer import Answerer
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import GenerationRequest, LikelihoodRequest, Response
from croco_eval.harness.backends.server import ServedModel, ServerBackend
from croco_eval.harness.calls import client
from croco_eval.harness.config.run_config import parse_config
from croco_eval.harness.config.server_config import SystemServer
from croco_eval.harness.errors import BudgetSpent, ModelError, ServerError, UserError
from croco_eval.harness.store.files import AppendLog
from helpers.scripted_server import Act, ScriptedServer, refuse, say

Body = dict[str, Any]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., ServedModel]]:
    """Makes a system of a server."""
    opened: list[ServerBackend] = []

    def make(base_url: str, model: str = "m", **settings: Any) -> ServedModel:
        server = SystemServer(base_url=base_url, **settings)
        spec = ModelSpec(model, server=server, ledger=tmp_path / "ledger.jsonl")
        opened.append(ServerBackend(spec, log=lambda message: None))
        return opened[-1].engine(None)

    yield make
    for x in opened:
        x.close()


def question(body: Body) -> str:
    return body["messages"][-1]["content"]


def echo(body: Body, _times: int) -> Act:
    return say(f"{question(body)} {body.get('seed')}")


def requests(engine: ServedModel, n: int, prompt: str = "question", **settings: Any) -> list[GenerationRequest]:
    text = engine.chat([{"role": "user", "content": prompt}])
    return [GenerationRequest("x", i, text, 20, seed=100 + i, **settings) for i in range(n)]


def answers(chunks) -> dict[int, Response]:
    return dict(x for chunk in chunks for x in chunk)


def ledger(folder: Path) -> list[Body]:
    return [json.loads(x) for x in (folder / "ledger.jsonl").read_text().splitlines()]


def test_every_sample_is_a_call_with_its_own_seed(connect, tmp_path: Path):
    with ScriptedServer(echo) as server:
        engine = connect(server.base_url, price={"input": 1, "output": 2})
        found = answers(engine.generate(requests(engine, 30, temperature=0.7, top_p=0.9), frozenset()))
    assert {i: x.text for i, x in found.items()} == {i: f"question {100 + i}" for i in range(30)}
    assert {(x.finish_reason, x.n_tokens) for x in found.values()} == {("stop", 20)}
    settings = [{k: v for k, v in x.items() if k not in ("messages", "seed")} for x in server.requests]
    assert settings == [{"model": "m", "temperature": 0.7, "top_p": 0.9, "max_tokens": 20}] * 30
    assert [x["price"] for x in ledger(tmp_path)] == [pytest.approx(140 / 1e6)] * 30


def test_settings_that_not_every_server_knows_are_sent_only_if_they_are_set(connect):
    with ScriptedServer(echo) as server:
        engine = connect(server.base_url, extra={"chat_template_kwargs": {"enable_thinking": False}})
        more = {"temperature": 1.0, "top_k": 5, "repetition_penalty": 1.1, "stop": ("\n",)}
        list(engine.generate(requests(engine, 1, **more), frozenset()))
    (body,) = server.requests
    assert (body["top_k"], body["repetition_penalty"], body["stop"]) == (5, 1.1, ["\n"])
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("said", "kept", "finish"),
    [
        ("Oslo\nQuestion: and of Denmark?\nBergen", "Oslo", "stop"),
        ("<think>\nWhich?\nOslo.\n</think>\n\nOslo\nQuestion", "<think>\nWhich?\nOslo.\n</think>\n\nOslo", "stop"),
        ("<think>\nWhich?\nOslo", "<think>\nWhich?\nOslo", "length"),
        ("Which?\nOslo.</think>Oslo\nQuestion", "Which?\nOslo.</think>Oslo", "stop"),
        ("Oslo", "Oslo", "length"),
    ],
)
def test_answers_end_at_stop_strings_after_the_reasoning_whatever_the_server_does(
    connect, said: str, kept: str, finish: str
):
    with ScriptedServer(lambda *_: say(said, finish_reason="length")) as server:
        engine = connect(server.base_url)
        found = answers(engine.generate(requests(engine, 1, stop=("\n",)), frozenset()))
    assert (found[0].text, found[0].finish_reason) == (kept, finish)
    assert "stop" not in server.requests[0], "the server could end the reasoning with it"


@pytest.mark.parametrize(("setting", "sent"), [({}, False), ({"send_stop": True}, True)])
def test_stop_strings_are_sent_if_the_config_says_so(connect, setting: Body, sent: bool):
    with ScriptedServer(echo) as server:
        engine = connect(server.base_url, **setting)
        list(engine.generate(requests(engine, 1, stop=("\n",)), frozenset()))
    assert ("stop" in server.requests[0]) == sent
    assert ("send_stop" in SystemServer(base_url=server.base_url, **setting).identity) == bool(setting)


def test_the_same_greedy_question_is_asked_once_while_it_is_in_flight(connect):
    with ScriptedServer(lambda body, _: say("x", delay=0.1)) as server:
        engine = connect(server.base_url)
        found = answers(engine.generate(requests(engine, 10), frozenset()))
    assert len(found) == 10
    assert len(server.requests) == 1
    assert "seed" not in server.requests[0]


def test_answered_positions_are_not_asked_again(connect):
    with ScriptedServer(echo) as server:
        engine = connect(server.base_url)
        found = answers(engine.generate(requests(engine, 6, temperature=1.0), frozenset({0, 3})))
    assert sorted(found) == [1, 2, 4, 5]
    assert len(server.requests) == 4


def test_cut_off_refused_and_rejected_answers_say_so(connect):
    acts = {
        100: say("half an ans", finish_reason="length"),
        101: say(None, refusal="I won't."),
        102: refuse(400, "This model's maximum context length is 8 tokens"),
        103: say("fine"),
    }
    with ScriptedServer(lambda body, _: acts[body["seed"]]) as server:
        engine = connect(server.base_url)
        found = answers(engine.generate(requests(engine, 4, temperature=1.0), frozenset()))
    assert [(found[i].text, found[i].finish_reason) for i in range(4)] == [
        ("half an ans", "length"),
        ("I won't.", "stop"),
        (None, "rejected: too long for the model"),
        ("fine", "stop"),
    ]


def test_what_a_failing_server_leaves_unanswered_is_asked_for_by_the_next_run(connect, tmp_path: Path):
    fails = True

    def script(body: Body, times: int) -> Act:
        return refuse(500) if fails and body["seed"] == 102 else echo(body, times)

    def answerer(engine: ServedModel) -> Answerer:
        return Answerer(engine, AppendLog(tmp_path / "answers.jsonl"), True, {}, lambda done, expected: None)

    with ScriptedServer(script) as server:
        engine = connect(server.base_url, max_retries=1)
        wanted = requests(engine, 5, temperature=1.0)
        with pytest.raises(ServerError, match=r"left 1 requests unanswered \(HTTP 500.*run the same command again"):
            answerer(engine).generate(wanted)
        fails, before = False, len(server.requests)
        found = answerer(engine).generate(wanted)
    assert [x.text for x in found] == [f"question {100 + i}" for i in range(5)]
    assert len(server.requests) == before + 1


def test_a_budget_ends_the_calls_and_keeps_what_is_known(connect):
    with ScriptedServer(echo) as server:
        engine = connect(server.base_url, budget={"tokens": 600}, max_concurrency=1)
        chunks = engine.generate(requests(engine, 50, temperature=1.0), frozenset())
        found: list[Any] = []
        with pytest.raises(BudgetSpent, match="model m stopped at its budget"):
            found.extend(chunks)
    assert sum(map(len, found)) == len(server.answered) == 5


def test_what_a_server_cannot_do_is_refused_in_a_sentence(connect, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    engine = connect("http://127.0.0.1:9/v1")
    with pytest.raises(ModelError, match=r"gives no log-likelihoods.*backend hf or vllm"):
        engine.loglikelihoods([LikelihoodRequest("x", 0, "a", "b")], frozenset())
    with pytest.raises(ModelError, match="can't go on with an answer"):
        engine.chat([{"role": "assistant", "content": "It"}], continue_final=True)
    with pytest.raises(UserError, match="NO_SUCH_KEY, which is not set"):
        connect("http://127.0.0.1:9/v1", api_key_env="NO_SUCH_KEY")


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("backend: openai", "backend openai needs server"),
        ("backend: openai, server: {base_url: 'http://a/v1'}, chat_template: false", "applies its own template"),
        ("backend: openai, server: {base_url: 'http://a/v1'}, adapter: x", "no weights here: leave adapter out"),
        ("backend: openai, server: {base_url: 'http://a/v1'}, dtype: float32", "leave dtype out"),
        ("server: {base_url: 'http://a/v1'}", "backend hf runs in this process"),
        ("backend: vllm, device: cuda:1", "vLLM chooses its device itself"),
        ("backend: openai, server: {base_url: 'http://a/v1'}, truncate: refuse", "leave truncate out"),
        ("engine_options: {max_model_len: 9}", "engine_options are for backend vllm"),
        ("backend: openai, server: {base_url: 'http://a/v1', budget: {money: 1}}", "needs a price"),
        ("backend: openai, server: {base_url: 'http://a/v1', api_key_env: sk-123}", "not the key itself"),
        ("backend: openai, server: {base_url: 'http://a/v1', max_tries: 3}", "did you mean 'max_retries'"),
    ],
)
def test_settings_that_do_not_fit_a_backend_are_refused(tmp_path: Path, system: str, said: str):
    text = f"{{name: a, systems: [{{name: b, model: m, {system}}}], suites: [locale]}}"
    with pytest.raises(UserError) as refused:
        parse_config(text, "my.yaml", tmp_path)
    assert said in str(refused.value)
    assert "sk-123" not in str(refused.value)


def test_several_workers_do_not_share_a_budget(tmp_path: Path):
    server = "{base_url: 'http://a/v1', budget: {tokens: 9}}"
    text = (
        f"{{name: a, workers: 2, systems: [{{name: b, model: m, backend: openai, server: {server}}}], suites: [open]}}"
    )
    with pytest.raises(UserError, match="several workers can't keep one budget"):
        parse_config(text, "my.yaml", tmp_path)


def served_system(base_url: str, **settings: Any) -> Body:
    return {"name": "served", "model": "m", "backend": "openai", "server": {"base_url": base_url, **settings}}


def test_a_run_compares_a_served_system_and_knows_it_by_its_address(cli, write_config, tmp_path: Path):
    with ScriptedServer(lambda *_: say("Denmark is a country. Its currency is the krone.")) as server:
        base = {"name": "base", "model": "croco-nano", "generation": {"max_new_tokens": 8}}
        more: Body = {"suites": [{"name": "locale-open", "limit": 1}], "languages": ["en"]}
        write_config(systems=[base, served_system(server.base_url)], **more)
        done = cli("run", "config.yaml")
        assert done.returncode == 0, done.stderr
        cell = tmp_path / "runs/trial/cells/served/locale-open/en"
        generations = pd.read_parquet(cell / "generations.parquet")
        assert set(generations["text"]) == {"Denmark is a country. Its currency is the krone."}
        assert json.loads(generations["prompt"][0])[0]["role"] == "user"
        assert len(ledger(tmp_path / "runs/trial")) == len(server.requests) == len(generations)
        identity = json.loads((tmp_path / "runs/trial/manifest.json").read_text())["systems"]["served"]
        assert identity["model"] == f"server:{server.base_url}#m"
        write_config(systems=[base, served_system(server.base_url, timeout=5, max_concurrency=2)], **more)
        assert cli("run", "config.yaml").returncode == 0, "how a server is called changes no answer"
        write_config(systems=[base, served_system(server.base_url, extra={"x": 1})], **more)
        refused = cli("run", "config.yaml")
    assert refused.returncode != 0
    assert "systems.served.server.extra.x: (nothing) -> 1" in refused.stderr


def test_structured_tasks_are_scored_where_a_server_can_and_gaps_where_it_cannot(cli, tmp_path: Path):
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    rows = [{"question": "Say yes.", "answer": "yes"}, {"question": "Say no.", "answer": "no"}]
    (tasks / "rows.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
    task = {
        "task": "say_en",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tasks / "rows.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["."], "max_gen_toks": 5},
        "metric_list": [{"metric": "exact_match"}],
    }
    (tasks / "say.yaml").write_text(yaml.safe_dump(task))
    settings = {
        "name": "trial",
        "languages": ["en"],
        "task_path": "tasks",
        "suites": [{"name": "say", "task": "say_en"}],
    }

    def run(script: Callable[[Body, int], Act], folder: str):
        with ScriptedServer(script) as server:
            config = {**settings, "systems": [served_system(server.base_url)]}
            (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
            return cli("run", "config.yaml", "--out", folder)

    done = run(lambda *_: say("yes"), "good")
    assert done.returncode == 0, done.stderr
    scores = pd.read_parquet(tmp_path / "good/cells/served/say/en/scores.parquet")
    assert scores["value"].tolist() == [1.0, 0.0]
    long = lambda body, _: refuse(413) if "no" in question(body) else say("yes")  # noqa: E731
    done = run(long, "bad")
    assert done.returncode != 0
    assert "1 of 2 requests have no answer (rejected: too long for the model)" in done.stdout + done.stderr


def test_multiple_choice_on_a_server_is_refused_in_a_sentence(cli, write_config):
    with ScriptedServer(echo) as server:
        write_config(systems=[served_system(server.base_url)], suites=[{"name": "locale", "limit": 1}], judges=[])
        done = cli("run", "config.yaml")
    assert done.returncode != 0
    assert "gives no log-likelihoods" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_real_server_answers_as_the_model_does_here(served: str, nano: Path, connect):
    from croco_eval.harness.backends.hf import HfBackend

    engine = connect(served, model=str(nano), max_concurrency=2)
    here = HfBackend(ModelSpec(str(nano)), log=lambda message: None).engine(None)
    message = [{"role": "user", "content": "Tell me about Denmark."}]
    there = answers(engine.generate([GenerationRequest("x", 0, engine.chat(message), 24)], frozenset()))
    own = answers(here.generate([GenerationRequest("x", 0, here.chat(message), 24)], frozenset()))
    assert there[0].text == own[0].text
    assert there[0].n_tokens > 0
