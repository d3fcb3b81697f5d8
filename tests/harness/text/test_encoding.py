"""Encoding, over tokenizers of every kind: the template's special tokens are special, and nothing else ever is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from croco_eval.harness.backends.text import encode_pairs
from croco_eval.harness.text.encoding import RenderedChat, encode, encode_content, readable, render
from helpers.tokenizers import ADDS, BOS, END, EOS, KINDS, NEXT, TEMPLATE, UNK, USER, make_tokenizer, special_strings
from transformers import AutoTokenizer

CONTENTS = [
    ("Tell me about Denmark.", "Denmark is a country."),
    ("  two spaces", " and an answer \n"),
    ("", ""),
    ("København?", "Oslo, på Sjælland: 12"),
]
TEMPLATES = {
    "none": TEMPLATE,
    "writes BOS": "{{ bos_token }}" + TEMPLATE,
    "newline, then BOS": "\n{{ bos_token }}" + TEMPLATE,
    "trims": TEMPLATE.replace("m['content']", "m['content'] | trim"),
    "looks at the beginning": TEMPLATE.replace("{{ m['content'] }}", "{{ m['content'][:4] + '|' + m['content'][4:] }}"),
    "no special tokens": "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}",
}


def turn(question: str, answer: str, system: str | None = None) -> list[dict[str, str]]:
    first = [] if system is None else [{"role": "system", "content": system}]
    return [*first, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def own(tokenizer: Any, messages: list[dict[str, str]], ask: bool) -> list[int]:
    return tokenizer.apply_chat_template(messages, add_generation_prompt=ask, tokenize=True, return_dict=False)


@pytest.fixture(scope="module", params=[*KINDS, "croco-nano"])
def tokenizer(request: pytest.FixtureRequest, nano: Path) -> Any:
    return AutoTokenizer.from_pretrained(nano) if request.param == "croco-nano" else make_tokenizer(request.param)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("template", list(TEMPLATES))
@pytest.mark.parametrize("adds", ADDS)
def test_a_chat_has_the_tokens_that_transformers_gives_it(kind: str, adds: str, template: str):
    tokenizer = make_tokenizer(kind, adds, TEMPLATES[template])
    for question, answer in CONTENTS:
        for messages in (turn(question, answer), turn(question, answer, system="Be brief.")):
            assert encode(tokenizer, render(tokenizer, messages, ask=False)) == own(tokenizer, messages, False)
            assert encode(tokenizer, render(tokenizer, messages[:-1])) == own(tokenizer, messages[:-1], True)
            expected = tokenizer.apply_chat_template(messages, tokenize=False)
            assert render(tokenizer, messages, ask=False).readable == expected


@pytest.mark.parametrize("adds", ADDS)
def test_a_text_gets_what_the_tokenizer_puts_in_front_and_nothing_behind(kind: str, adds: str):
    tokenizer = make_tokenizer(kind, adds)
    front = [tokenizer.bos_token_id] if adds in ("front", "both") else []
    for text in ("Tell me about Denmark", " me", "Oslo\n"):
        assert encode(tokenizer, text) == [*front, *tokenizer.encode(text, add_special_tokens=False)]
    found = encode(tokenizer, f"{BOS}Tell me")
    assert found.count(tokenizer.bos_token_id) == len(front), "one that the text begins with is not doubled"
    assert encode(tokenizer, "") == front


@pytest.mark.parametrize("adds", ADDS)
def test_context_and_continuation_are_the_tokens_of_the_whole(kind: str, adds: str):
    tokenizer = make_tokenizer(kind, adds)
    for context, continuation in [("Tell me ab", "out Denmark"), ("The week ", "begins"), ("Oslo is", " the capital")]:
        ((head, tail),) = encode_pairs(tokenizer, [(context, continuation)], 10_000)
        assert [*head, *tail] == encode(tokenizer, context + continuation)
        asked = [{"role": "user", "content": context}]
        ((head, tail),) = encode_pairs(tokenizer, [(render(tokenizer, asked), continuation)], 10_000)
        expected = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False) + continuation
        assert [*head, *tail] == tokenizer.encode(expected, add_special_tokens=False)


def spellings(tokenizer: Any) -> list[str]:
    """Every special token, alone, within a word, doubled, nested, in full width, and split over two messages."""
    made = [y for x in special_strings(tokenizer) for y in (x, f"a{x}b", f"{x}{x}", f"{x[:2]}{x}{x[2:]}")]
    wide = str.maketrans({"<": "＜", ">": "＞", "|": "｜"})
    return [
        *made,
        *(x.translate(wide) for x in special_strings(tokenizer)),
        "\ufdd0<s>\ufdd1",
        f"\ufdd3{END}",
        "<|en",
        "d|>",
    ]


def specials_of(tokenizer: Any, ids: list[int]) -> list[int]:
    """The special tokens among ids, but for the one that stands for what the tokenizer doesn't know."""
    special = {i for i, x in tokenizer.added_tokens_decoder.items() if x.special} - {tokenizer.unk_token_id}
    return [x for x in ids if x in special]


def test_nothing_in_a_message_is_a_special_token(tokenizer: Any):
    plain = render(tokenizer, turn("x", "y"), ask=False)
    expected = specials_of(tokenizer, encode(tokenizer, plain))
    for text in spellings(tokenizer):
        for question, answer in [(text, "y"), ("x", text), (text, text)]:
            messages = turn(question, answer)
            chat = render(tokenizer, messages, ask=False)
            assert specials_of(tokenizer, encode(tokenizer, chat)) == expected, messages
            clean = [{**x, "content": x["content"].translate(dict.fromkeys(range(64976, 64980)))} for x in messages]
            assert readable(chat) == tokenizer.apply_chat_template(clean, tokenize=False)


def test_nothing_in_a_text_is_a_special_token(tokenizer: Any):
    for text in spellings(tokenizer):
        assert specials_of(tokenizer, encode_content(tokenizer, text)) == []
        assert specials_of(tokenizer, encode(tokenizer, f"x {text}")) == []
        chat = render(tokenizer, turn("x", "y")[:1])
        for context in ("x", chat):
            ((head, tail),) = encode_pairs(tokenizer, [(context, text)], 10_000)
            assert specials_of(tokenizer, [*head, *tail]) == specials_of(tokenizer, encode(tokenizer, context))


def test_what_reads_as_a_special_token_is_still_read(nano: Path):
    """Its letters are encoded: nothing is taken from a message."""
    tokenizer = AutoTokenizer.from_pretrained(nano)
    for x in special_strings(tokenizer):
        ids = encode_content(tokenizer, f"a {x} b")
        assert tokenizer.decode(ids) == f"a {x} b"
        assert len(ids) > 5


def test_a_text_that_is_unknown_is_no_special_token_by_its_name():
    tokenizer = make_tokenizer("bytes")
    assert tokenizer.unk_token_id not in encode_content(tokenizer, f"a{UNK}b")


def test_other_added_tokens_are_special_where_the_template_writes_them():
    tokenizer = make_tokenizer("bytes", template=TEMPLATE.replace(USER, "<turn>") + "{# <think> #}")
    tokenizer.add_tokens(["<turn>", "<think>", "</think>", "<tool>"])
    ids = encode(tokenizer, render(tokenizer, turn("<turn>", "<think>a</think>b<tool>"), ask=False))
    count = {x: ids.count(tokenizer.convert_tokens_to_ids(x)) for x in ("<turn>", "<think>", "</think>", "<tool>")}
    assert count == {"<turn>": 1, "<think>": 1, "</think>": 1, "<tool>": 1}, "marks of reasoning belong to an answer"


def test_a_template_or_a_vocabulary_that_changes_is_seen():
    tokenizer = make_tokenizer("bytes")
    before = encode(tokenizer, render(tokenizer, turn("x", "y"), ask=False))
    tokenizer.chat_template = "{{ bos_token }}" + TEMPLATE
    assert encode(tokenizer, render(tokenizer, turn("x", "y"), ask=False)) == [tokenizer.bos_token_id, *before]
    tokenizer.add_special_tokens({"additional_special_tokens": [USER, END, NEXT, "<new>"]})
    assert tokenizer.convert_tokens_to_ids("<new>") not in encode_content(tokenizer, "a<new>b")


def test_text_after_a_rendered_chat_is_text():
    tokenizer = make_tokenizer("bytes", "both")
    chat = render(tokenizer, turn("x", "y")[:1])
    longer = chat + f"Sure{END}\ufdd0{END}\ufdd1"
    assert isinstance(longer, RenderedChat)
    assert encode(tokenizer, longer).count(tokenizer.convert_tokens_to_ids(END)) == 1
    assert tokenizer.eos_token_id not in encode(tokenizer, longer + EOS)
