"""Judge `llm` against a scripted server: what it asks, what it makes of the replies, whom it refuses to judge."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from croco_eval.harness.api.judge import Case, JudgeContext, JudgingCell, Ruling
from croco_eval.harness.api.records import AnswerPair, Item
from croco_eval.harness.calls import client
from croco_eval.harness.errors import ServerError, UserError
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.judges.llm.judge import LlmJudge
from croco_eval.judges.llm.options import NEUTRAL, LlmOptions
from helpers.scripted_server import Act, Body, ScriptedServer, longer_wins, refuse, say, texts, verdict

CELL = JudgingCell("llm", "tuned", "base", "open", "en")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)


def pairs(n: int, same: bool = False, cell: JudgingCell = CELL) -> list[AnswerPair]:
    made = []
    for i in range(n):
        item = Item(f"q{i}", f"q{i}", "advice", f"Question {i}?")
        candidate = f"tuned says {i} " * (1 + i % 3)
        made.append(AnswerPair(item, cell.language, candidate, candidate if same else f"base says {i} " * 2))
    return made


def make(url: str, seed: int = 0, **options: Any) -> LlmJudge:
    judge = LlmJudge(base_url=url, model="judge-model", **options)
    judge.bind(JudgeContext("llm", seed, ("en",)))
    return judge


def rule(
    judge: LlmJudge, folder: Path, answers: Sequence[AnswerPair], cells: Sequence[JudgingCell] = (CELL,)
) -> list[Ruling]:
    cases = (Case(cell, pair, order) for cell in cells for pair in answers for order in judge.orders(pair))
    return [x for batch in judge.judge(cases, RunDirectory(folder), lambda _: None) for x in batch]


def judged(script: Callable[[Body, int], Act], folder: Path, n: int = 6, same: bool = False, **options: Any):
    """(rulings, server) of a judge over n pairs."""
    with ScriptedServer(script) as server:
        return rule(make(server.base_url, **options), folder, pairs(n, same)), server


def win_rate(rulings: Sequence[Ruling]) -> float:
    values = {"candidate": 1.0, "tie": 0.5, "reference": 0.0}
    graded = [x.judgment.preference for x in rulings]
    return sum(values[str(x.judgment.verdict)] if p is None else p for x, p in zip(rulings, graded, strict=True)) / len(
        rulings
    )


def test_a_fair_judge_prefers_by_what_it_is_shown_in_both_orders(tmp_path: Path):
    rulings, server = judged(longer_wins, tmp_path, n=9)
    by_item: dict[str, set[Any]] = {}
    for case, judgment in rulings:
        by_item.setdefault(case.pair.item.item_id, set()).add(judgment.verdict)
    expected = ["reference", "candidate", "candidate"]
    assert by_item == {f"q{i}": {expected[i % 3]} for i in range(9)}
    assert len(server.requests) == 18
    assert {x.judgment.order for x in rulings} == {"candidate_first", "reference_first"}


@pytest.mark.parametrize("how", ["json", "tag"])
@pytest.mark.parametrize("first", ["A", "B"])
def test_a_judge_that_always_names_the_same_place_gives_exactly_one_half(tmp_path: Path, first: str, how: str):
    reply = verdict(first) if how == "json" else say(f"[[{first}]]")
    rulings, _ = judged(lambda *_: reply, tmp_path, n=7, verdict=how)
    assert win_rate(rulings) == 0.5
    assert {x.judgment.verdict for x in rulings} == {"candidate", "reference"}


def test_a_graded_judge_that_leans_to_the_first_place_gives_exactly_one_half(tmp_path: Path):
    tokens = [('{"reasoning": "", "verdict": "', {}), ("A", {"A": math.log(0.75), "B": math.log(0.25)}), ('"}', {})]
    act = say('{"reasoning": "", "verdict": "A"}', logprobs=tokens)
    rulings, server = judged(lambda *_: act, tmp_path, logprobs=True)
    assert win_rate(rulings) == pytest.approx(0.5, abs=1e-12)
    assert sorted({round(x.judgment.preference or 0, 9) for x in rulings}) == [0.25, 0.75]
    assert server.requests[0]["logprobs"] is True
    assert server.requests[0]["top_logprobs"] == 10


def test_a_system_against_itself_gives_exactly_one_half_even_with_a_judge_of_moods(tmp_path: Path):
    moods = iter("ABABBBABAABBA" * 10)
    rulings, server = judged(lambda *_: verdict(next(moods)), tmp_path, n=8, same=True)
    assert win_rate(rulings) == 0.5
    assert len(server.requests) == 8, "equal answers are one request for both orders"


def test_one_random_order_per_item_is_asked_once(tmp_path: Path):
    rulings, server = judged(longer_wins, tmp_path, n=20, orders="random")
    assert len(rulings) == len(server.requests) == 20
    orders = {x.case.pair.item.item_id: x.judgment.order for x in rulings}
    assert set(orders.values()) == {"candidate_first", "reference_first"}
    again, _ = judged(longer_wins, tmp_path / "again", n=20, orders="random")
    assert {x.case.pair.item.item_id: x.judgment.order for x in again} == orders


def test_request_says_what_the_options_say(tmp_path: Path):
    _, server = judged(
        longer_wins,
        tmp_path,
        n=1,
        seed=9,
        temperature=0.3,
        max_tokens=77,
        extra={"top_p": 0.5, "reasoning_effort": "low"},
    )
    body = server.requests[0]
    assert {k: v for k, v in body.items() if k not in ("messages", "response_format")} == {
        "model": "judge-model",
        "temperature": 0.3,
        "max_tokens": 77,
        "seed": 9,
        "top_p": 0.5,
        "reasoning_effort": "low",
    }
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["reasoning", "verdict"]
    assert body["response_format"]["json_schema"]["strict"] is True


def test_tag_verdicts_ask_for_no_schema_and_what_is_null_is_not_sent(tmp_path: Path):
    _, server = judged(lambda *_: say("[[C]]"), tmp_path, n=1, verdict="tag", temperature=None, max_tokens=None)
    assert set(server.requests[0]) == {"model", "messages", "seed"}


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (say("no idea"), "no readable verdict"),
        (say(""), "empty reply"),
        (say(None), "empty reply"),
        (verdict("A", finish_reason="length"), "reply cut off"),
        (say(None, refusal="I would rather not"), "judge refused"),
        (say("", finish_reason="content_filter"), "judge refused"),
        (say('{"verdict": "A"} {"verdict": "B"}'), "contradicting verdicts"),
        (refuse(400, "This model's maximum context length is 8"), "too long for the model"),
        (Act(body={"choices": []}), "no answer: a reply without choices (3 tries)"),
        (Act(body=b"nonsense"), "no answer: a reply that is not the protocol's JSON (3 tries)"),
    ],
)
def test_what_gives_no_verdict_is_unscored_with_the_reason(tmp_path: Path, act: Act, reason: str):
    def script(body: Body, _: int) -> Act:
        return act if "Question 1?" in texts(body)[0] else longer_wins(body, 0)

    rulings, _ = judged(script, tmp_path, n=3)
    bad = [x.judgment for x in rulings if x.judgment.item_id == "q1"]
    assert [(x.verdict, x.unscored, x.preference) for x in bad] == [(None, reason, None)] * 2
    assert all(x.judgment.verdict and not x.judgment.unscored for x in rulings if x.judgment.item_id != "q1")


def test_an_unreadable_reply_is_asked_for_again_with_another_seed_and_some_warmth(tmp_path: Path):
    script = lambda body, _: say("hm") if body["seed"] < 7 else verdict("A")  # noqa: E731
    rulings, server = judged(script, tmp_path, n=1, seed=5, reasks=2, orders="random")
    assert [(x["seed"], x["temperature"]) for x in server.requests] == [(5, 0.0), (6, 0.5), (7, 0.5)]
    assert [json.loads(x.judgment.details)["asked"] for x in rulings] == [3]
    assert rulings[0].judgment.verdict is not None


@pytest.mark.parametrize("reasks", [0, 1, 3])
def test_it_is_asked_for_again_so_many_times_and_no_more(tmp_path: Path, reasks: int):
    rulings, server = judged(lambda *_: say("hm"), tmp_path, n=2, reasks=reasks)
    assert len(server.requests) == 4 * (1 + reasks)
    assert {x.judgment.unscored for x in rulings} == {"no readable verdict"}


def test_a_judgment_keeps_what_the_judge_said(tmp_path: Path):
    rulings, _ = judged(lambda *_: verdict("B", "Því að…"), tmp_path, n=1)
    details = json.loads(rulings[0].judgment.details)
    assert json.loads(details["reply"]) == {"reasoning": "Því að…", "verdict": "B"}
    assert details["finish_reason"] == "stop"


def test_identical_calls_of_two_systems_are_paid_once(tmp_path: Path):
    other = JudgingCell("llm", "twin", "base", "open", "en")
    with ScriptedServer(longer_wins) as server:
        rulings = rule(make(server.base_url), tmp_path, pairs(5), (CELL, other))
        assert len(server.requests) == 10
    assert len(rulings) == 20
    assert {x.case.cell for x in rulings} == {CELL, other}
    assert (tmp_path / "ledger.jsonl").read_text().count("\n") == 10
    assert not list(tmp_path.rglob("replies.jsonl")), "nothing is left over when all is judged"


def test_an_unreadable_reply_is_not_shared_with_a_later_identical_call(tmp_path: Path):
    other = JudgingCell("llm", "twin", "base", "open", "en")
    with ScriptedServer(lambda *_: say("hm")) as server:
        judge = make(server.base_url, reasks=0, max_concurrency=1)
        rule(judge, tmp_path, pairs(8), (CELL, other))
        assert len(server.requests) == 32


@pytest.mark.parametrize(
    ("model", "names", "refused"),
    [
        ("Owner/Big", {"owner/big"}, True),
        ("big", {"owner/big"}, True),
        ("owner/big", {"big"}, True),
        ("/models/big/", {"/models/big"}, True),
        ("other/big", {"owner/big"}, False),
        ("owner/bigger", {"owner/big"}, False),
    ],
)
def test_a_judge_that_is_the_model_of_a_system_is_refused_unless_allowed(model: str, names: set[str], refused: bool):
    context = JudgeContext("llm", 0, ("en",), {"base": frozenset({"other"}), "tuned": frozenset(names)})
    judge = LlmJudge(base_url="http://h/v1", model=model)
    if refused:
        with pytest.raises(UserError, match=r"model of system 'tuned'.*allow_self_judging: true"):
            judge.bind(context)
    else:
        judge.bind(context)
    LlmJudge(base_url="http://h/v1", model=model, allow_self_judging=True).bind(context)


def identity(**changes: Any) -> dict[str, Any]:
    return make("http://h/v1", **changes).identity


OTHER_VALUES: dict[str, Any] = {
    "model": "n", "engine": "vllm", "temperature": 0.5, "max_tokens": 5, "orders": "random", "ties": False,
    "verdict": "tag", "logprobs": True, "prompt_language": "english", "system_role": False, "rubric": "r",
    "criteria": ["c"], "reasks": 1, "max_answer_chars": 500, "seed": 4, "extra": {"top_p": 1},
    "engine_options": {"x": 1}, "base_url": "http://other/v1", "api_key_env": "KEY", "timeout": 5, "max_concurrency": 3,
    "max_retries": 1,
    "price": {"input": 1, "output": 1}, "budget": {"tokens": 5}, "allow_self_judging": True,
}  # fmt: skip


def test_every_option_is_in_the_identity_but_the_neutral_ones():
    assert set(OTHER_VALUES) == set(LlmOptions.model_fields)
    for name, value in OTHER_VALUES.items():
        changes = {name: value}
        if name in ("engine", "engine_options"):
            changes = {"engine": "vllm", "engine_options": {"x": 1} if name == "engine_options" else {}}
            changed = LlmJudge(model="judge-model", **changes)
        elif name == "model":
            changed = LlmJudge(base_url="http://h/v1", model="n")
        else:
            changed = LlmJudge(**{"base_url": "http://h/v1", "model": "judge-model", **changes})
        changed.bind(JudgeContext("llm", 0, ("en",)))
        assert (changed.identity == identity()) is (name in NEUTRAL), name


def test_identity_holds_the_seed_of_the_run_and_the_words_of_the_prompts():
    judge = LlmJudge(base_url="http://h/v1", model="m", seed=3)
    judge.bind(JudgeContext("llm", 8, ("en",)))
    assert judge.identity["seed"] == 3
    free = LlmJudge(base_url="http://h/v1", model="m")
    free.bind(JudgeContext("llm", 8, ("en",)))
    assert free.identity["seed"] == 8
    assert list(free.identity["prompts"]) == ["en"]
    assert json.loads(json.dumps(free.identity)) == free.identity


def test_identity_in_a_language_does_not_change_with_the_other_languages():
    one, two = (LlmJudge(base_url="http://h/v1", model="m", prompt_language="english") for _ in range(2))
    one.bind(JudgeContext("llm", 0, ("en",)))
    two.bind(JudgeContext("llm", 0, ("da", "en")))
    assert one.identity_in("en") == two.identity_in("en")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "m"}, "base_url is missing"),
        ({"base_url": "http://h/v1"}, "option 'model' is missing"),
        ({"model": "m", "base_url": "http://h/v1", "temprature": 1}, "did you mean 'temperature'"),
        ({"model": "m", "base_url": "http://h/v1", "orders": "one"}, "option 'orders'"),
        ({"model": "m", "base_url": "http://h/v1", "budget": {"money": 1}}, "a budget in money needs a price"),
        ({"model": "m", "base_url": "http://h/v1", "budget": {"mony": 1}}, "did you mean 'money'"),
        ({"model": "m", "base_url": "http://h/v1", "criteria": []}, "option 'criteria'"),
        ({"model": "m", "engine": "vllm", "base_url": "http://h/v1"}, "it has no base_url"),
        ({"model": "m", "base_url": "http://h/v1", "engine_options": {"x": 1}}, "engine_options are for engine vllm"),
        ({"self": 1}, "no option 'self'"),
    ],
)
def test_wrong_options_are_one_sentence_each(options: dict[str, Any], said: str):
    with pytest.raises(UserError) as refused:
        LlmJudge(**options)
    assert said in str(refused.value)
    assert str(refused.value).startswith("judge 'llm'")


def test_missing_key_and_missing_vllm_are_found_before_anything_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(UserError, match="JUDGE_KEY, which is not set"):
        make("http://h/v1", api_key_env="JUDGE_KEY").check()
    monkeypatch.setattr("croco_eval.judges.llm.judge.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'croco-eval\[vllm\]'"):
        LlmJudge(model="m", engine="vllm").check()


def test_the_first_call_goes_alone(tmp_path: Path):
    with (
        ScriptedServer(lambda *_: refuse(404, "no such model")) as server,
        pytest.raises(UserError, match="knows no model 'judge-model'"),
    ):
        rule(make(server.base_url), tmp_path, pairs(50))
    assert len(server.requests) == 1


def test_it_tells_of_spend_and_of_what_fails_while_it_waits(tmp_path: Path):
    told: list[str] = []
    script = lambda body, times: verdict("A") if times else refuse(500)  # noqa: E731
    with ScriptedServer(script) as server:
        judge = make(server.base_url, price={"input": 10, "output": 10})
        cases = (Case(CELL, pair, order) for pair in pairs(2) for order in judge.orders(pair))
        for _ in judge.judge(cases, RunDirectory(tmp_path), told.append):
            pass
    assert told[-1] == "0.0048 spent, 4 failed tries (last: http 500)"


def test_nothing_to_judge_asks_nothing(tmp_path: Path):
    assert rule(make("http://127.0.0.1:9/v1"), tmp_path, []) == []


def test_a_server_that_gives_no_log_probabilities_leaves_all_unscored(tmp_path: Path):
    rulings, _ = judged(longer_wins, tmp_path, n=2, logprobs=True, reasks=0)
    assert {x.judgment.unscored for x in rulings} == {"no log-probabilities of the verdict"}


def test_a_server_error_says_where(tmp_path: Path):
    with ScriptedServer() as server:
        pass
    with pytest.raises(ServerError, match=r"the server at http://127\.0\.0\.1:\d+/v1 can't be reached"):
        rule(make(server.base_url), tmp_path, pairs(1))
