"""The words of the judge `llm` in 15 languages: parallel, complete, readable by the program and in their language."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
from croco_eval.harness.calls.messages import ChatReply
from croco_eval.harness.errors import JudgeError
from croco_eval.harness.text.langid import is_in_language
from croco_eval.harness.text.languages import LANGUAGES
from croco_eval.judges.llm.options import LlmOptions
from croco_eval.judges.llm.prompt import load_prompt
from croco_eval.judges.llm.verdict import read_verdict

FOLDER = files("croco_eval.judges.prompts")
NAMES_LANGUAGE = ("system", "default_criteria.3")
VERDICT = ("verdict_json", "verdict_json_no_tie", "verdict_tag", "verdict_tag_no_tie")
OWN_NAME = {
    "da": "dansk",
    "de": "Deutsch",
    "es": "español",
    "fr": "français",
    "it": "italiano",
    "nl": "Nederlands",
    "no": "norsk",
    "pt": "português",
    "sv": "svenska",
    "cy": "[CG]ymraeg",
    "ga": "nGaeilge",
    "gl": "galego",
    "mt": "Malti",
    "fi": "suome(ksi|n kielellä)",
}


def texts(language: str) -> dict[str, str]:
    words = load_prompt(language).model_dump(exclude={"language"})
    criteria = words.pop("default_criteria")
    return words | {f"default_criteria.{i}": x for i, x in enumerate(criteria)}


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"\{[a-z_]*\}", text))


def json_lines(text: str) -> list[str]:
    return [x for x in text.splitlines() if x.startswith("{")]


def without_json(text: str) -> str:
    return "\n".join(x for x in text.splitlines() if not x.startswith("{"))


def test_there_is_one_file_for_each_language_and_no_other():
    assert {x.name for x in FOLDER.iterdir() if x.name.endswith(".yaml")} == {f"{x}.yaml" for x in LANGUAGES}


def test_a_language_without_words_is_an_error_that_says_what_to_do():
    with pytest.raises(JudgeError, match="prompt_language: english"):
        load_prompt("xx")


@pytest.mark.parametrize("language", LANGUAGES)
def test_keys_are_those_of_english_and_no_text_is_empty(language: str):
    own = texts(language)
    assert list(own) == list(texts("en"))
    assert [k for k, v in own.items() if v != v.strip() or not v] == []


@pytest.mark.parametrize("language", sorted(LANGUAGES.keys() - {"en"}))
def test_no_text_is_left_in_english(language: str):
    own, english = texts(language), texts("en")
    assert [k for k in own if own[k] == english[k]] == (["question"] if language == "fr" else [])


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_those_of_english_but_a_language_may_name_itself(language: str):
    own, english = texts(language), texts("en")
    for key, text in own.items():
        wanted = placeholders(english[key])
        if key in NAMES_LANGUAGE and "{language_name}" not in text:
            assert re.search(rf"\b{OWN_NAME[language]}\b", text), key
            wanted.remove("{language_name}")
        assert placeholders(text) == wanted, key
        assert not re.search(r"[{}]", re.sub(r"\{[a-z_]+\}", "", without_json(text))), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tokens_a_program_reads_are_those_of_english(language: str):
    own, english = texts(language), texts("en")
    for key in VERDICT:
        found = re.findall(r'\[\[\w+\]\]|"(?:A|B|C|tie)"', without_json(own[key]))
        assert found == re.findall(r'\[\[\w+\]\]|"(?:A|B|C|tie)"', without_json(english[key])), key
    for key in own.keys() - set(VERDICT):
        assert not re.search(r'\[\[|"(?:A|B|tie)"', own[key]), key


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", VERDICT[:2])
def test_the_example_is_a_reply_that_the_judge_can_read(language: str, key: str):
    (example,) = json_lines(texts(language)[key])
    reply = json.loads(example)
    assert list(reply) == ["reasoning", "verdict"]
    assert reply["verdict"] == "A"
    assert (reply["reasoning"] == "your comparison") is (language == "en")
    options = LlmOptions(model="m", base_url="http://h/v1")
    assert read_verdict(ChatReply(example), options).winner == "A"


@pytest.mark.parametrize("language", LANGUAGES)
def test_verdicts_speak_of_the_answers_by_the_labels_that_stand_above_them(language: str):
    own = texts(language)
    assert {own[k][-2:] for k in ("answer_a", "answer_b")} == {" A", " B"}
    assert own["answer_a"][:-1] == own["answer_b"][:-1]
    for key in VERDICT:
        assert all(own[label].casefold() in own[key].casefold() for label in ("answer_a", "answer_b")), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_in_the_language_they_say(language: str):
    bare = {k: re.sub(r"\{[a-z_]+\}|\[\[\w\]\]|\"\w+\"", " ", without_json(v)) for k, v in texts(language).items()}
    assert is_in_language("\n".join(bare.values()), language) is True
    assert [k for k, v in bare.items() if is_in_language(v, language) is False] == []
    assert is_in_language(bare["system"], language) is True


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_list_has_as_many_points_and_a_text_as_many_paragraphs_as_in_english(language: str):
    own, english = texts(language), texts("en")
    for key, text in own.items():
        assert text.count("\n\n") == english[key].count("\n\n"), key
        assert len(re.findall(r"^- ", text, re.M)) == len(re.findall(r"^- ", english[key], re.M)), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_line_of_a_file_ends_in_a_space(language: str):
    lines = (FOLDER / f"{language}.yaml").read_text(encoding="utf-8").splitlines()
    assert [x for x in lines if x != x.rstrip()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_only_french_has_a_space_before_a_colon_and_it_never_breaks(language: str):
    for key, text in texts(language).items():
        marks = re.findall(r"(\s|)[:;?!]", without_json(text))
        assert set(marks) <= ({"\u00a0"} if language == "fr" else {""}), key
