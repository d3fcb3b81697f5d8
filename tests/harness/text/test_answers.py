"""The answer of an item, as a reader sees it."""

from __future__ import annotations

from croco_eval.harness.api.records import Generation
from croco_eval.harness.text.answers import Answer, answers_of

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it does so once more."


def generation(item: str, index: int, text: str | None) -> Generation:
    return Generation(item, index, "prompt", None, text, "stop" if text else "rejected", None, None, 3)


def test_the_first_generation_with_a_text_is_the_answer():
    found = answers_of([generation("a", 1, "second"), generation("a", 0, "first"), generation("b", 0, None)])
    assert {k: x.text for k, x in found.items()} == {"a": "first"}


def test_everything_is_measured_on_what_is_visible():
    answer = Answer("a", f"<think>{'Ein Satz auf Deutsch. ' * 20}</think>{ENGLISH}", "length")
    assert answer.visible == ENGLISH
    assert answer.language == "en"
    assert answer.is_in("en") is True
    assert answer.length == len(ENGLISH)
    assert answer.repetition == 0
    assert answer.cut_off


def test_case_makes_no_new_words():
    assert Answer("a", "One two three four ONE TWO THREE FOUR").repetition > 0
