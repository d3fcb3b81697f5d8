"""Is a text in the language it should be in? Tried on the hand-written prompts of every language."""

from __future__ import annotations

import pytest
from croco_eval.harness.text.langid import OTHER, identify, is_in_language
from croco_eval.harness.text.languages import LANGUAGES
from croco_eval.tasks.open_ended.open import open_prompts

FAR = {"da": "mt", "cy": "de", "fi": "en", "gl": "nl", "no": "fr", "mt": "sv", "ga": "it"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_clear_texts_are_in_their_language(language):
    found = [is_in_language(x, language) for x in open_prompts(language).values()]
    assert len(found) == 40
    assert found.count(False) == 0
    assert found.count(True) >= 38


@pytest.mark.parametrize(("language", "other"), FAR.items())
def test_text_of_another_language_is_not_in_it(language, other):
    found = [is_in_language(x, other) for x in open_prompts(language).values()]
    assert found.count(False) >= 38
    assert found.count(True) == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_english_text_is_in_no_other_language(language):
    text = "The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday."
    assert is_in_language(text, language) is (language == "en")


@pytest.mark.parametrize(
    "text", ["", "Euro", "2024-05-17 12:30:00, 3.141592653589793", "!" * 60, "tirsdag onsdag tors"]
)
def test_too_short_text_cannot_be_told(text):
    assert is_in_language(text, "da") is None
    assert is_in_language(text, "fi") is None


def test_twenty_letters_are_needed_and_nothing_else_counts_as_one():
    assert is_in_language("Der Hund schläft nimmer", "de") is True
    assert is_in_language("Der Hund schläft immer", "de") is None
    assert is_in_language("Der Hund schläft immer, 1234567890 ...", "de") is None


def test_text_that_two_neighbours_could_have_written_is_in_neither_case_called_wrong():
    """One sentence, letter for letter, in Danish and in Norwegian."""
    text = "Jeg har en bil og et hus i byen"
    probabilities = identify(text).probabilities
    assert min(probabilities["da"], probabilities["no"]) > 0.3
    assert is_in_language(text, "da") is not False
    assert is_in_language(text, "no") is not False
    assert is_in_language(text, "fi") is False


def test_no_language_is_called_the_right_one_below_one_half():
    text = "Katten ligger under bordet i stuen"
    assert max(identify(text).probabilities.values()) < 0.5
    assert [is_in_language(text, x) for x in ("sv", "no", "da")] == [None, None, None]


@pytest.mark.parametrize(
    "text", ["", "abc", "Der Hund schläft.", "日本語の文章", "12 34", "Il-ġurnata hija sabiħa ħafna."]
)
def test_probabilities_cover_all_languages_and_sum_to_one(text):
    probabilities = identify(text).probabilities
    assert set(probabilities) == set(LANGUAGES)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert min(probabilities.values()) >= 0


def test_probabilities_come_most_likely_first():
    probabilities = identify("Ma hier ġurnata sabiħa ħafna u morna ħdejn il-baħar.").probabilities
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
    assert next(iter(probabilities)) == "mt"


def test_both_norwegian_labels_count_as_norwegian():
    nynorsk = "Eg veit ikkje kva eg skal gjere, men dei andre kjem heim frå skulen i morgon."
    assert is_in_language(nynorsk, "no") is True


def test_text_without_letters_is_equally_likely_in_every_language():
    probabilities = identify("").probabilities
    assert max(probabilities.values()) == pytest.approx(min(probabilities.values()))


RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах."
ICELANDIC = "Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum."


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", [RUSSIAN, "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心。"])
def test_text_in_other_letters_is_in_no_registry_language(language, text):
    assert LANGUAGES[language].flores.endswith("_Latn")
    assert is_in_language(text, language) is False
    assert identify(text).language == OTHER


def test_word_in_other_letters_does_not_make_a_text_foreign():
    text = "Das russische Wort «спутник» bedeutet Begleiter, und jeder kennt es."
    assert is_in_language(text, "de") is True


def test_neighbour_outside_the_registry_is_uncertain_and_in_no_language():
    """Icelandic is nearest to Norwegian among the 15."""
    found = identify(ICELANDIC)
    assert next(iter(found.probabilities)) == "no"
    assert found.language == OTHER
    assert (found.is_in("no"), found.is_in("fr")) == (None, False)


def test_outside_is_low_for_a_registry_language():
    found = identify("Seisean a scríobh an litir, ach níor chuir sé sa phost í go dtí inniu.")
    assert found.language == "ga"
    assert found.outside < 0.5


def test_beginning_of_a_long_text_decides():
    german = "Am Abend saßen wir noch lange im Garten und sprachen über den Sommer. " * 30
    danish = "Om aftenen sad vi længe i haven og talte om sommeren, der var gået. " * 300
    assert len(german) > 2000
    assert identify(german + danish).probabilities == identify(german[:2000]).probabilities
    assert is_in_language(german + danish, "de") is True
