"""What a translation must hold as it is."""

from __future__ import annotations

import pytest
from croco_eval.training.stages.protected import first_difference, protected_parts, without_protected
from hypothesis import given
from hypothesis import strategies as st

CODE = "```python\ndef f(x):\n    return {x}  # %s\n```"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"Fix this:\n{CODE}\nplease", [("block", CODE)]),
        ("~~~\na\n~~~ and ```\nopen", [("block", "~~~\na\n~~~"), ("block", "```\nopen")]),
        ("Run `ls -la` or ``a`b`` now", [("code", "`ls -la`"), ("code", "``a`b``")]),
        ("See https://a.org/b?c=1&d={e}, or www.b.org.", [("url", "https://a.org/b?c=1&d={e}"), ("url", "www.b.org")]),
        (
            "(https://a.org/x_(y)) https://a.org/z)",
            [("url", "https://a.org/x_(y)"), ("url", "https://a.org/z")],
        ),
        (
            "Dear {name}, {{ city }} {0} {} ${HOME}",
            [("variable", x) for x in ("{name}", "{{ city }}", "{0}", "{}", "${HOME}")],
        ),
        ("%s of %d, %(total)s, %.2f", [("variable", x) for x in ("%s", "%d", "%(total)s", "%.2f")]),
        ('<b>bold</b> <br/> <a href="x y">', [("tag", x) for x in ("<b>", "</b>", "<br/>", '<a href="x y">')]),
        ("100% sure, 50 % discount, 5%discount", []),
        ("if a < b and c > d, or x<y and y>z", []),
        ('the set {a, b} and {"k": 1}', []),
        ("", []),
    ],
)
def test_code_addresses_placeholders_and_tags_are_protected_and_prose_is_not(text: str, parts: list[tuple[str, str]]):
    assert list(protected_parts(text).elements()) == parts


@pytest.mark.parametrize(
    ("translation", "difference"),
    [
        ("Kør `ls` på {name}.", None),
        ("På {name} kører du `ls`.", None),
        ("Kør ls på {name}.", "inline code lost or altered"),
        ("Kør `ls` på {navn}.", "placeholder lost or altered"),
        ("Kør `ls` på {name} {name}.", "placeholder added"),
        ("Kør `ls` på {name}, se https://a.org.", "URL added"),
    ],
)
def test_a_translation_holds_every_part_as_often_as_its_source(translation: str, difference: str | None):
    assert first_difference("Run `ls` on {name}.", translation) == difference


def test_space_at_the_ends_of_code_lines_does_not_count():
    assert first_difference("```\na  \nb\n```", "```\na\nb\n```") is None
    assert first_difference("```\n a\n```", "```\na\n```") == "code block lost or altered"


def test_language_is_that_of_the_text_around_protected_parts():
    text = f"Ret denne funktion {CODE} for {{name}}"
    assert without_protected(text) == "Ret denne funktion   for  "


@pytest.mark.parametrize("text", ["`a ", "%0", "<a b=c ", "{{", "~~~", "http://(", "$", "<a  "])
def test_long_texts_of_odd_characters_take_no_time(text: str):
    """Patterns that go back and forth would take minutes here."""
    source = text[:1] + text[1:] * 20_000
    assert first_difference(source, source) is None


@given(st.text(alphabet="ab`~{}<>%s$/:. \nhttp'\"=", max_size=60))
def test_any_text_equals_itself_and_loses_only_its_parts(text: str):
    assert first_difference(text, text) is None
    rest = without_protected(text)
    assert len(rest) <= len(text) + sum(protected_parts(text).values())
    for kind, part in protected_parts(text):
        if kind != "block":
            assert part in text
