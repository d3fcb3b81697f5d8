"""What EuroEval's data sets are scored by, and how their few-shot examples are picked; read as lm-eval reads them."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nltk
import pytest
from croco_eval import tasks
from croco_eval.reports.stats.corpus import corpus_interval
from helpers.punkt import write_punkt
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT
from lm_eval.tasks.qasper.metrics import f1_abstractive, normalize_answer

FOLDER = Path(tasks.__file__).parent / "published" / "euroeval" / "yaml"


def read(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"euroeval_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


metrics, few_shot = read("metrics"), read("few_shot")


def squad(answer: str, *golds: str) -> tuple[float, float]:
    found = metrics.squad({"answers": {"text": list(golds), "answer_start": [0] * len(golds)}}, [answer])
    assert found.keys() == {"f1", "em"}
    return found["f1"], found["em"]


@pytest.mark.parametrize(
    ("answer", "golds", "f1", "em"),
    [
        ("fire får", ["fire får"], 1, 1),
        ("Fire FÅR!", ["fire får"], 1, 1),
        ("The sheep.", ["a sheep"], 1, 1),  # English articles and ASCII punctuation do not count
        ("den fåren", ["fåren"], 2 / 3, 0),  # articles of other languages do
        ("«får»", ["får"], 0, 0),  # and so do other quotation marks
        ("fire får i dag", ["fire får"], 2 * 2 / (4 + 2), 0),
        ("får får", ["får"], 2 * 1 / (2 + 1), 0),  # a word counts as often as the answer has it
        ("to geder", ["fire får"], 0, 0),
        ("får", ["fire får", "får"], 1, 1),  # the best of the gold answers
        ("", ["får"], 0, 0),
        ("the", ["får"], 0, 0),
        ("", [], 1, 1),  # no gold answer: an empty one is right
        ("får", [], 0, 0),
        ("", ["får", "the"], 0, 0),  # a gold answer without a word is none
        ("", ["the"], 1, 1),
    ],
)
def test_squad_f1_and_exact_match_by_hand(answer: str, golds: list[str], f1: float, em: float):
    assert squad(answer, *golds) == (pytest.approx(f1), em)


words = st.lists(st.sampled_from(["the", "An", "cat", "cats", "Cat,", "sat.", "über", "L'ami", "12", "-"]), max_size=6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(words, st.lists(words, min_size=1, max_size=3))
def test_squad_equals_the_official_script_for_answers_that_hold_words(answer: list[str], golds: list[list[str]]):
    """As lm-eval carries the script of SQuAD 1.1; version 2 differs where an answer holds no word."""
    text, texts = " ".join(answer), [" ".join(x) for x in golds]
    texts = [x for x in texts if normalize_answer(x)]
    if not texts or not normalize_answer(text):
        return
    f1 = max(f1_abstractive([text], [x]) for x in texts)
    em = max(normalize_answer(text) == normalize_answer(x) for x in texts)
    assert squad(text, *texts) == (pytest.approx(f1), float(em))


def test_macro_f1_is_that_of_our_tables():
    """By hand: label 0 has F1 2*2/(3+2), label 1 2*1/(1+3), label 2 none of its two right."""
    gold = [0, 0, 0, 1, 2, 2]
    predicted = [0, 0, 1, 1, 1, 0]
    by_hand = (2 * 2 / (3 + 3) + 2 * 1 / (1 + 3) + 0) / 3
    assert metrics.macro_f1(list(zip(gold, predicted, strict=True))) == pytest.approx(by_hand)
    ours = corpus_interval("macro_f1", [str(x) for x in gold], [str(x) for x in predicted], n_resamples=10)
    assert ours.value == pytest.approx(by_hand)


def test_the_share_of_instructions_is_that_of_our_tables():
    values = [[True, False, False], "no instruction that the checker knows", [True]]
    assert metrics.share(values) == 2 / 4
    ours = corpus_interval("instruction_accuracy", ["3", None, "1"], ["1", None, "1"], n_resamples=10)
    assert ours.value == 2 / 4
    assert metrics.share([1.0, 0.0, "why not"]) == 1 / 2
    assert metrics.share(["why not"]) != metrics.share(["why not"])  # NaN


def ifeval(*asked: tuple[str, dict[str, Any] | None]) -> dict[str, Any]:
    ids, kwargs = zip(*asked, strict=True) if asked else ((), ())
    return {"text": "Write.", "target_text": {"instruction_id_list": list(ids), "kwargs": list(kwargs)}}


NO_COMMA = ("punctuation:no_comma", {})
TITLE = ("detectable_format:title", None)
WORDS = ("length_constraints:number_words", {"num_words": 3, "relation": "at least", "unknown": None})
CAPITALS = ("change_case:english_capital", {})
SENTENCES = ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"})
SHOUTING = ("change_case:capital_word_frequency", {"capital_frequency": 1, "capital_relation": "at least"})


@pytest.fixture
def nltk_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """NLTK's only folder, empty."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    metrics._has_punkt.cache_clear()
    yield tmp_path
    metrics._has_punkt.cache_clear()


def test_the_checker_knows_25_kinds_two_of_them_english():
    assert len(INSTRUCTION_DICT) == 25
    assert {*metrics.ENGLISH_ONLY, *metrics.NEEDS_PUNKT} <= INSTRUCTION_DICT.keys()


@pytest.mark.parametrize(
    ("answer", "followed"),
    [
        ("<<Titel>> Ein Satz ohne Komma", [True, True, True]),
        ("Ein Satz, kein Titel", [False, False, True]),
        ("Ja", [True, False, False]),
        ("", [False, False, False]),
        (" \n", [False, False, False]),
    ],
)
def test_every_instruction_is_checked_strictly(answer: str, followed: list[bool]):
    found = metrics.instructions(ifeval(NO_COMMA, TITLE, WORDS), [answer])
    assert found == {"instruction_accuracy": followed, "prompt_accuracy": float(all(followed))}


def test_unknown_kinds_are_left_out_and_a_prefix_of_the_language_is_not_part_of_the_name():
    doc = ifeval(("es:special_character:tildes", {}), ("es:punctuation:no_comma", {}), ("fr:none:such", {"n": 1}))
    assert metrics.instructions(doc, ["sin coma"])["instruction_accuracy"] == [True]


def test_instructions_about_english_count_in_english_alone():
    doc = ifeval(NO_COMMA, CAPITALS)
    answer = "THIS IS A WHOLE SENTENCE IN ENGLISH AND IT IS IN CAPITALS"
    assert metrics.english_instructions(doc, [answer])["instruction_accuracy"] == [True, True]
    assert metrics.english_instructions(doc, [answer.lower()])["instruction_accuracy"] == [True, False]
    assert metrics.instructions(doc, [answer])["instruction_accuracy"] == [True]


@pytest.mark.parametrize("doc", [ifeval(), ifeval(("es:special_character:tildes", {})), ifeval(CAPITALS)])
def test_an_item_without_an_instruction_that_is_known_has_no_score_but_a_reason(doc: dict[str, Any]):
    reason = "no instruction that the checker knows"
    assert metrics.instructions(doc, ["HALLO"]) == {"instruction_accuracy": reason, "prompt_accuracy": reason}


@pytest.mark.parametrize("instruction", [SENTENCES, SHOUTING])
def test_without_punkt_an_item_that_needs_it_says_so(nltk_data: Path, instruction: tuple[str, dict[str, Any]]):
    found = metrics.instructions(ifeval(NO_COMMA, instruction), ["Ein Satz. Noch EINER."])
    assert "NLTK's punkt_tab" in found["instruction_accuracy"]
    assert "croco-eval prefetch" in found["prompt_accuracy"]
    assert metrics.instructions(ifeval(NO_COMMA), ["Ein Satz."])["prompt_accuracy"] == 1


def test_with_punkt_sentences_and_words_in_capitals_are_counted(nltk_data: Path):
    write_punkt(nltk_data)
    doc = ifeval(SENTENCES, SHOUTING)
    assert metrics.instructions(doc, ["Ein Satz. Noch EINER."])["instruction_accuracy"] == [True, True]
    assert metrics.instructions(doc, ["Nur einer."])["instruction_accuracy"] == [False, False]


def test_the_language_of_an_answer_is_the_same_each_time():
    """langdetect itself wavers between Somali and Portuguese here."""
    doc = ifeval(("language:response_language", {"language": "pt"}))
    found = {tuple(metrics.instructions(doc, ["radio taxi hotel"])["instruction_accuracy"]) for _ in range(40)}
    assert len(found) == 1


@pytest.mark.parametrize(
    "asked",
    [
        ("language:response_language", {"language": "da"}),
        ("length_constraints:number_words", {"num_words": 3, "relation": "around"}),
        ("length_constraints:number_words", {"words": 3}),
    ],
)
def test_arguments_that_the_checker_refuses_cost_one_item_its_score_not_the_task(asked: tuple[str, dict[str, Any]]):
    found = metrics.instructions(ifeval(NO_COMMA, asked), ["Fire får."])
    assert found["instruction_accuracy"].startswith("an instruction has arguments that the checker refuses")


def labelled(n: int, labels: str, texts: int | None = None) -> list[dict[str, Any]]:
    return [{"text": f"Text {i % (texts or n)}", "label": labels[i % len(labels)]} for i in range(n)]


def pick(rows: list[dict[str, Any]], n: int, **more: Any) -> list[dict[str, Any]]:
    return list(few_shot.EuroEvalSampler(rows).sample(n, **more))


@pytest.mark.parametrize(
    ("labels", "n", "sizes"), [("ab", 12, [6, 6]), ("abcd", 5, [2, 1, 1, 1]), ("aaaaaaab", 6, [3, 3])]
)
def test_labels_are_taken_in_turn(labels: str, n: int, sizes: list[int]):
    chosen = pick(labelled(160, labels), n)
    assert sorted(Counter(x["label"] for x in chosen).values(), reverse=True) == sizes
    assert len({x["text"] for x in chosen}) == n


def test_texts_are_distinct_and_a_label_that_runs_out_is_passed_over():
    rows = [*labelled(30, "a", texts=9), {"text": "the only one", "label": "b"}]
    assert Counter(x["label"] for x in pick(rows, 6)) == {"a": 5, "b": 1}
    assert len(pick(rows, 20)) == 10  # nine texts of label a, one of b, and no more


def contexts(*lengths: int) -> list[dict[str, Any]]:
    return [{"context": chr(97 + i) * n, "question": f"{i}?", "answers": {}} for i, n in enumerate(lengths)]


def test_short_contexts_come_first_and_each_once():
    rows = contexts(900, 511, 512, 100, 1500, 300)
    assert sorted(len(x["context"]) for x in pick(rows, 3)) == [100, 300, 511]
    assert sorted(len(x["context"]) for x in pick(rows, 5)) == [100, 300, 511, 512, 900]
    assert sorted(len(x["context"]) for x in pick([*rows, *rows], 99)) == [100, 300, 511, 512, 900, 1500]
    assert pick([], 3) == []


def test_every_item_sees_the_same_examples_in_the_same_order():
    sampler = few_shot.EuroEvalSampler(labelled(100, "abc"))
    first = list(sampler.sample(6))
    sampler.set_rnd(99)
    assert [list(sampler.sample(6, eval_doc={"text": str(i), "label": "a"})) for i in range(3)] == [first] * 3
    assert pick(labelled(100, "abc"), 6) == first
    assert [x["label"] for x in first] != sorted(x["label"] for x in first)  # shuffled
