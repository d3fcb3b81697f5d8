"""Calls to a server that answers, hangs, refuses and talks nonsense: what is tried again and what is not."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from croco_eval.harness.calls import client
from croco_eval.harness.calls import server as server_module
from croco_eval.harness.calls.engine import Caller
from croco_eval.harness.calls.ledger import Ledger
from croco_eval.harness.calls.messages import ChatReply, ChatRequest, NoReply, Outcome
from croco_eval.harness.calls.replies import ReplyLog
from croco_eval.harness.calls.server import ServerEngine
from croco_eval.harness.config.server_config import ApiKey, Budget, ServerSettings
from croco_eval.harness.errors import BudgetSpent, CrocoError, ServerError, UserError
from helpers.scripted_server import Act, ScriptedServer, refuse, say


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)


def request(i: int) -> ChatRequest:
    return ChatRequest("m", (("user", f"question {i}"),), max_tokens=5, seed=0)


def number(body: dict[str, Any]) -> int:
    return int(body["messages"][-1]["content"].split()[-1])


class Desk:
    """A caller with its engine, ledger and replies in a folder."""

    def __init__(self, folder: Path, url: str, key: ApiKey | None, budget: Budget | None, **settings: Any) -> None:
        self.ledger = Ledger(folder / "ledger.jsonl", "test", None, budget)
        self.replies = ReplyLog(folder / "replies.jsonl")
        made = ServerSettings(base_url=url, model="m", **settings)
        self.engine = ServerEngine(made, key, self.ledger, self.replies.add)
        self.caller = Caller(self.engine, self.replies)

    def ask(self, n: int | range, **how: Any) -> dict[int, Outcome]:
        self.found: dict[int, Outcome] = {}
        numbers = range(n) if isinstance(n, int) else n
        for batch in self.caller.ask(((i, request(i)) for i in numbers), **how):
            self.found |= dict(batch)
        return self.found


@contextmanager
def desk(
    folder: Path, server: ScriptedServer, key: str | None = None, budget: Any = None, **how: Any
) -> Iterator[Desk]:
    made = Desk(folder, server.base_url, ApiKey(key) if key else None, budget, **how)
    try:
        yield made
    finally:
        made.engine.close()
        made.ledger.close()
        made.replies.close()


def ledger_rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (folder / "ledger.jsonl").read_text().splitlines()]


def once(fault: Act) -> Callable[[dict[str, Any], int], Act]:
    """The fault at the first try of each request, then an answer."""
    return lambda body, times: fault if times == 0 else say(f"answer {number(body)}")


def test_every_request_gets_its_own_reply(tmp_path: Path):
    with ScriptedServer(lambda body, _: say(f"answer {number(body)}")) as server, desk(tmp_path, server) as calls:
        found = calls.ask(80)
    assert {i: x.text for i, x in found.items() if isinstance(x, ChatReply)} == {i: f"answer {i}" for i in range(80)}
    assert len(server.requests) == 80
    rows = ledger_rows(tmp_path)
    assert len(rows) == 80
    assert {(x["outcome"], x["attempt"], x["tokens_in"], x["tokens_out"]) for x in rows} == {("ok", 1, 100, 20)}


def test_many_calls_are_in_flight_but_no_more_than_allowed(tmp_path: Path):
    with (
        ScriptedServer(lambda *_: say("x", delay=0.05)) as server,
        desk(tmp_path, server, max_concurrency=7) as calls,
    ):
        calls.ask(50)
    assert server.most_in_flight == 7


def test_work_is_read_as_it_is_needed(tmp_path: Path):
    taken = 0

    def work() -> Iterator[tuple[int, ChatRequest]]:
        nonlocal taken
        for i in range(10_000):
            taken += 1
            yield i, request(i)

    with ScriptedServer() as server, desk(tmp_path, server, max_concurrency=4) as calls:
        stream = calls.caller.ask(work())
        for _ in range(5):
            next(stream)
            assert taken < 200
        stream.close()


def test_who_waits_for_a_slow_server_has_a_turn_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_module, "_WAIT_SECONDS", 0.05)
    with ScriptedServer(lambda *_: say("late", delay=0.5)) as server, desk(tmp_path, server) as calls:
        batches = list(calls.caller.ask((i, request(i)) for i in range(3)))
    assert batches[0] == []
    assert len([x for batch in batches for x in batch]) == 3


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (refuse(408), "http 408"),
        (refuse(409), "http 409"),
        (refuse(429), "http 429"),
        (refuse(500), "http 500"),
        (refuse(503), "http 503"),
        (Act(502, b"<html>Bad gateway</html>", {"content-type": "text/html"}), "http 502"),
        (Act(body={"choices": []}), "no choices"),
        (Act(body=b'{"choices": [{"mess'), "not a reply"),
        (Act(body=b"<html>welcome</html>"), "not a reply"),
        (Act(body=[1, 2]), "not a reply"),
        (Act(body={"choices": [{"message": None}]}), "not a reply"),
        (Act(body={"choices": 3}), "not a reply"),
        (Act(body={"choices": [{"message": {"content": [{"text": "x"}]}}]}), "not a reply"),
        (Act(body={"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "3"}}), "not a reply"),
        (say("cut in the middle", reset=True), "connection"),
        (say("too slow", delay=30), "timeout"),
        (say("drop by drop", drip=0.1), "timeout"),
    ],
)
def test_a_passing_fault_is_tried_again_and_both_tries_are_in_the_ledger(tmp_path: Path, fault: Act, outcome: str):
    with ScriptedServer(once(fault)) as server, desk(tmp_path, server, timeout=1.0, max_concurrency=2) as calls:
        found = calls.ask(2)
    assert [found[i] for i in range(2)] == [ChatReply(f"answer {i}", "stop", None, 100, 20) for i in range(2)]
    assert Counter(x["outcome"] for x in ledger_rows(tmp_path)) == {outcome: 2, "ok": 2}
    assert {x["attempt"] for x in ledger_rows(tmp_path) if x["outcome"] == "ok"} == {2}


@pytest.mark.parametrize(
    ("fault", "tries"), [(refuse(500, "boom"), 3), (Act(body={"choices": []}), 3), (Act(body=b"{"), 3)]
)
def test_a_request_that_always_fails_is_given_up_and_the_others_go_on(tmp_path: Path, fault: Act, tries: int):
    script = lambda body, _: fault if number(body) == 3 else say("fine")  # noqa: E731
    with ScriptedServer(script) as server, desk(tmp_path, server, max_retries=2) as calls:
        found = calls.ask(20)
    failed = found.pop(3)
    assert isinstance(failed, NoReply)
    assert failed.kind == "unanswered"
    assert failed.reason.endswith(f"({tries} tries)")
    assert all(isinstance(x, ChatReply) for x in found.values())
    assert len(found) == 19


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (refuse(400, "temperature must be positive"), ServerError, "HTTP 400: temperature must be positive"),
        (refuse(422, "no such field"), ServerError, "HTTP 422: no such field"),
        (refuse(401, "who are you"), UserError, "a call without a key"),
        (refuse(403), UserError, "HTTP 403"),
        (refuse(404, "The model `m` does not exist"), UserError, "knows no model 'm'"),
        (refuse(429, "you have no money left", "insufficient_quota"), ServerError, "quota is used up"),
        (refuse(429, "slow", retry_after="86400"), ServerError, "asks to wait for 86,400 s"),
    ],
)
def test_a_refusal_that_holds_for_all_ends_everything_in_one_sentence(
    tmp_path: Path, fault: Act, kind: type, said: str
):
    with (
        ScriptedServer(lambda *_: fault) as server,
        desk(tmp_path, server, max_concurrency=4) as calls,
        pytest.raises(kind) as raised,
    ):
        calls.ask(500)
    assert said in str(raised.value)
    assert len(server.requests) <= 4, "no call is begun after the first refusal, and none is tried again"
    assert str(raised.value).count("\n") == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refuse(400, "This model's maximum context length is 4096 tokens"), "too long for the model"),
        (refuse(400, "too long", "context_length_exceeded"), "too long for the model"),
        (refuse(413), "too long for the model"),
        (refuse(400, "The response was filtered", "content_filter"), "refused by the server's content filter"),
    ],
)
def test_a_request_that_is_too_long_or_filtered_is_hopeless_alone(tmp_path: Path, fault: Act, reason: str):
    script = lambda body, _: fault if number(body) == 1 else say("fine")  # noqa: E731
    with ScriptedServer(script) as server, desk(tmp_path, server) as calls:
        found = calls.ask(3)
    assert found[1] == NoReply("rejected", reason)
    assert len(server.requests) == 3
    assert isinstance(found[2], ChatReply)


def test_a_server_that_rejects_whatever_it_is_asked_at_first_is_not_asked_for_long(tmp_path: Path):
    with (
        ScriptedServer(lambda *_: refuse(400, "This model's maximum context length is 8 tokens")) as server,
        desk(tmp_path, server, max_concurrency=1) as calls,
        pytest.raises(ServerError, match=r"rejected the first 8 requests \(too long for the model\)"),
    ):
        calls.ask(100)
    assert len(server.requests) == 8


def test_calls_in_flight_when_another_one_ends_everything_are_kept(tmp_path: Path):
    others_came = threading.Event()

    def script(body: dict[str, Any], _: int) -> Act:
        if len(server.requests) == 8:
            others_came.set()
        return refuse(401) if number(body) == 0 else say("fine", delay=0.3)

    with (
        ScriptedServer(script) as server,
        desk(tmp_path, server, max_concurrency=8) as calls,
        pytest.raises(UserError),
    ):
        calls.ask(range(7, -1, -1))
    assert others_came.is_set()
    assert sorted(calls.found) == list(range(1, 8))


def test_retry_after_holds_every_caller(tmp_path: Path):
    with (
        ScriptedServer(once(refuse(429, retry_after="0.6"))) as server,
        desk(tmp_path, server, max_concurrency=4) as calls,
    ):
        calls.ask(8)
    first, second = server.times[0], [x for x in server.times if x > server.times[0] + 0.3]
    assert min(second) - first >= 0.6
    burst = [x for x in server.times if x <= first + 0.3]
    assert len(burst) <= 4, "nobody else began a call during the pause"


@pytest.mark.parametrize("header", ["date", "ms"])
def test_retry_after_may_be_a_date_or_milliseconds(tmp_path: Path, header: str):
    from email.utils import format_datetime

    def script(_: Any, times: int) -> Act:
        if times:
            return say("fine")
        if header == "ms":
            return refuse(503, retry_after_ms="700")
        from datetime import UTC, datetime, timedelta

        return refuse(503, retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True))

    with ScriptedServer(script) as server, desk(tmp_path, server) as calls:
        calls.ask(1)
    assert server.times[1] - server.times[0] >= 0.6


def test_a_server_that_can_take_few_calls_gets_few(tmp_path: Path):
    def script(_: Any, __: int) -> Act:
        return refuse(429) if server.in_flight > 4 else say("fine", delay=0.02)

    with ScriptedServer(script) as server, desk(tmp_path, server, max_concurrency=32) as calls:
        found = calls.ask(120)
    assert len(found) == 120
    assert all(isinstance(x, ChatReply) for x in found.values())
    refused = sum(x["outcome"] == "http 429" for x in ledger_rows(tmp_path))
    assert refused < 100


def test_a_server_that_is_not_there_is_said_so_soon(tmp_path: Path):
    with ScriptedServer() as server:
        pass
    with desk(tmp_path, server) as calls, pytest.raises(ServerError, match="can't be reached: connection failed"):
        calls.ask(100)


def test_a_server_that_goes_down_ends_the_work_and_what_came_before_is_kept(tmp_path: Path):
    script = lambda body, _: say("fine") if number(body) < 30 else refuse(500)  # noqa: E731
    with (
        ScriptedServer(script) as server,
        desk(tmp_path, server, max_concurrency=4, max_retries=1) as calls,
        pytest.raises(ServerError, match=r"failed 8 calls in a row.*run the same command again"),
    ):
        calls.ask(5000)
    assert sum(isinstance(x, ChatReply) for x in calls.found.values()) == 30
    assert len(calls.found) < 60
    assert len(server.requests) < 100


def test_budget_stops_new_calls_and_counts_those_in_flight(tmp_path: Path):
    with (
        ScriptedServer(lambda *_: say("x", delay=0.02)) as server,
        desk(tmp_path, server, budget=Budget(tokens=1200), max_concurrency=3) as calls,
        pytest.raises(BudgetSpent, match="1,200 tokens spent in"),
    ):
        calls.ask(1000)
    assert 10 <= len(server.requests) <= 12
    assert len(calls.found) == len(server.answered)
    assert sum(x["tokens_in"] + x["tokens_out"] for x in ledger_rows(tmp_path)) == 120 * len(calls.found)


def test_a_spent_budget_begins_nothing_and_a_raised_one_goes_on(tmp_path: Path):
    with ScriptedServer() as server:
        with desk(tmp_path, server, budget=Budget(tokens=500), max_concurrency=1) as calls:
            with pytest.raises(BudgetSpent):
                calls.ask(20)
            asked = len(server.requests)
        with desk(tmp_path, server, budget=Budget(tokens=500)) as calls, pytest.raises(BudgetSpent):
            calls.ask(20)
        assert len(server.requests) == asked
        with desk(tmp_path, server, budget=Budget(tokens=50_000)) as calls:
            assert len(calls.ask(20)) == 20
        assert len(server.requests) == 20, "what was known was not asked again"


def test_budget_needs_a_server_that_counts(tmp_path: Path):
    with (
        ScriptedServer(lambda *_: say("x", usage=None)) as server,
        desk(tmp_path, server, budget=Budget(tokens=500)) as calls,
        pytest.raises(ServerError, match="does not say how many tokens"),
    ):
        calls.ask(20)


def test_identical_requests_are_asked_once_in_flight_and_later(tmp_path: Path):
    with ScriptedServer(lambda *_: say("x", delay=0.05)) as server, desk(tmp_path, server) as calls:
        found = [x for batch in calls.caller.ask((i, request(i % 3)) for i in range(30)) for x in batch]
        assert len(server.requests) == 3
        found += [x for batch in calls.caller.ask((i, request(i % 3)) for i in range(30)) for x in batch]
    assert sorted(i for i, _ in found) == sorted([*range(30), *range(30)])
    assert len(server.requests) == 3


def test_replies_of_a_broken_off_process_are_not_paid_again(tmp_path: Path):
    with ScriptedServer() as server:
        with desk(tmp_path, server) as calls:
            stream = calls.caller.ask((i, request(i)) for i in range(150))
            while not next(stream):
                pass
            stream.close()
        paid = {number(x) for x in server.answered}
        assert paid
        before = len(server.requests)
        with desk(tmp_path, server) as calls:
            assert len(calls.ask(150)) == 150
        again = Counter(number(x) for x in server.requests[before:])
    recorded = sum(x["outcome"] == "ok" for x in ledger_rows(tmp_path))
    assert recorded == 150
    assert len(again) < 150


def test_a_reply_of_no_use_is_asked_for_again_differently_and_shared_with_nobody(tmp_path: Path):
    def is_useful(_: int, outcome: Outcome) -> bool:
        return isinstance(outcome, ChatReply) and outcome.text == "good"

    def instead(tag: int) -> ChatRequest:
        return ChatRequest("m", (("user", f"question {tag}"),), max_tokens=5, seed=1)

    script = lambda body, _: say("bad" if body["seed"] == 0 else "good")  # noqa: E731
    with ScriptedServer(script) as server, desk(tmp_path, server) as calls:
        first = calls.ask(3, is_useful=is_useful, instead=instead)
        assert {x.text for x in first.values() if isinstance(x, ChatReply)} == {"good"}
        assert len(server.requests) == 6
        calls.ask(3)
        assert len(server.requests) == 9, "a reply that was of no use is not given to the next one who asks"


def test_key_is_sent_and_shown_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    key = "k-very-secret-0123456789"
    script = lambda body, _: say(f"your key is {key}") if number(body) else refuse(400, f"key {key} is odd")  # noqa: E731
    with ScriptedServer(script) as server, desk(tmp_path, server, key=key) as calls:
        assert calls.ask(range(1, 4))[1] == ChatReply("your key is ***", "stop", None, 100, 20)
        with pytest.raises(ServerError) as raised:
            calls.ask(1)
    assert server.authorizations[0] == f"Bearer {key}"
    shown = (
        str(raised.value) + repr(raised.value.__cause__) + repr(raised.value.__context__) + "".join(capfd.readouterr())
    )
    assert "key *** is odd" in shown
    assert key not in shown
    assert all(key.encode() not in x.read_bytes() for x in tmp_path.rglob("*") if x.is_file())


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_is_named_by_its_variable(tmp_path: Path, code: int):
    with (
        ScriptedServer(lambda *_: refuse(code, "Incorrect API key provided: k-ver***6789")) as server,
        desk(tmp_path, server, key="k-very-secret-0123456789", api_key_env="JUDGE_KEY") as calls,
        pytest.raises(UserError, match=rf"refuses the key in JUDGE_KEY \(HTTP {code}\)\.$"),
    ):
        calls.ask(1)


def test_without_a_key_the_users_openai_key_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-provider")
    with ScriptedServer() as server, desk(tmp_path, server) as calls:
        calls.ask(1)
    assert "another" not in str(server.authorizations)


def test_an_error_while_a_reply_is_written_down_is_raised_here(tmp_path: Path):
    with ScriptedServer() as server, desk(tmp_path, server) as calls:
        calls.replies.close()
        with pytest.raises(CrocoError, match="can't be written"):
            calls.ask(3)


def test_closing_breaks_off_what_is_in_flight(tmp_path: Path):
    with ScriptedServer(lambda *_: say("x", delay=30)) as server:
        with desk(tmp_path, server) as calls:
            calls.engine.submit([request(i) for i in range(5)])
            while len(server.requests) < 5:
                time.sleep(0.01)
        assert [x["outcome"] for x in ledger_rows(tmp_path)] == ["cancelled"] * 5
    assert not [x for x in threading.enumerate() if x.name == "calls"]


def test_logprobs_are_kept_for_the_last_tokens_with_the_chosen_one_among_them(tmp_path: Path):
    tokens = [("x", {"y": -1.0})] * 40 + [("A", {"A": -0.2, "B": -1.7}), ("}", {})]
    with ScriptedServer(lambda *_: say("...", logprobs=tokens)) as server, desk(tmp_path, server) as calls:
        (reply,) = calls.ask(1).values()
    assert isinstance(reply, ChatReply)
    assert len(reply.tail) == 32
    assert reply.tail[-2].text == "A"
    assert dict(reply.tail[-2].alternatives) == {"A": -0.2, "B": -1.7}
    assert dict(reply.tail[-1].alternatives) == {"}": -0.01}
