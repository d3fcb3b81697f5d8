"""Replies that were paid for are found again, in this process and after a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from croco_eval.harness.calls.messages import ChatReply, ChatRequest, Token
from croco_eval.harness.calls.replies import ReplyLog
from croco_eval.harness.errors import StoreError

ODD = 'ħobż\n\t"quoted" \u2028 日本 \U0001f40a' + "x" * 40_000
REPLIES = {
    "0a" * 16: ChatReply(ODD, "stop", None, 10, 20, (Token("A", (("A", -0.1), ("B", -2.5))),)),
    "0b" * 16: ChatReply("", "content_filter", "I can't", None, None),
    "0c" * 16: ChatReply("short"),
}


def filled(path: Path) -> ReplyLog:
    log = ReplyLog(path)
    for key, reply in REPLIES.items():
        log.add(key, reply)
    return log


def test_replies_come_back_as_they_were(tmp_path: Path):
    log = filled(tmp_path / "replies.jsonl")
    assert {key: log.get(key) for key in REPLIES} == REPLIES
    assert log.get("ff" * 16) is None


def test_replies_come_back_in_the_next_process(tmp_path: Path):
    filled(tmp_path / "replies.jsonl").close()
    log = ReplyLog(tmp_path / "replies.jsonl")
    assert {key: log.get(key) for key in REPLIES} == REPLIES


def test_a_torn_last_line_is_dropped_and_the_file_goes_on(tmp_path: Path):
    path = tmp_path / "replies.jsonl"
    filled(path).close()
    os.truncate(path, path.stat().st_size - 5)
    log = ReplyLog(path)
    assert log.get("0c" * 16) is None
    log.add("0d" * 16, REPLIES["0b" * 16])
    log.close()
    again = ReplyLog(path)
    assert again.get("0a" * 16) == REPLIES["0a" * 16]
    assert again.get("0d" * 16) == REPLIES["0b" * 16]


def test_a_later_reply_to_the_same_request_replaces_the_earlier(tmp_path: Path):
    log = filled(tmp_path / "replies.jsonl")
    log.add("0c" * 16, ChatReply("later"))
    assert log.get("0c" * 16) == ChatReply("later")


def test_a_forgotten_reply_is_given_to_nobody(tmp_path: Path):
    log = filled(tmp_path / "replies.jsonl")
    log.forget("0c" * 16)
    log.forget("0c" * 16)
    assert log.get("0c" * 16) is None


def test_discarding_removes_the_file_and_closing_twice_does_no_harm(tmp_path: Path):
    log = filled(tmp_path / "replies.jsonl")
    log.discard()
    log.close()
    assert not (tmp_path / "replies.jsonl").exists()


def test_a_damaged_file_is_named(tmp_path: Path):
    (tmp_path / "replies.jsonl").write_text("not json\n")
    with pytest.raises(StoreError, match=r"replies\.jsonl is damaged"):
        ReplyLog(tmp_path / "replies.jsonl")


def test_a_full_disk_is_a_store_error_and_leaves_whole_lines(tmp_path: Path):
    import resource
    import signal

    log = filled(tmp_path / "replies.jsonl")
    size = (tmp_path / "replies.jsonl").stat().st_size
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
    try:
        with pytest.raises(StoreError, match="can't be written"):
            log.add("0d" * 16, ChatReply("y" * 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [json.loads(x)[0] for x in (tmp_path / "replies.jsonl").read_text().splitlines()] == list(REPLIES)


MESSAGES = (("system", "be fair"), ("user", "A or B?"))


def test_a_request_is_known_by_its_whole_content():
    first = ChatRequest("m", MESSAGES, max_tokens=10, seed=1)
    assert first.key == ChatRequest("m", MESSAGES, max_tokens=10, seed=1).key
    others = [
        ChatRequest("n", MESSAGES, max_tokens=10, seed=1),
        ChatRequest("m", MESSAGES[1:], max_tokens=10, seed=1),
        ChatRequest("m", MESSAGES, max_tokens=11, seed=1),
        ChatRequest("m", MESSAGES, max_tokens=10, seed=2),
        ChatRequest("m", MESSAGES, temperature=0.5, max_tokens=10, seed=1),
        ChatRequest("m", MESSAGES, max_tokens=10, seed=1, schema={"type": "object"}),
        ChatRequest("m", MESSAGES, max_tokens=10, seed=1, top_logprobs=5),
        ChatRequest("m", MESSAGES, max_tokens=10, seed=1, extra={"top_p": 0.9}),
    ]
    assert len({first.key, *(x.key for x in others)}) == 1 + len(others)


def test_what_is_none_is_left_out_of_the_request():
    assert ChatRequest("m", MESSAGES, temperature=None).body() == {
        "model": "m",
        "messages": [{"role": "system", "content": "be fair"}, {"role": "user", "content": "A or B?"}],
    }
