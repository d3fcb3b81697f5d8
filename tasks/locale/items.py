"""Items of the suite ``locale``: sources rendered in one language.

Questions with four options show them as a list, and the option's text is what the model has to give; the right
one stands in each position equally often. The other questions are answered freely and compared after folding.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from ...harness.text.templates import fill_all
from . import cldr
from .facts import FAMILIES, Source, Split, draw_sources
from .templates import load_templates

MULTIPLE_CHOICE = (
    "currency",
    "currency_reverse",
    "official_language",
    "official_language_reverse",
    "number_format",
    "list_format",
)
FREE_ANSWER = tuple(x for x in FAMILIES if x not in MULTIPLE_CHOICE)

_PUNCTUATION = " \t\n\r.,;:!?\"'«»“”„‘’`*_()[]"


@dataclass(frozen=True)
class LocaleItem:
    """One question in one language.

    ``item_id`` is unique in the task, ``source_id`` is the same in every language. ``options`` and the index
    ``right`` are set for multiple choice; ``accepted`` holds every accepted answer, the usual one first.
    ``provenance`` names the data's version and key.
    """

    item_id: str
    source_id: str
    family: str
    language: str
    question: str
    prompt: str
    options: tuple[str, ...]
    right: int | None
    accepted: tuple[str, ...]
    provenance: str


def families_in(language: str) -> tuple[str, ...]:
    """Families that can be asked in a language: no currencies in Maltese, no translation in English."""
    return tuple(
        family
        for family in FAMILIES
        if load_templates(language).get(family) and ("currency" not in family or cldr.has_currency_names(language))
    )


def build_items(
    family: str, language: str, size: int, seed: int, split: Split = "evaluation"
) -> tuple[LocaleItem, ...]:
    """The first ``size`` items of a family in a language; the same sources in every language that has the data."""
    question = load_templates(language)[family]["question"]
    sources = draw_sources(family, size, seed, split)
    return tuple(render(x, language, question, position=i % 4) for i, x in enumerate(sources))


def render(source: Source, language: str, question: str, position: int = 0) -> LocaleItem:
    """A source as a question in a language, with this wording; ``position`` is where the right option stands."""
    names, options, accepted = _RENDERERS[source.family](source, language)
    if options:
        options = _place_right(options, position)
    text = fill_all(question, **names)
    templates = load_templates(language)
    listed = "".join(f"\n- {x}" for x in options)
    prompt = f"{text} {templates['short_answer']}{listed}\n{templates['answer_cue']}"
    return LocaleItem(
        item_id=f"{source.source_id}/{language}",
        source_id=source.source_id,
        family=source.family,
        language=language,
        question=text,
        prompt=prompt,
        options=options,
        right=position if options else None,
        accepted=accepted,
        provenance=f"{cldr.cldr_version()} {source.cldr_key}",
    )


def _place_right(options: tuple[str, ...], position: int) -> tuple[str, ...]:
    right, wrong = options[0], options[1:]
    return (*wrong[:position], right, *wrong[position:])


def fold(answer: str) -> str:
    """An answer as it is compared: first line, NFKC, case folded, no punctuation around it, single spaces."""
    text = unicodedata.normalize("NFKC", answer.strip()).casefold()
    first = text.splitlines()[0] if text else ""
    return " ".join(first.replace("’", "'").strip(_PUNCTUATION).split())


def is_accepted(answer: str, accepted: tuple[str, ...] | list[str]) -> bool:
    """Whether an answer equals one of the accepted ones after folding."""
    return fold(answer) in {fold(x) for x in accepted}


Rendered = tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]


def _choice(asked: str, asked_name, option_name):
    def rendered(source: Source, language: str) -> Rendered:
        options = tuple(option_name(x, language) for x in source.options)
        return {asked: asked_name(source.fields[asked], language)}, options, options[:1]

    return rendered


def _month_after(source: Source, language: str) -> Rendered:
    f = source.fields
    names = {"month": cldr.months(language)[f["start"]], "n": f["n"]}
    return names, (), cldr.month_spellings(f["end"] + 1, language)


def _weekday_after(source: Source, language: str) -> Rendered:
    f = source.fields
    names = {"weekday": cldr.weekdays(language)[f["start"]], "n": f["n"]}
    return names, (), cldr.weekday_spellings(f["end"], language)


def _iso_date(source: Source, language: str) -> Rendered:
    day = source.fields["date"]
    return {"date": cldr.full_date(day, language)}, (), (day.isoformat(),)


def _translation(kind: str, to_english: bool):
    name = cldr.territory_name if kind == "territory" else cldr.language_name

    def rendered(source: Source, language: str) -> Rendered:
        given, wanted = (language, "en") if to_english else ("en", language)
        code = source.fields[kind]
        return {"name": name(code, given)}, (), cldr.accepted_spellings(name(code, wanted), wanted)

    return rendered


def _number_format(source: Source, language: str) -> Rendered:
    integer, decimals = source.fields["integer"], source.fields["decimals"]
    right = cldr.separators(language)
    # A space before a decimal comma is read without trouble everywhere, so it is an option only where it is right.
    conventions = [right, *(x for x in ((",", "."), (".", ","), (".", "."), (",", ",")) if x != right)]
    if right[0] == "\u00a0":
        conventions.remove((".", ","))
    options = tuple(f"{integer:,}".replace(",", group) + f"{point}{decimals}" for group, point in conventions)
    return {"integer": integer, "decimals": decimals}, options, options[:1]


def _list_format(source: Source, language: str) -> Rendered:
    name = cldr.territory_name if source.fields["kind"] == "territory" else cldr.language_name
    a, b, c = (name(x, language) for x in source.fields["codes"])
    right = cldr.list_of([a, b, c], language)
    word = right.removesuffix(f" {c}").rsplit(" ", 1)[-1]
    options = (right, f"{a} {word} {b}, {c}", f"{a}, {b}, {c} {word}", f"{word} {a}, {b}, {c}")
    return {"a": a, "b": b, "c": c}, options, options[:1]


_RENDERERS = {
    "currency": _choice("territory", cldr.territory_name, cldr.currency_name),
    "currency_reverse": _choice("currency", cldr.currency_name, cldr.territory_name),
    "official_language": _choice("territory", cldr.territory_name, cldr.language_name),
    "official_language_reverse": _choice("language", cldr.language_name, cldr.territory_name),
    "month_after": _month_after,
    "weekday_after": _weekday_after,
    "iso_date": _iso_date,
    "territory_to_english": _translation("territory", to_english=True),
    "territory_from_english": _translation("territory", to_english=False),
    "language_to_english": _translation("language", to_english=True),
    "language_from_english": _translation("language", to_english=False),
    "number_format": _number_format,
    "list_format": _list_format,
}
