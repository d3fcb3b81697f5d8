"""The judge that knows the facts: which of two answers states more of them."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from croco_eval.harness.api.judge import Case, JudgingCell
from croco_eval.harness.api.records import AnswerPair, Item, Judgment
from croco_eval.harness.errors import UserError
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.judges.reference import ReferenceJudge, assess
from hypothesis import given, settings
from hypothesis import strategies as st

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
COUNTRY = [["Valletta"], ["Maltese", "Malti"], ["euro"]]
FLIPPED = {"candidate": "reference", "reference": "candidate", "tie": "tie"}


def pair(candidate: str, reference: str, facts, ordered: bool = False, language: str = "en") -> AnswerPair:
    item = Item(f"q/{language}", "q", "describe", "?", json.dumps({"facts": facts, "ordered": ordered}))
    return AnswerPair(item, language, candidate, reference)


def judge(*pairs: AnswerPair) -> list[Judgment]:
    judge = ReferenceJudge()
    cell = JudgingCell("reference", "tuned", "base", "open", "en")
    cases = [Case(cell, pair, order) for pair in pairs for order in judge.orders(pair)]
    rulings = [x for batch in judge.judge(cases, RunDirectory(Path("unused")), print) for x in batch]
    assert [x.case for x in rulings] == cases
    return [x.judgment for x in rulings]


def verdict(candidate: str, reference: str, facts, ordered: bool = False, language: str = "en") -> str | None:
    return judge(pair(candidate, reference, facts, ordered, language))[0].verdict


def test_answer_with_more_facts_wins():
    more = "The capital of the country is Valletta, and people pay with the euro."
    less = "The capital of the country is Valletta, and people pay with coins."
    assert verdict(more, less, COUNTRY) == "candidate"
    assert verdict(less, more, COUNTRY) == "reference"


def test_same_facts_in_other_words_are_a_tie():
    a = "Its capital is called Valletta. The official language there is Maltese. You pay with the euro."
    b = "You can pay with the euro, and many speak Malti in the streets of Valletta, the old capital."
    assert verdict(a, b, COUNTRY) == "tie"


def test_same_answer_is_a_tie_whatever_it_is():
    for answer in ("", "euro", "Det ved jeg desværre ikke noget om, kære ven.", "a a a a a a a a"):
        assert verdict(answer, answer, COUNTRY) == "tie"


def test_one_spelling_of_a_fact_is_enough_and_two_count_once():
    assert assess("Malti", COUNTRY, False, "en").facts == pytest.approx(1 / 3, abs=1e-6)
    assert assess("Maltese or Malti", COUNTRY, False, "en").facts == pytest.approx(1 / 3, abs=1e-6)
    assert assess("euro euro euro", COUNTRY, False, "en").facts == pytest.approx(1 / 3, abs=1e-6)


def test_full_answer_in_another_language_loses_to_partial_one_in_the_right_language():
    english = "The capital of the country is Valletta, people speak Maltese and pay with the euro."
    danish = "Hovedstaden hedder Valletta, og den ligger ved havet. Jeg ved ikke noget om resten."
    assert assess(english, COUNTRY, False, "da").facts == 1
    assert verdict(english, danish, COUNTRY, language="da") == "reference"
    assert verdict(english, danish, COUNTRY, language="en") == "candidate"


def test_reasoning_before_an_answer_is_no_part_of_it():
    thought = "<think>The user wants the facts. Let me write them down in English first.</think>"
    answer = "Malti u euro huma parti mill-ħajja ta' kuljum f'dan il-pajjiż sabiħ."
    assert assess(thought + answer, COUNTRY, False, "mt") == assess(answer, COUNTRY, False, "mt")
    assert assess("<think>Maltese, euro</think>I do not know.", COUNTRY, False, "en").facts == 0


def test_answer_too_short_to_tell_its_language_is_not_held_against_it():
    assert assess("Valletta, euro", COUNTRY, False, "fi").in_language is None
    assert assess("Valletta, euro", COUNTRY, False, "fi").quality == pytest.approx(2 / 3, abs=1e-6)


def test_answer_that_repeats_itself_loses_to_one_that_does_not():
    once = "The capital of the country is Valletta, people speak Maltese and pay with the euro."
    assert verdict(once, f"{once} {once} {once}", COUNTRY) == "candidate"


def test_repetition_is_the_share_of_four_grams_seen_before():
    assert assess("one two three four", [["one"]], False, "en").repetition == 0
    # one two three four one two three four: 5 four-grams, of which the last was seen before
    assert assess("one two three four one two three four", [["one"]], False, "en").repetition == 0.2
    assert assess("a a a a a a", [["a"]], False, "en").repetition == pytest.approx(2 / 3, abs=1e-6)


def test_quality_is_the_share_of_facts_less_the_repetition():
    found = assess("one two three four one two three four", [["one"], ["nine"]], False, "en")
    assert (found.facts, found.repetition, found.quality) == (0.5, 0.2, 0.4)


def test_list_out_of_order_loses_to_the_list_in_order():
    facts = [[x] for x in DAYS]
    in_order = "The days of the week are " + ", ".join(DAYS) + "."
    backwards = "The days of the week are " + ", ".join(DAYS[::-1]) + "."
    assert verdict(in_order, backwards, facts, ordered=True) == "candidate"
    assert verdict(in_order, backwards, facts, ordered=False) == "tie"


@pytest.mark.parametrize(
    ("said", "in_order"),
    [
        (DAYS, 7),
        (DAYS[::-1], 1),
        ([DAYS[1], DAYS[0], *DAYS[2:]], 6),
        (DAYS[1:] + DAYS[:1], 6),
        (DAYS[:3], 3),
        ([DAYS[4], DAYS[2], DAYS[6]], 2),
        ([], 0),
    ],
)
def test_ordered_facts_count_as_far_as_they_stand_in_order(said, in_order):
    found = assess("Days: " + ", ".join(said), [[x] for x in DAYS], True, "en")
    assert found.facts == pytest.approx(in_order / 7, abs=1e-6)


@pytest.mark.parametrize(
    ("answer", "fact", "stated"),
    [
        ("We pay with the euro.", "euro", True),
        ("We pay with the euro", "euro", True),
        ("euro", "euro", True),
        ("(euro)", "euro", True),
        ("euro-zone", "euro", True),
        ("Europe is large", "euro", False),
        ("neuro", "euro", False),
        ("2euro", "euro", False),
        ("the Swiss franc is used", "Swiss franc", True),
        ("the Swiss francs are used", "Swiss franc", False),
        ("Øre and kroner", "øre", True),
        ("søøre", "øre", False),
    ],
)
def test_fact_is_found_as_whole_words_only(answer, fact, stated):
    assert assess(answer, [[fact]], False, "en").facts == (1 if stated else 0)


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("MALTESE", "Maltese"),
        ("maltese", "MALTESE"),
        ("Straße", "STRASSE"),
        ("ĦAMIS", "ħamis"),
        ("l’euro", "l'euro"),
        ("l'euro", "l’euro"),
        (unicodedata.normalize("NFD", "español"), "español"),
        ("español", unicodedata.normalize("NFD", "español")),
        (unicodedata.normalize("NFD", "Ġimgħa"), unicodedata.normalize("NFC", "Ġimgħa")),
        ("10\u00a0000", "10 000"),
        ("1\u202f000", "1 000"),
    ],
)
def test_case_composition_apostrophes_and_kinds_of_space_do_not_matter(answer, fact):
    assert assess(answer, [[fact]], False, "en").facts == 1


@pytest.mark.parametrize(("answer", "fact"), [("espanol", "español"), ("Hamis", "Ħamis"), ("øl", "ol")])
def test_diacritics_do_matter(answer, fact):
    assert assess(answer, [[fact]], False, "en").facts == 0


def test_decomposed_answer_is_worth_as_much_as_a_composed_one():
    facts = [["måndag"], ["lördag"], ["söndag"]]
    answer = "Veckans dagar är många, men måndag, lördag och söndag tycker jag allra bäst om här i Malmö."
    composed, decomposed = (unicodedata.normalize(x, answer) for x in ("NFC", "NFD"))
    assert assess(composed, facts, False, "sv").quality == 1
    assert verdict(decomposed, composed, facts, language="sv") == "tie"


@pytest.mark.parametrize("fact", ["a.c", "U$", "(x", "[1]", "a+", "\\d", "^", "C++", "10 %", "*"])
def test_fact_with_signs_that_mean_something_in_a_pattern_is_taken_literally(fact):
    assert assess(f"it is {fact} .", [[fact]], False, "en").facts == 1
    assert assess("it is abc 3 aaa x 1 .", [[fact]], False, "en").facts == 0


def test_empty_answer_states_nothing_and_loses():
    found = assess("", COUNTRY, False, "en")
    assert (found.facts, found.in_language, found.repetition, found.quality) == (0, None, 0, 0)
    assert verdict("", "Valletta", COUNTRY) == "reference"
    assert verdict("", "  \n", COUNTRY) == "tie"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [(0, "tie"), (1, "tie"), (2, "candidate")],
)
def test_difference_under_two_hundredths_is_a_tie(extra, expected):
    facts = [[f"w{i}"] for i in range(100)]
    words = [f"w{i}" for i in range(50 + extra)]
    assert verdict(" ".join(words), " ".join(words[:50]), facts) == expected


def test_judgment_carries_its_item_and_what_it_was_made_from():
    (found,) = judge(pair("euro", "", COUNTRY))
    assert (found.item_id, found.source_id, found.task) == ("q/en", "q", "describe")
    assert (found.order, found.verdict, found.unscored) == ("unordered", "candidate", None)
    details = json.loads(found.details)
    assert details["candidate"]["facts"] == pytest.approx(1 / 3, abs=1e-6)
    assert details["reference"] == {"facts": 0.0, "in_language": None, "repetition": 0.0, "quality": 0.0}


def test_judgments_come_one_per_pair_in_their_order():
    pairs = [pair("euro", "", COUNTRY), pair("", "euro", COUNTRY), pair("", "", COUNTRY)]
    assert [x.verdict for x in judge(*pairs)] == ["candidate", "reference", "tie"]


def test_no_pairs_give_no_judgments():
    assert judge() == []


words = st.sampled_from(["euro", "Europe", "Valletta", "Malti", "the", "and", "people", "speak", ".", "Det", "er"])
answers = st.lists(words, max_size=14).map(" ".join)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(answers, answers, st.booleans(), st.sampled_from(["en", "da"]))
def test_swapping_the_answers_flips_the_verdict(a, b, ordered, language):
    one, other = verdict(a, b, COUNTRY, ordered, language), verdict(b, a, COUNTRY, ordered, language)
    assert other == FLIPPED[str(one)]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.text(max_size=60), st.booleans())
def test_quality_lies_between_nothing_and_everything_for_any_answer(answer, ordered):
    found = assess(answer, COUNTRY, ordered, "en")
    assert 0 <= found.quality <= found.facts <= 1
    assert 0 <= found.repetition < 1


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.tuples(answers, answers), max_size=4))
def test_judging_again_gives_the_same_judgments(texts):
    pairs = [pair(a, b, COUNTRY) for a, b in texts]
    assert judge(*pairs) == judge(*pairs)
    assert judge(*pairs[::-1]) == judge(*pairs)[::-1]


@pytest.mark.parametrize("metadata", ["{}", '{"facts": []}', '{"facts": null}', '{"answer": "x"}'])
def test_nothing_is_said_of_an_item_without_facts(metadata):
    item = Item("q/en", "q", "advice", "?", metadata)
    assert ReferenceJudge().orders(AnswerPair(item, "en", "a", "b")) == ()


def test_an_item_with_facts_is_judged_once_without_an_order():
    assert ReferenceJudge().orders(pair("", "", COUNTRY)) == ("unordered",)


def test_unknown_option_is_refused_by_name():
    with pytest.raises(UserError, match="'temperature'"):
        ReferenceJudge(temperature=1)


def test_identity_is_json_and_the_same_for_every_judge_of_the_kind():
    assert json.loads(json.dumps(ReferenceJudge().identity)) == ReferenceJudge().identity
