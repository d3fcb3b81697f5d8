"""Facts from CLDR, through Babel: the source of the suites ``locale`` and ``locale-open``.

Two kinds of functions: facts that hold in every language (which currency a territory has), as codes, and
names of those codes in one language. Only codes that have a name in all 15 languages are used, so that items
stay parallel; currencies, which CLDR does not name in Maltese, are the one exception.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache

from babel import Locale
from babel import __version__ as babel_version
from babel.core import get_cldr_version
from babel.dates import format_date
from babel.languages import get_territory_language_info
from babel.lists import format_list
from babel.numbers import get_territory_currencies

from ...harness.text.languages import LANGUAGES

AS_OF = date(2025, 1, 1)
"""Currencies are those that were legal tender on this day."""

_NATIONAL = ("official", "de_facto_official")


@dataclass(frozen=True)
class Territory:
    """A country or territory: ISO 3166 code, its one legal tender (None if several), its official languages
    (most widely spoken first) and every language CLDR lists for it, official or not."""

    code: str
    currency: str | None
    currencies: frozenset[str]
    languages: tuple[str, ...]
    spoken: frozenset[str]


def cldr_version() -> str:
    """Version of the data, e.g. ``CLDR 47 (Babel 2.18.0)``."""
    return f"CLDR {get_cldr_version()} (Babel {babel_version})"


@cache
def locale(language: str) -> Locale:
    """Babel's locale of a registry language."""
    return Locale.parse(LANGUAGES[language].cldr)


def _base_language(code: str) -> str:
    base = code.split("_")[0]
    return "no" if base == "nb" else base


@cache
def territories() -> tuple[Territory, ...]:
    """Territories that have at least one official language and a name in all 15 languages, by code."""
    found = []
    for code in sorted(locale("en").territories):
        if not re.fullmatch("[A-Z]{2}", code) or any(code not in locale(x).territories for x in LANGUAGES):
            continue
        info = get_territory_language_info(code)
        ranked = sorted(info, key=lambda x: (-float(info[x]["population_percent"] or 0), x))
        official = dict.fromkeys(
            _base_language(x)
            for x in ranked
            if info[x].get("official_status") in _NATIONAL and named(_base_language(x))
        )
        tender = frozenset(get_territory_currencies(code, AS_OF, tender=True))
        if official and tender:
            found.append(
                Territory(
                    code=code,
                    currency=next(iter(tender)) if len(tender) == 1 else None,
                    currencies=tender,
                    languages=tuple(official),
                    spoken=frozenset(_base_language(x) for x in info),
                )
            )
    return tuple(found)


@cache
def named(language_code: str) -> bool:
    """Whether CLDR names this language in all 15 languages."""
    return all(language_code in locale(x).languages for x in LANGUAGES)


def has_currency_names(language: str) -> bool:
    """Whether CLDR names (nearly) all currencies in this language: not in Maltese."""
    return all(x.currency in locale(language).currencies for x in territories() if x.currency)


def territory_name(code: str, language: str) -> str:
    """Name of a territory, as CLDR writes it by default."""
    return locale(language).territories[code]


def language_name(code: str, language: str) -> str:
    """Name of a language."""
    return locale(language).languages[code]


def currency_name(code: str, language: str) -> str:
    """Name of a currency, as in a list of currencies."""
    return locale(language).currencies[code]


def currency_spellings(code: str, language: str) -> tuple[str, ...]:
    """A currency's name and its plural forms, each once."""
    plurals = locale(language)._data["currency_names_plural"].get(code, {})  # pyright: ignore[reportPrivateUsage]
    return tuple(dict.fromkeys((currency_name(code, language), *plurals.values())))


def months(language: str) -> tuple[str, ...]:
    """January to December, in the form that stands alone."""
    names = locale(language).months["stand-alone"]["wide"]
    return tuple(names[i] for i in range(1, 13))


def month_spellings(month: int, language: str) -> tuple[str, ...]:
    """Accepted forms of a month (1 to 12): alone and as part of a date."""
    forms = locale(language).months
    return tuple(dict.fromkeys((forms["stand-alone"]["wide"][month], forms["format"]["wide"][month])))


def weekdays(language: str) -> tuple[str, ...]:
    """Monday to Sunday, in the form that stands alone."""
    names = locale(language).days["stand-alone"]["wide"]
    return tuple(names[i] for i in range(7))


def weekday_spellings(day: int, language: str) -> tuple[str, ...]:
    """Accepted forms of a weekday (0 is Monday): alone and as part of a date."""
    forms = locale(language).days
    return tuple(dict.fromkeys((forms["stand-alone"]["wide"][day], forms["format"]["wide"][day])))


def full_date(day: date, language: str) -> str:
    """A date in CLDR's full form, weekday included."""
    return format_date(day, "full", locale(language))


_ARTICLES = {
    "en": r"the ",
    "fr": r"(les? |la |l[’'])",
    "ga": r"(an t-|an |na )",
    "mt": r"(il-|l-|i[ċdnrstxzż]-)",
}


def accepted_spellings(name: str, language: str) -> tuple[str, ...]:
    """A territory or language name and its harmless variants: without the article, without what stands in
    brackets, and what stands in brackets alone (``Myanmar (Burma)``)."""
    spellings = [name]
    if match := re.fullmatch(r"(.+?) \((.+)\)", name):
        spellings += match.groups()
    if language in _ARTICLES:
        spellings += [re.sub("^" + _ARTICLES[language], "", x, flags=re.IGNORECASE) for x in spellings]
    return tuple(dict.fromkeys(spellings))


def list_of(names: list[str], language: str) -> str:
    """Names joined by CLDR's list pattern (Welsh "a(c)" resolved for the last name; ``list_suits`` says where)."""
    joined = format_list(names, locale=locale(language))
    if language == "cy":
        joined = joined.replace(" a(c) ", " ac " if _starts_with_vowel(names[-1]) else " a ")
    return joined


def list_suits(last: str, language: str) -> bool:
    """Whether CLDR's list pattern is right before this last name.

    Welsh "a" mutates c, p and t, and Spanish "y" turns into "e" before an i sound: CLDR does neither.
    """
    first = last[:2].lower()
    if language == "cy":
        return not first.startswith(("c", "p", "t"))
    if language == "es":
        return not first.startswith(("i", "í", "hi", "hí", "y"))
    return True


def _starts_with_vowel(name: str) -> bool:
    return name[:1].lower() in "aeiouwyâêîôûŵŷ"


def separators(language: str) -> tuple[str, str]:
    """Grouping and decimal separator; every kind of space is given as a no-break space."""
    symbols = locale(language).number_symbols["latn"]
    group = symbols["group"]
    return ("\u00a0" if group.isspace() else group), symbols["decimal"]
