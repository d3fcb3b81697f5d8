"""The texts in 15 languages: complete, parallel, and in the language they say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from croco_eval.harness.errors import DataError
from croco_eval.harness.text.langid import identify
from croco_eval.harness.text.languages import LANGUAGES
from croco_eval.harness.text.templates import fill_all
from croco_eval.tasks.locale.templates import load_templates
from croco_eval.tasks.open_ended.open import open_prompts

TRANSLATION = ("territory_to_english", "territory_from_english", "language_to_english", "language_from_english")


def flat(texts: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(texts, str):
        return {prefix: texts}
    pairs = texts.items() if isinstance(texts, dict) else enumerate(texts or ())
    return {k: v for key, inner in pairs for k, v in flat(inner, f"{prefix}.{key}").items()}


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"\{[a-z_0-9]*\}", text))


def bare(text: str) -> str:
    return re.sub(r"\{[a-z_0-9]*\}|[A-Z]{4}-[A-Z]{2}-[A-Z]{2}|Å{4}-MM-DD", " ", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_templates_have_the_keys_and_placeholders_of_the_english_ones(language: str):
    english, own = flat(load_templates("en")), flat(load_templates(language))
    translation = {k for k in own if k.split(".")[1] in TRANSLATION}
    assert set(own) - translation == set(english)
    assert len(translation) == (0 if language == "en" else 12)
    for key, text in own.items():
        assert placeholders(text) == (["{name}"] if key in translation else placeholders(english[key])), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_stands_twice_in_a_language(language: str):
    texts = list(flat(load_templates(language)).values())
    assert sorted({x for x in texts if texts.count(x) > 1}) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_question_and_prompt_is_identified_as_its_language(language: str):
    texts = flat(load_templates(language))
    asked = {k: v for k, v in texts.items() if k.endswith((".question", ".prompt"))}
    assert len(asked) >= 15
    wrong = {k: v for k, v in asked.items() if next(iter(identify(bare(v)).probabilities)) != language}
    assert wrong == {}
    assert next(iter(identify(" ".join(map(bare, texts.values()))).probabilities)) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_open_prompts_are_parallel_and_in_their_language(language: str):
    english, own = open_prompts("en"), open_prompts(language)
    assert list(own) == list(english)
    assert len(own) == 40
    assert len(set(own.values())) == 40
    wrong = {k: v for k, v in own.items() if next(iter(identify(v).probabilities)) != language}
    assert wrong == {}
    if language != "en":
        assert not set(own.values()) & set(english.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_open_prompts_keep_the_numbers_of_the_english_ones(language: str):
    """Numbers in digits that an answer depends on: prices and times of the reasoning prompts."""
    for key, numbers in {
        "reasoning/tickets": {"42", "14", "7"},
        "reasoning/appointments": {"10", "15", "11", "05"},
    }.items():
        assert numbers <= set(re.findall(r"\d+", open_prompts(language)[key])), key


def test_a_placeholder_without_a_value_is_named():
    with pytest.raises(DataError, match="teritory"):
        fill_all("Where is {teritory}?", territory="x")
