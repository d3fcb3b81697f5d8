"""The prompts of `sib200` in 15 languages: parallel, complete, and in the language they say."""

from __future__ import annotations

from importlib.resources import files
from string import Formatter
from typing import Any

import pytest
import yaml
from croco_eval.harness.text.langid import is_in_language
from croco_eval.harness.text.languages import LANGUAGES

PROMPTS = files("croco_eval.tasks") / "published" / "sib200" / "prompts"
TEXTS = ("instruction", "text", "answer", "or")
CATEGORIES = ["science/technology", "travel", "politics", "sports", "health", "entertainment", "geography"]


def prompts_in(language: str) -> dict[str, Any]:
    return yaml.safe_load((PROMPTS / f"{language}.yaml").read_text(encoding="utf-8"))


def placeholders(text: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(text) if name is not None]


def filled_instruction(prompts: dict[str, Any]) -> str:
    *first, last = prompts["labels"].values()
    return prompts["instruction"].format(labels=f"{', '.join(first)} {prompts['or']} {last}")


def test_there_is_one_file_for_each_language_and_no_other():
    assert {x.name for x in PROMPTS.iterdir() if x.name.endswith(".yaml")} == {f"{x}.yaml" for x in LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_keys_are_the_same_everywhere_and_the_file_says_its_language(language: str):
    prompts = prompts_in(language)
    assert list(prompts) == ["language", "instruction", "text", "answer", "labels", "or"]
    assert prompts["language"] == language
    assert all(isinstance(prompts[x], str) and prompts[x] == prompts[x].strip() != "" for x in TEXTS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_instruction_takes_the_labels_and_the_text_line_the_text(language: str):
    prompts = prompts_in(language)
    assert {x: placeholders(prompts[x]) for x in TEXTS} == {
        "instruction": ["labels"],
        "text": ["text"],
        "answer": [],
        "or": [],
    }
    assert prompts["text"].endswith(": {text}")
    assert prompts["answer"].endswith(":")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_category_has_a_label_of_its_own(language: str):
    labels = prompts_in(language)["labels"]
    assert list(labels) == CATEGORIES
    assert all(isinstance(x, str) and x == x.strip() != "" for x in labels.values())
    assert len({x.casefold() for x in labels.values()}) == len(CATEGORIES)
    starts_upper = language == "de"
    assert all(x[0].isupper() == starts_upper for x in labels.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_label_is_part_of_another(language: str):
    """Labels compared by their probability, or found in an answer, must not contain each other."""
    labels = list(prompts_in(language)["labels"].values())
    assert [(a, b) for a in labels for b in labels if a != b and a in b] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_instruction_is_in_its_language(language: str):
    assert is_in_language(filled_instruction(prompts_in(language)), language) is not False
