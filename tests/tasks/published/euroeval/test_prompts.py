"""The prompts of the suite ``euroeval`` in 11 languages: parallel, complete, and with EuroEval's labels."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from croco_eval.harness.text.langid import is_in_language
from croco_eval.harness.text.languages import LANGUAGES
from helpers.paths import ROOT, SHARED

PROMPTS = ROOT / "tasks" / "published" / "euroeval" / "prompts"
FACTS = SHARED / "facts" / "euroeval.yaml"

EUROEVAL_LANGUAGES = [code for code, language in LANGUAGES.items() if language.euroeval]

CLASSIFICATION = {
    "acceptability": ("correct", "incorrect"),
    "nli": ("entailment", "neutral", "contradiction"),
    "word_in_context": ("same_sense", "different_sense"),
}
LABELLED = {"instruction": ["{labels}"], "text": ["{text}"], "answer": []}
SLOTS: dict[str, dict[str, list[str]]] = {
    "acceptability": LABELLED,
    "nli": LABELLED,
    "word_in_context": LABELLED,
    "reading_comprehension": {
        "instruction": [],
        "context": ["{context}"],
        "question": ["{question}"],
        "answer": [],
    },
    "knowledge": LABELLED,
    "common_sense": LABELLED,
}
SECTIONS = {
    "linguistic-acceptability": "acceptability",
    "natural-language-inference": "nli",
    "word-in-context": "word_in_context",
    "reading-comprehension": "reading_comprehension",
    "knowledge": "knowledge",
    "common-sense-reasoning": "common_sense",
}
NO_PROMPT = {"instruction-following"}


@pytest.fixture(scope="module")
def data_sets() -> list[dict[str, Any]]:
    """What is known of EuroEval's data sets; a clone of its own has none."""
    if not FACTS.is_file():
        pytest.skip("the file with the facts about EuroEval (../shared/facts/euroeval.yaml) is not here")
    return yaml.safe_load(FACTS.read_text(encoding="utf-8"))["datasets"]


def prompts(language: str) -> dict[str, Any]:
    return yaml.safe_load((PROMPTS / f"{language}.yaml").read_text(encoding="utf-8"))


def texts(language: str) -> dict[str, str]:
    """Every text that is shown to a model, by ``section.key``."""
    own = prompts(language)
    return {f"{section}.{key}": own[section][key] for section, slots in SLOTS.items() for key in slots}


def bare(text: str) -> str:
    return re.sub(r"\{[a-z]+\}", " ", text)


def test_there_is_one_file_for_each_language_of_euroeval_and_no_other():
    assert sorted(x.stem for x in PROMPTS.glob("*.yaml")) == sorted(EUROEVAL_LANGUAGES)
    assert len(EUROEVAL_LANGUAGES) == 11


@pytest.mark.parametrize("language", EUROEVAL_LANGUAGES)
def test_keys_are_the_same_in_every_language(language: str):
    own = prompts(language)
    assert own["language"] == language
    assert list(own) == ["language", *SLOTS, "or"]
    for section, slots in SLOTS.items():
        labels = ["labels"] if section in CLASSIFICATION else []
        assert list(own[section]) == [*slots, *labels], section
    for section, labels in CLASSIFICATION.items():
        assert tuple(own[section]["labels"]) == labels, section


@pytest.mark.parametrize("language", EUROEVAL_LANGUAGES)
def test_each_placeholder_stands_once_and_where_it_belongs(language: str):
    own = texts(language)
    expected = {f"{section}.{key}": slot for section, slots in SLOTS.items() for key, slot in slots.items()}
    assert {k: re.findall(r"\{[^{}]*\}", v) for k, v in own.items()} == expected
    assert [k for k, v in own.items() if set("{}") & set(bare(v))] == []


@pytest.mark.parametrize("language", EUROEVAL_LANGUAGES)
def test_texts_are_trimmed_and_the_line_before_the_answer_ends_with_a_colon(language: str):
    own = texts(language)
    assert [k for k, v in own.items() if not v or v != v.strip() or "  " in v] == []
    assert [k for k, v in own.items() if k.endswith(".answer") and not v.endswith(":")] == []
    assert [k for k, v in own.items() if k.endswith(".instruction") and not v.endswith(".")] == []
    lines = (PROMPTS / f"{language}.yaml").read_text(encoding="utf-8").splitlines()
    assert [x for x in lines if x != x.rstrip()] == []


@pytest.mark.parametrize("language", EUROEVAL_LANGUAGES)
def test_only_french_has_a_no_break_space_before_the_colon(language: str):
    before = {text[at - 1] for text in texts(language).values() for at, x in enumerate(text) if x == ":"}
    assert before
    assert (before == {"\N{NO-BREAK SPACE}"}) if language == "fr" else not any(x.isspace() for x in before)


@pytest.mark.parametrize("language", EUROEVAL_LANGUAGES)
@pytest.mark.parametrize("section", CLASSIFICATION)
def test_labels_of_a_task_are_single_words_that_differ_in_their_first_letter(language: str, section: str):
    labels = list(prompts(language)[section]["labels"].values())
    assert all(isinstance(x, str) and x.isalpha() and x.islower() for x in labels)
    assert len({x[0] for x in labels}) == len(labels)


def test_labels_are_those_of_euroeval(data_sets: list[dict[str, Any]]):
    labelled = [x for x in data_sets if x.get("prompt_labels")]
    assert labelled
    wrong = {}
    for data_set in labelled:
        own = prompts(data_set["lang"])[SECTIONS[data_set["task"]]]["labels"]
        shared = {k: own[k] for k in data_set["prompt_labels"]}
        if shared != data_set["prompt_labels"]:
            wrong[data_set["dataset"]] = shared
    assert wrong == {}


def test_every_data_set_with_a_prompt_has_its_section(data_sets: list[dict[str, Any]]):
    assert {x["lang"] for x in data_sets} == set(EUROEVAL_LANGUAGES)
    assert {x["task"] for x in data_sets} - NO_PROMPT == set(SECTIONS)
    assert set(SECTIONS.values()) == set(SLOTS)


@pytest.mark.parametrize("language", EUROEVAL_LANGUAGES)
def test_instructions_are_in_their_language(language: str):
    asked = {k: bare(v) for k, v in texts(language).items() if k.endswith(".instruction")}
    assert len(asked) == len(SLOTS)
    assert [k for k, v in asked.items() if is_in_language(v, language) is False] == []
    assert is_in_language(" ".join(map(bare, texts(language).values())), language) is True
