"""What fits a window, and what is an answer: cut prompts and stop strings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from croco_eval.harness.api.answerer import Answerer
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import GenerationRequest, LikelihoodRequest, Response
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.backends.hf_generate import generate_batch
from croco_eval.harness.backends.text import cut_to, find_stop, fit_pairs, read_answer
from croco_eval.harness.store.files import AppendLog
from croco_eval.harness.text.encoding import encode, render
from helpers.scripted_model import ScriptedModel
from helpers.tokenizers import BOS, END, KINDS, NEXT, TEMPLATE, USER, make_tokenizer

LONG = "Monday and Tuesday. " * 100
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{LONG}What is it?"}]


@pytest.mark.parametrize("kind", KINDS)
def test_a_chat_that_is_too_long_keeps_its_beginning_and_its_end(kind: str):
    tokenizer = make_tokenizer(kind, "none", "{{ bos_token }}" + TEMPLATE)
    chat = render(tokenizer, ASKED)
    whole = encode(tokenizer, chat)
    head = tokenizer.encode(f"{BOS}[system] Be brief.{END}{USER}", add_special_tokens=False)
    for room in (len(head) * 2, len(head) * 2 + 1, 100):
        found, n_cut = cut_to(tokenizer, chat, whole, room)
        assert (len(found), n_cut) == (room, len(whole) - room)
        assert found == [*head, *whole[len(whole) - room + len(head) :]]
        assert found[-1] == tokenizer.convert_tokens_to_ids(NEXT)
    small, _ = cut_to(tokenizer, chat, whole, 4)
    assert small == [tokenizer.bos_token_id, *whole[-3:]], "no room for the system message, but for BOS"
    assert cut_to(tokenizer, chat, whole, 1)[0] == whole[-1:]
    assert cut_to(tokenizer, chat, whole, len(whole)) == (whole, 0)


@pytest.mark.parametrize("adds", ["front", "both", "end", "none"])
def test_a_text_that_is_too_long_keeps_bos(adds: str):
    tokenizer = make_tokenizer("bytes", adds)
    whole = encode(tokenizer, LONG)
    found, n_cut = cut_to(tokenizer, LONG, whole, 50)
    front = [tokenizer.bos_token_id] if adds in ("front", "both") else []
    assert found == [*front, *whole[len(whole) - 50 + len(front) :]]
    assert n_cut == len(whole) - 50
    context = LONG.rstrip()
    ((head, tail, cut),) = fit_pairs(tokenizer, [(context, " Oslo")], 50)
    assert len(head) + len(tail) == 51
    assert list(head[: len(front)]) == front
    assert cut == len(encode(tokenizer, context)) + len(tail) - 51


@pytest.fixture(scope="module")
def backend(nano: Path) -> HfBackend:
    return HfBackend(ModelSpec(str(nano)), log=lambda message: None)


@pytest.mark.parametrize("truncate", ["cut", "refuse"])
def test_what_was_cut_is_in_the_record_and_may_be_refused(backend: HfBackend, tmp_path: Path, truncate: Any):
    engine = backend.engine(None)
    answerer = Answerer(engine, AppendLog(tmp_path / "a.jsonl"), True, {}, lambda done, expected: None, truncate)
    long, short = engine.chat([{"role": "user", "content": LONG * 3}]), engine.chat(ASKED[:1])
    made = answerer.generate([GenerationRequest(str(i), 0, x, 8) for i, x in enumerate((long, short))])
    n_cut = len(encode(backend.tokenizer, long)) - (1024 - 8)
    assert [x.n_cut for x in made] == [n_cut, 0]
    likely = answerer.loglikelihoods([LikelihoodRequest("2", 0, x, " a") for x in (long,)])
    assert likely[0].n_cut == len(encode(backend.tokenizer, long)) - 1024
    stored = {x.item_id: x for x in answerer.generations}
    assert {k: x.n_cut for k, x in stored.items()} == {"0": n_cut, "1": 0, "2": likely[0].n_cut}
    assert stored["0"].prompt.startswith("<|user|>Monday")
    if truncate == "refuse":
        assert made[0].text is None
        assert likely[0].logprob is None
        assert made[0].finish_reason == f"the prompt is longer than the model's window by {n_cut:,} tokens"
        assert answerer.cut == "2 of 3 prompts are longer than the model's window and were refused"
    else:
        assert isinstance(made[0].text, str)
        assert likely[0].logprob is not None
        assert answerer.cut is not None
        assert answerer.cut.endswith(f"were cut by {n_cut + likely[0].n_cut:,} tokens in all")
    assert made[1].text is not None


@pytest.mark.parametrize(
    ("text", "stop", "begun", "kept"),
    [
        ("Oslo\nQuestion: and", ("\n",), False, "Oslo"),
        ("Oslo. Bergen", ("gen", ". "), False, "Oslo"),
        ("Oslo", ("\n",), False, None),
        ("\nOslo", ("\n",), False, ""),
        ("<think>\n\nOslo?\n</think>\n\nOslo\n\nB", ("\n\n", "?"), False, "<think>\n\nOslo?\n</think>\n\nOslo"),
        ("<think>\n\nOslo?", ("\n\n", "?"), False, None),
        ("I think\n\nOslo?\n</think>\n\nOslo\n\nB", ("\n\n",), True, "I think\n\nOslo?\n</think>\n\nOslo"),
        ("I think\n\nOslo?", ("\n\n",), True, None),
        ("all\n\nthis</think>Oslo\n\nB", ("\n\n",), False, "all\n\nthis</think>Oslo"),
        ("<think>a</think>\n<thinking>b\nc</thinking>Oslo\n", ("\n",), False, None),
        ("Oslo <think>", ("<think>",), False, "Oslo "),
    ],
)
def test_stop_strings_are_found_in_what_a_reader_sees(text: str, stop: tuple[str, ...], begun: bool, kept: str | None):
    found = find_stop(text, stop, begun)
    if text.startswith("<think>a</think>\n<thinking>"):
        kept = text[:-1]
    assert (None if found is None else text[: found[0]]) == kept


def said(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("kind", ["bytes", "unigram, first", "unigram, always"])
def test_a_stop_string_may_be_a_special_token_or_end_within_a_token(kind: str):
    tokenizer = make_tokenizer(kind)
    ids = said(tokenizer, f"Oslo is the capital{END} of Norway")
    read = read_answer(tokenizer, ids, (END,), False)
    assert (read.text, read.stopped) == ("Oslo is the capital", True)
    assert read.n_tokens == ids.index(tokenizer.convert_tokens_to_ids(END)) + 1
    for stop in ("s the", "capi", "l", "Norway"):
        read = read_answer(tokenizer, ids, (stop,), False)
        assert read.text == "Oslo is the capital of Norway".split(stop)[0]
        assert stop in tokenizer.decode(ids[: read.n_tokens])
        assert stop not in tokenizer.decode(ids[: read.n_tokens - 1])
    assert read_answer(tokenizer, ids, ("Bergen",), False) == ("Oslo is the capital of Norway", len(ids), False)


def generated(
    kind: str, text: str, stop: tuple[str, ...], prompt: str = "Tell me", n: int = 60
) -> tuple[Response, int]:
    """What backend hf makes of a model that says this text, and how many steps it took."""
    tokenizer = make_tokenizer(kind)
    model = ScriptedModel(tokenizer, said(tokenizer, text), len(encode(tokenizer, prompt)))
    requests = [GenerationRequest("x", i, prompt, n, stop=stop) for i in range(2)]
    first, second = generate_batch(model, tokenizer, requests, 1000)
    assert first == second
    return first, model.steps


def test_generation_ends_at_a_stop_string_and_not_within_reasoning():
    text = "<think>a||b</think> Oslo is it.||The week begins on Monday and ends"
    for kind in ("bytes", "unigram, first"):
        answer, steps = generated(kind, text, ("||", "nothing"), n=120)
        assert answer.finish_reason == "stop"
        assert answer.text == "<think>a||b</think> Oslo is it."
        assert answer.n_tokens == steps, "the model stops as soon as the string is there"
        assert steps < len(said(make_tokenizer(kind), text))
    cut, steps = generated("bytes", text, ("||",), n=8)
    assert (cut.finish_reason, cut.n_tokens, steps) == ("length", 8, 8)


def test_a_prompt_that_opens_the_reasoning_is_known():
    text = "a\n\nb</think>\n\nOslo\n\nThe week"
    answer, _ = generated("bytes", text, ("\n\n",), prompt="Tell me <think>\n")
    assert answer.text == "a\n\nb</think>\n\nOslo"
    answer, _ = generated("bytes", text, ("\n\n",))
    assert answer.text == "a"


def test_generation_ends_at_a_special_token():
    answer, steps = generated("bytes", f"Oslo{END} is the capital of Norway", (END,))
    assert (answer.text, answer.finish_reason) == ("Oslo", "stop")
    assert steps == answer.n_tokens
