"""Source items of the suite ``locale``: what is asked, as codes, before any language is chosen.

A source is drawn once and rendered in every language, so items are parallel down to their distractors and
the position of the right answer. Each source is drawn with a generator of its own, seeded by (seed, family,
key): a larger suite holds the smaller one.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from itertools import count, islice
from typing import Any, Literal

from ...harness.text.languages import LANGUAGES
from . import cldr

Split = Literal["evaluation", "tuning"]


@dataclass(frozen=True)
class Source:
    """A question as codes, before any language is chosen.

    ``options`` holds the right code first; it is empty for families whose answer is written freely.
    """

    family: str
    key: str
    cldr_key: str
    options: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def source_id(self) -> str:
        return f"{self.family}/{self.key}"


def split_of(fact: str) -> Split:
    """The split a fact belongs to, by its hash: a third is for tuning, the rest for evaluation."""
    return "tuning" if hashlib.sha256(fact.encode()).digest()[0] % 3 == 0 else "evaluation"


def in_split(split: Split) -> tuple[cldr.Territory, ...]:
    """Territories of a split; all facts about a territory belong to the same split."""
    return tuple(x for x in cldr.territories() if split_of(f"territory/{x.code}") == split)


def draw_sources(family: str, size: int, seed: int, split: Split = "evaluation") -> tuple[Source, ...]:
    """The first ``size`` sources of a family (fewer where CLDR has no more), in seeded order."""
    return tuple(islice(FAMILIES[family](seed, split), size))


def rng_for(seed: int, *parts: object) -> random.Random:
    """A generator that depends on the seed and these parts alone."""
    return random.Random(hashlib.sha256("/".join(map(str, (seed, *parts))).encode()).digest())


def shuffled(keys: list, seed: int, *parts: object) -> list:
    """Keys in an order that depends on the seed and these parts; adding a key leaves the order of the others."""
    return sorted(keys, key=lambda x: hashlib.sha256("/".join(map(str, (seed, *parts, x))).encode()).digest())


def _rounds(keys: list[str], seed: int, family: str, draw: Callable[[str, random.Random], Source | None]):
    """Every key once in seeded order; then again with fresh distractors, until a round adds nothing new."""
    seen: set[tuple[str, frozenset[str]]] = set()
    for turn in count():
        added = False
        for key in shuffled(keys, seed, family, turn):
            name = key if turn == 0 else f"{key}~{turn + 1}"
            source = draw(key, rng_for(seed, family, name))
            if source is None or (mark := (key, frozenset(source.options))) in seen:
                continue
            seen.add(mark)
            added = True
            yield Source(family, name, source.cldr_key, source.options, source.fields)
        if not added:
            return


@cache
def _spellings(kind: str, code: str) -> tuple[str, ...]:
    """A code's name in each language that has it, folded, to tell whether two options could look alike."""
    name = {"territory": cldr.territory_name, "language": cldr.language_name, "currency": cldr.currency_name}[kind]
    languages = [x for x in LANGUAGES if kind != "currency" or cldr.has_currency_names(x)]
    return tuple(name(code, x).casefold() for x in languages)


def _distinct(kind: str, codes: tuple[str, ...]) -> bool:
    return all(len(set(names)) == len(codes) for names in zip(*(_spellings(kind, x) for x in codes), strict=True))


def _with_distractors(
    kind: str, right: str, pool: list[str], rng: random.Random, near: Sequence[str] = ()
) -> tuple[str, ...]:
    """The right code and three wrong ones whose names differ in every language; at most two come from ``near``."""
    options = (right,)
    for code in rng.sample(near, len(near))[:2] + rng.sample(pool, len(pool)):
        if code not in options and _distinct(kind, (*options, code)):
            options += (code,)
        if len(options) == 4:
            return options
    return ()


# Distractors come from the same split as the question: else a model that was tuned on one split could tell the
# right option by having seen it, or having never seen it, as an answer.


@cache
def _currencies(split: Split) -> tuple[str, ...]:
    return tuple(sorted({x.currency for x in in_split(split) if x.currency}))


@cache
def _official_languages(split: Split) -> tuple[str, ...]:
    return tuple(sorted({code for x in in_split(split) for code in x.languages}))


@cache
def _all_official_languages() -> tuple[str, ...]:
    return tuple(sorted({code for x in cldr.territories() for code in x.languages}))


def _head_noun(currency: str) -> str:
    return cldr.currency_name(currency, "en").split()[-1]


def _currency(seed: int, split: Split) -> Iterator[Source]:
    places = {x.code: x for x in in_split(split) if x.currency}

    def draw(code: str, rng: random.Random) -> Source | None:
        place = places[code]
        pool = [x for x in _currencies(split) if x not in place.currencies]
        near = [x for x in pool if _head_noun(x) == _head_noun(place.currency or "")]
        options = _with_distractors("currency", place.currency or "", pool, rng, near)
        return Source("", code, f"territoryCurrencies/{code}", options, {"territory": code}) if options else None

    return _rounds(list(places), seed, "currency", draw)


def _currency_reverse(seed: int, split: Split) -> Iterator[Source]:
    places = [x for x in in_split(split) if x.currency]

    def draw(code: str, rng: random.Random) -> Source | None:
        right = rng.choice([x.code for x in places if x.currency == code])
        pool = [x.code for x in in_split(split) if code not in x.currencies]
        options = _with_distractors("territory", right, pool, rng)
        return Source("", code, f"territoryCurrencies/{right}", options, {"currency": code}) if options else None

    return _rounds(sorted({x.currency for x in places if x.currency}), seed, "currency_reverse", draw)


def _official_language(seed: int, split: Split) -> Iterator[Source]:
    places = {x.code: x for x in in_split(split)}

    def draw(code: str, rng: random.Random) -> Source | None:
        place = places[code]
        pool = [x for x in _official_languages(split) if x not in place.spoken and x not in place.languages]
        options = _with_distractors("language", place.languages[0], pool, rng)
        return Source("", code, f"territoryInfo/{code}", options, {"territory": code}) if options else None

    return _rounds(list(places), seed, "official_language", draw)


def _official_language_reverse(seed: int, split: Split) -> Iterator[Source]:
    places = in_split(split)

    def draw(code: str, rng: random.Random) -> Source | None:
        right = rng.choice([x.code for x in places if code in x.languages])
        pool = [x.code for x in places if code not in x.spoken and code not in x.languages]
        options = _with_distractors("territory", right, pool, rng)
        return Source("", code, f"territoryInfo/{right}", options, {"language": code}) if options else None

    return _rounds(sorted({x for place in places for x in place.languages}), seed, "official_language_reverse", draw)


def _count_forward(family: str, unit: str, cycle: int) -> Callable[[int, Split], Iterator[Source]]:
    def draw_all(seed: int, split: Split) -> Iterator[Source]:
        for turn in count():
            pairs = [f"{start}+{turn * cycle + n}" for start in range(cycle) for n in range(1, cycle)]
            for key in shuffled(pairs, seed, family, turn):
                start, n = map(int, key.split("+"))
                if split_of(f"{family}/{start}+{n % cycle}") == split:
                    fields = {"start": start, "n": n, "end": (start + n) % cycle}
                    yield Source(family, key, f"gregorian/{unit}/{fields['end'] + 1}", (), fields)

    return draw_all


def numbered(family: str, split: Split, make: Callable[[int], Source | None]) -> Iterator[Source]:
    """Sources made one after the other without end, each key once, those of the split."""
    seen: set[str] = set()
    for number in count():
        source = make(number)
        if source and source.key not in seen and split_of(f"{family}/{source.key}") == split:
            seen.add(source.key)
            yield source


def _iso_date(seed: int, split: Split) -> Iterator[Source]:
    def make(number: int) -> Source:
        day = date(1900, 1, 1) + timedelta(days=rng_for(seed, "iso_date", number).randrange(54_786))
        return Source("iso_date", day.isoformat(), "gregorian/dateFormats/full", (), {"date": day})

    return numbered("iso_date", split, make)


def _number_format(seed: int, split: Split) -> Iterator[Source]:
    def make(number: int) -> Source:
        rng = rng_for(seed, "number_format", number)
        integer, decimals = rng.randrange(10_000_000, 1_000_000_000), rng.randrange(11, 100)
        return Source(
            "number_format",
            f"{integer}-{decimals}",
            "numbers/symbols-latn",
            (),
            {"integer": integer, "decimals": decimals},
        )

    return numbered("number_format", split, make)


def _list_format(seed: int, split: Split) -> Iterator[Source]:
    def make(number: int) -> Source | None:
        rng = rng_for(seed, "list_format", number)
        kind = rng.choice(("territory", "language"))
        pool = [x.code for x in cldr.territories()] if kind == "territory" else list(_all_official_languages())
        a, b, c = rng.sample(pool, 3)
        name = cldr.territory_name if kind == "territory" else cldr.language_name
        suits = all(cldr.list_suits(name(c, x), x) and not any("," in name(y, x) for y in (a, b, c)) for x in LANGUAGES)
        if not suits or not _distinct(kind, (a, b, c)):
            return None
        return Source("list_format", f"{a}-{b}-{c}", "listPatterns/standard", (), {"kind": kind, "codes": (a, b, c)})

    return numbered("list_format", split, make)


def _translation(family: str, kind: str) -> Callable[[int, Split], Iterator[Source]]:
    """Names that differ from the English one in at least half of the other languages."""

    def draw_all(seed: int, split: Split) -> Iterator[Source]:
        codes = (
            [x.code for x in in_split(split)]
            if kind == "territory"
            else [x for x in _all_official_languages() if split_of(f"language/{x}") == split]
        )
        for code in shuffled(codes, seed, family):
            spellings = _spellings(kind, code)
            english = spellings[list(LANGUAGES).index("en")]
            if sum(x != english for x in spellings) >= len(LANGUAGES) // 2:
                section = "territories" if kind == "territory" else "languages"
                yield Source(family, code, f"localeDisplayNames/{section}/{code}", (), {kind: code})

    return draw_all


FAMILIES: dict[str, Callable[[int, Split], Iterator[Source]]] = {
    "currency": _currency,
    "currency_reverse": _currency_reverse,
    "official_language": _official_language,
    "official_language_reverse": _official_language_reverse,
    "month_after": _count_forward("month_after", "months", 12),
    "weekday_after": _count_forward("weekday_after", "days", 7),
    "iso_date": _iso_date,
    "territory_to_english": _translation("territory_to_english", "territory"),
    "territory_from_english": _translation("territory_from_english", "territory"),
    "language_to_english": _translation("language_to_english", "language"),
    "language_from_english": _translation("language_from_english", "language"),
    "number_format": _number_format,
    "list_format": _list_format,
}
"""Task families: each gives its sources in seeded order, as many as there are."""
