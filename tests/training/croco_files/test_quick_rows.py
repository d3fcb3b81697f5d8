"""Rows that are read without decoding their answers are read as the parser reads them."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from croco_eval.training.croco_files.prompt_files import read_prompts
from croco_eval.training.croco_files.quick_rows import QuickRows
from croco_eval.training.croco_files.scored_files import REPEATED, read_scored
from croco_eval.training.croco_files.write_files import write_study_files
from hypothesis import given, settings
from hypothesis import strategies as st

NASTY = [
    '"',
    "\\",
    '\\"',
    "\n",
    "ø",
    "€",
    " ",
    "\u00a0",
    '"}], "reward_score": 9',
    '"}, {"role": "assistant", "content": "',
    "a",
]
some_text = st.lists(st.sampled_from(NASTY), max_size=6).map("".join)
some_reward = st.sampled_from([1.5, -0.25, 3, 0, 1e-7, -1e22, float("nan"), float("inf"), -999.0, None, "1.0", True])


@st.composite
def some_row(draw, prompts: list[str]) -> str:
    """A row as a JSON writer may lay it out: the study's way most of the time."""
    says = [
        {"role": "user", "content": draw(st.sampled_from(prompts))},
        {"role": "assistant", "content": draw(some_text)},
    ]
    if draw(st.integers(0, 9)) == 0:
        says.append({"role": "assistant", "content": "more"})
    if draw(st.integers(0, 9)) == 0:
        says[1] = {"content": says[1]["content"], "role": "assistant"}
    fields = [("id", "p"), ("messages", says), ("reward_score", draw(some_reward)), ("model", draw(some_text))]
    if draw(st.integers(0, 9)) == 0:
        fields.append(("meta", {"reward_score": 5.0, "messages": []}))
    if draw(st.integers(0, 4)) == 0:
        fields = draw(st.permutations(fields))
    compact = {"separators": (",", ":")} if draw(st.booleans()) else {}
    text = json.dumps(dict(fields), ensure_ascii=draw(st.booleans()), **compact)
    if draw(st.integers(0, 14)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    if draw(st.integers(0, 9)) == 0:
        text = text.replace('"id"', '"reward_score": 7.0, "id"', 1)
    return text + draw(st.sampled_from(["\n", "\n", "\n", " \r\n", "\n\n"]))


def write_prompts(folder: Path, prompts: list[str]) -> Path:
    path = folder / "prompts_da.jsonl"
    rows = [json.dumps({"messages": [{"role": "user", "content": x}]}) + "\n" for x in prompts]
    path.write_text("".join(rows), encoding="utf-8")
    return path


PROMPTS = ["how?", 'a "quoted" one\\', "æ\n€"]


@settings(max_examples=150, deadline=None)
@given(st.lists(some_row(PROMPTS), min_size=1, max_size=25))
def test_every_row_is_read_as_the_parser_reads_it(rows: list[str]):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompts = read_prompts([write_prompts(folder, PROMPTS)])
        file = folder / "r_da_scored.jsonl"
        good = json.dumps({"messages": [{"role": "user", "content": "how?"}, {"role": "assistant", "content": "so"}],
                           "reward_score": 1.0})  # fmt: skip
        file.write_bytes(("".join([good, "\n", *rows])).encode())
        quick, parsed = (read_scored([file], prompts, parse_all=x) for x in (False, True))
    assert quick.problems == parsed.problems
    assert quick.examples == parsed.examples
    assert quick.repeats == parsed.repeats
    for name in ("line", "reward", "offset"):
        np.testing.assert_array_equal(getattr(quick, name), getattr(parsed, name))


def row(prompt: str, answer: str, reward: float) -> str:
    says = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return json.dumps({"id": "x", "messages": says, "reward_score": reward, "model": "m"}) + "\n"


def test_rows_that_begin_alike_are_not_parsed():
    quick = QuickRows()
    first = row("how?", "so", 1.0).encode()
    assert quick.read(first) is None
    quick.learn(first, json.loads(first), 4)
    assert quick.read(row("how?", 'or "so" \\', -2.5).encode()) == (4, -2.5)
    assert quick.read(row("how else?", "so", 1.0).encode()) is None
    for text in ("", " ", "\n", "\u00a0x"):
        assert quick.read(row("how?", text, 1.0).encode()) is None
    begun = row("how?", "so", 1.0).encode()
    for length in range(len(begun) - 2):
        assert quick.read(begun[:length]) is None


def test_a_damaged_answer_that_is_picked_sends_every_row_to_the_parser(tmp_path: Path):
    prompts = write_prompts(tmp_path, ["how?"])
    rows = [row("how?", f"answer {i}", float(i)).encode() for i in range(6)]
    rows[5] = rows[5].replace(b"answer", b"ans\xffwer")
    file = tmp_path / "r_da_scored.jsonl"
    file.write_bytes(b"".join(rows))
    made = write_study_files([file], [prompts], tmp_path / "out")
    assert made.scored.problems == {("da", "are not JSON objects"): 1}
    (pair,) = map(json.loads, (tmp_path / "out" / "dpo_in_lang_da.jsonl").read_text(encoding="utf-8").splitlines())
    assert (pair["chosen"], pair["rejected"], pair["pool_size"]) == ("answer 4", "answer 0", 5)


def test_repeated_rows_are_counted_named_and_count(tmp_path: Path):
    prompts = write_prompts(tmp_path, ["how?"])
    rows = [
        row("how?", "a", 1.0),
        row("how?", "b", 0.0),
        row("how?", "c", 1.0),
        row("how?", "a", 1.0),
        "\n",
        row("how?", "a", 1.0),
    ]
    file = tmp_path / "r_da_scored.jsonl"
    file.write_text("".join(rows), encoding="utf-8")
    made = write_study_files([file], [prompts], tmp_path / "out")
    assert made.scored.repeats == {"da": 2}
    assert made.scored.examples["da", REPEATED] == f"{file}:4"
    (pair,) = map(json.loads, (tmp_path / "out" / "dpo_in_lang_da.jsonl").read_text(encoding="utf-8").splitlines())
    assert (pair["chosen"], pair["rejected"], pair["pool_size"]) == ("a", "b", 5)


@pytest.fixture(scope="module", autouse=True)
def _without_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield
