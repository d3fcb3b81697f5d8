"""The table of languages: who is in it, by which names they are found, and what is said of those who aren't."""

from __future__ import annotations

import pytest
from babel import Locale
from croco_eval.harness.errors import UserError
from croco_eval.harness.text.languages import GROUPS, LANGUAGES, get_language, group_of, resolve_languages

MEMBERS = {
    "high": {"da", "de", "en", "es", "fr", "it", "nl"},
    "transfer": {"no", "pt", "sv"},
    "low": {"cy", "ga", "gl", "mt"},
}
PAPER = set().union(*MEMBERS.values())
ISO_639_3 = {
    "da": "dan",
    "de": "deu",
    "en": "eng",
    "es": "spa",
    "fr": "fra",
    "it": "ita",
    "nl": "nld",
    "no": "nob",
    "pt": "por",
    "sv": "swe",
    "fi": "fin",
    "cy": "cym",
    "ga": "gle",
    "gl": "glg",
    "mt": "mlt",
}
"""From the code tables of ISO 639-3; Norwegian is Bokmål here."""


def test_fifteen_languages_each_under_its_own_code():
    assert set(LANGUAGES) == PAPER | {"fi"}
    assert len(LANGUAGES) == 15
    assert all(language.code == code for code, language in LANGUAGES.items())


@pytest.mark.parametrize(("group", "members"), [*MEMBERS.items(), ("paper", PAPER), ("all", PAPER | {"fi"})])
def test_group_has_the_studys_members_once_each(group, members):
    assert len(GROUPS[group]) == len(members)
    assert set(GROUPS[group]) == members


def test_group_names_are_no_language_codes():
    assert not set(GROUPS) & set(LANGUAGES)


@pytest.mark.parametrize("group", MEMBERS)
def test_group_of_agrees_with_the_groups(group):
    assert {group_of(code) for code in GROUPS[group]} == {group}


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        LANGUAGES["xx"] = LANGUAGES["da"]  # pyright: ignore[reportIndexIssue]
    with pytest.raises(AttributeError):
        LANGUAGES["da"].group = "low"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("spelling", "code"), [("nb", "no"), ("no", "no"), ("NB", "no"), (" da ", "da"), ("CY", "cy")])
def test_code_is_found_whatever_its_case_and_nb_counts_as_no(spelling, code):
    assert get_language(spelling).code == code


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("pt-BR", "'pt'"),
        ("pt_br", "'pt'"),
        ("nn", "'no'"),
        ("german", "'de'"),
        ("Deutsch", "'de'"),
        ("dan", "'da'"),
        ("dan_Latn", "'da'"),
        ("eng_Latn", "'en'"),
        ("en-GB", "'en'"),
        ("nb_NO", "'no'"),
        ("swedsh", "'sv'"),
        ("xx", "croco-eval ls languages"),
        ("", "croco-eval ls languages"),
    ],
)
def test_unknown_or_ambiguous_code_is_refused_with_the_near_ones(wrong, near):
    with pytest.raises(UserError) as refused:
        get_language(wrong)
    assert repr(wrong) in str(refused.value)
    assert near in str(refused.value)


def test_code_that_is_near_nothing_gets_no_suggestion():
    with pytest.raises(UserError) as refused:
        get_language("xx")
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        ("da", ("da",)),
        (["sv", "da"], ("da", "sv")),
        (["da", "nb", "no", "da"], ("da", "no")),
        (["low", "cy", "da"], ("da", "cy", "ga", "gl", "mt")),
        ("transfer", ("no", "pt", "sv")),
        (["paper", "all"], tuple(LANGUAGES)),
        (iter(["fi", "en"]), ("en", "fi")),
    ],
)
def test_languages_come_in_the_tables_order_once_each(wanted, codes):
    assert resolve_languages(wanted) == codes


def test_empty_list_of_languages_is_refused():
    with pytest.raises(UserError, match="empty"):
        resolve_languages([])


def test_wrong_name_among_right_ones_is_refused():
    with pytest.raises(UserError, match="'xx'"):
        resolve_languages(["da", "xx"])


def test_fields_that_identify_a_language_are_unique():
    rows = LANGUAGES.values()
    for field in ("code", "name", "native_name", "cldr", "flores"):
        assert len({getattr(x, field) for x in rows}) == 15, field
    labels = [label for x in rows for label in x.langid]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("code", LANGUAGES)
def test_cldr_locale_exists_and_has_the_tables_names(code):
    language = LANGUAGES[code]
    locale = Locale.parse(language.cldr)
    spoken = Locale(locale.language)
    assert locale.script is None
    assert spoken.get_language_name("en") in (language.name, f"{language.name} Bokmål")
    assert (spoken.get_language_name() or "").split()[0].casefold() == language.native_name.casefold()


@pytest.mark.parametrize("code", LANGUAGES)
def test_flores_code_is_the_iso_639_3_code_of_the_same_language(code):
    three, script = LANGUAGES[code].flores.split("_")
    assert three == ISO_639_3[code]
    assert script == "Latn"


def test_py3langid_knows_every_label():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    known = set(LanguageIdentifier.from_model_file(MODEL_FILE).labels)
    assert {label for x in LANGUAGES.values() for label in x.langid} <= known


def test_euroeval_covers_exactly_the_languages_that_are_not_low_resource():
    assert {x.code for x in LANGUAGES.values() if x.euroeval is None} == MEMBERS["low"]
