"""Items of the suite ``locale-open``: open-ended prompts with the facts that a good answer holds.

A fact is a tuple of accepted spellings, one of which must stand in the answer. The facts of an ``ordered``
item must also stand in their order (the days of the week).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any

from ...harness.text.templates import fill_all
from . import cldr
from .facts import Source, Split, in_split, numbered, rng_for, shuffled
from .templates import load_templates

Fact = tuple[str, ...]


@dataclass(frozen=True)
class OpenItem:
    """One open-ended prompt in one language, with the facts a good answer must hold."""

    item_id: str
    source_id: str
    family: str
    language: str
    prompt: str
    facts: tuple[Fact, ...]
    ordered: bool
    provenance: str


def open_families_in(language: str) -> tuple[str, ...]:
    """Families that can be asked in a language: ``describe`` needs currency names."""
    return tuple(x for x in OPEN_FAMILIES if x != "describe" or cldr.has_currency_names(language))


def draw_open_sources(family: str, size: int, seed: int, split: Split = "evaluation") -> tuple[Source, ...]:
    """The first ``size`` sources of a family (fewer where CLDR has no more), in seeded order."""
    return tuple(islice(OPEN_FAMILIES[family](seed, split), size))


def build_open_items(
    family: str, language: str, size: int, seed: int, split: Split = "evaluation"
) -> tuple[OpenItem, ...]:
    """The first ``size`` items of a family in a language; the same sources in every language that has the data."""
    prompt = load_templates(language)["open"][family]["prompt"]
    return tuple(render_open(x, language, prompt) for x in draw_open_sources(family, size, seed, split))


def render_open(source: Source, language: str, prompt: str) -> OpenItem:
    """A source as a prompt in a language, with this wording."""
    names, facts = names_and_facts(source, language)
    return OpenItem(
        item_id=f"{source.source_id}/{language}",
        source_id=source.source_id,
        family=source.family,
        language=language,
        prompt=fill_all(prompt, **names),
        facts=facts,
        ordered=source.family in ("weekdays", "months"),
        provenance=f"{cldr.cldr_version()} {source.cldr_key}",
    )


def names_and_facts(source: Source, language: str) -> tuple[dict[str, Any], tuple[Fact, ...]]:
    """What the prompt names, and the facts of a good answer, for a source in a language."""
    return _RENDERERS[source.family](source, language)


def _describe_all(seed: int, split: Split) -> Iterator[Source]:
    places = {x.code: x for x in in_split(split) if x.currency}
    for place in map(places.__getitem__, shuffled(list(places), seed, "describe")):
        fields = {"territory": place.code, "languages": place.languages, "currency": place.currency}
        yield Source("describe", place.code, f"territoryInfo/{place.code} territoryCurrencies/{place.code}", (), fields)


def _languages_all(seed: int, split: Split) -> Iterator[Source]:
    places = {x.code: x for x in in_split(split)}
    for place in map(places.__getitem__, shuffled(list(places), seed, "languages")):
        fields = {"territory": place.code, "languages": place.languages}
        yield Source("languages", place.code, f"territoryInfo/{place.code}", (), fields)


def _compare_all(seed: int, split: Split) -> Iterator[Source]:
    places = in_split(split)

    def make(number: int) -> Source | None:
        a, b = rng_for(seed, "compare", number).sample(places, 2)
        if set(a.languages) & set(b.languages):
            return None
        fields = {"territory": a.code, "languages": a.languages, "territory_2": b.code, "languages_2": b.languages}
        return Source("compare", f"{a.code}-{b.code}", f"territoryInfo/{a.code} territoryInfo/{b.code}", (), fields)

    # Both territories are of the split, so every pair is; pairs are drawn until twice as many as there are places.
    made = (make(number) for number in range(4 * len(places)))
    return iter({x.key: x for x in made if x}.values())


def _cycle(
    family: str, cldr_key: str, length: int, tuning: tuple[int, ...]
) -> Callable[[int, Split], Iterator[Source]]:
    def draw_all(seed: int, split: Split) -> Iterator[Source]:
        for start in shuffled([x for x in range(length) if (x in tuning) == (split == "tuning")], seed, family):
            yield Source(family, str(start), cldr_key, (), {"start": start})

    return draw_all


def _date_all(seed: int, split: Split) -> Iterator[Source]:
    def make(number: int) -> Source:
        day = date(1900, 1, 1) + timedelta(days=rng_for(seed, "date", number).randrange(54_786))
        return Source("date", day.isoformat(), "gregorian/dateFormats/full", (), {"date": day})

    return numbered("date", split, make)


def _describe(source: Source, language: str) -> tuple[dict[str, Any], tuple[Fact, ...]]:
    f = source.fields
    names = {"territory": cldr.territory_name(f["territory"], language)}
    facts = _language_facts(f["languages"], language)
    if "currency" in f:
        facts += (cldr.currency_spellings(f["currency"], language),)
    if "territory_2" in f:
        names["territory_2"] = cldr.territory_name(f["territory_2"], language)
        facts += _language_facts(f["languages_2"], language)
    return names, facts


def _language_facts(codes: tuple[str, ...], language: str) -> tuple[Fact, ...]:
    return tuple(cldr.accepted_spellings(cldr.language_name(x, language), language) for x in codes)


def _weekdays(source: Source, language: str) -> tuple[dict[str, Any], tuple[Fact, ...]]:
    start = source.fields["start"]
    facts = tuple(cldr.weekday_spellings((start + i) % 7, language) for i in range(7))
    return {"weekday": cldr.weekdays(language)[start]}, facts


def _months(source: Source, language: str) -> tuple[dict[str, Any], tuple[Fact, ...]]:
    start = source.fields["start"]
    facts = tuple(cldr.month_spellings((start + i) % 12 + 1, language) for i in range(12))
    return {"month": cldr.months(language)[start]}, facts


def _date(source: Source, language: str) -> tuple[dict[str, Any], tuple[Fact, ...]]:
    day = source.fields["date"]
    facts = (
        cldr.weekday_spellings(day.weekday(), language),
        cldr.month_spellings(day.month, language),
        (str(day.year),),
    )
    return {"iso": day.isoformat()}, facts


OPEN_FAMILIES: dict[str, Callable[[int, Split], Iterator[Source]]] = {
    "describe": _describe_all,
    "languages": _languages_all,
    "compare": _compare_all,
    "weekdays": _cycle("weekdays", "gregorian/days", 7, tuning=(1, 4)),
    "months": _cycle("months", "gregorian/months", 12, tuning=(2, 5, 8, 11)),
    "date": _date_all,
}
"""Prompt families: each gives its sources in seeded order, as many as there are."""

_RENDERERS = {
    "describe": _describe,
    "languages": _describe,
    "compare": _describe,
    "weekdays": _weekdays,
    "months": _months,
    "date": _date,
}
