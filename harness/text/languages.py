"""The 15 languages this project knows, in one frozen table.

Codes are ISO 639-1; ``nb`` is accepted for ``no``. The split into resource groups follows the CroCo study
(arXiv 2605.26293; inferred from its scripts): tuned high-resource languages, transfer languages that are
evaluated but never tuned, and low-resource languages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal

from ..errors import UserError

Group = Literal["high", "transfer", "low"]


@dataclass(frozen=True)
class Language:
    """One language.

    ``cldr`` names the Babel locale, ``flores`` the ISO 639-3 and script code, ``langid`` the labels py3langid
    gives this language, ``euroeval`` EuroEval's code (None where it has no data set).
    """

    code: str
    name: str
    native_name: str
    group: Group
    cldr: str
    flores: str
    langid: tuple[str, ...]
    euroeval: str | None
    in_paper: bool = True


_TABLE = (
    Language("da", "Danish", "dansk", "high", "da", "dan_Latn", ("da",), "da"),
    Language("de", "German", "Deutsch", "high", "de", "deu_Latn", ("de",), "de"),
    Language("en", "English", "English", "high", "en", "eng_Latn", ("en",), "en"),
    Language("es", "Spanish", "español", "high", "es", "spa_Latn", ("es",), "es"),
    Language("fr", "French", "français", "high", "fr", "fra_Latn", ("fr",), "fr"),
    Language("it", "Italian", "italiano", "high", "it", "ita_Latn", ("it",), "it"),
    Language("nl", "Dutch", "Nederlands", "high", "nl", "nld_Latn", ("nl",), "nl"),
    Language("no", "Norwegian", "norsk", "transfer", "nb", "nob_Latn", ("no", "nn"), "no"),
    Language("pt", "Portuguese", "português", "transfer", "pt_PT", "por_Latn", ("pt",), "pt"),
    Language("sv", "Swedish", "svenska", "transfer", "sv", "swe_Latn", ("sv",), "sv"),
    Language("cy", "Welsh", "Cymraeg", "low", "cy", "cym_Latn", ("cy",), None),
    Language("ga", "Irish", "Gaeilge", "low", "ga", "gle_Latn", ("ga",), None),
    Language("gl", "Galician", "galego", "low", "gl", "glg_Latn", ("gl",), None),
    Language("mt", "Maltese", "Malti", "low", "mt", "mlt_Latn", ("mt",), None),
    Language("fi", "Finnish", "suomi", "transfer", "fi", "fin_Latn", ("fi",), "fi", in_paper=False),
)

LANGUAGES = MappingProxyType({language.code: language for language in _TABLE})
"""Every language by its code, in the registry's order."""

GROUPS = MappingProxyType(
    {
        "paper": tuple(x.code for x in _TABLE if x.in_paper),
        "high": tuple(x.code for x in _TABLE if x.group == "high"),
        "transfer": tuple(x.code for x in _TABLE if x.group == "transfer" and x.in_paper),
        "low": tuple(x.code for x in _TABLE if x.group == "low"),
        "all": tuple(x.code for x in _TABLE),
    }
)
"""Named sets of language codes. ``paper`` (14 languages) is the default of every command."""

_ALIASES = {"nb": "no"}
_AMBIGUOUS = {
    "nn": "Norwegian Nynorsk is not covered; 'no' is Bokmål",
    "pt-br": "only European Portuguese is covered, as 'pt'",
    "pt_br": "only European Portuguese is covered, as 'pt'",
}


def get_language(code: str) -> Language:
    """The language with this code (``nb`` counts as ``no``).

    Raises UserError for an unknown or ambiguous code; the message names the near ones.
    """
    wanted = _ALIASES.get(code.strip().lower(), code.strip().lower())
    if wanted in LANGUAGES:
        return LANGUAGES[wanted]
    if wanted in _AMBIGUOUS:
        raise UserError(f"language {code!r}: {_AMBIGUOUS[wanted]}.")
    raise UserError(f"unknown language {code!r}{_near(wanted)}; 'croco-eval ls languages' lists them all.")


def _near(wanted: str) -> str:
    spellings = {code: code for code in (*LANGUAGES, *_ALIASES)}
    for language in _TABLE:
        for spelling in (language.name, language.native_name, language.flores, language.flores[:3], language.cldr):
            spellings[spelling.lower()] = language.code
    exact = spellings.get(wanted.replace("-", "_")) or spellings.get(wanted.replace("-", "_").split("_")[0])
    if exact:
        return f" - did you mean {exact!r} ({LANGUAGES[exact].name})?"
    close = dict.fromkeys(spellings[match] for match in get_close_matches(wanted, spellings, n=6, cutoff=0.5))
    return f" - did you mean {' or '.join(repr(x) for x in close)}?" if close else ""


def resolve_languages(codes: str | Iterable[str]) -> tuple[str, ...]:
    """Codes and group names (``paper``, ``high``, ...) as a tuple of codes: registry order, each once.

    Raises UserError for an unknown name or an empty list.
    """
    names = [codes] if isinstance(codes, str) else list(codes)
    if not names:
        raise UserError("languages: the list is empty; name at least one language or group, for instance 'paper'.")
    wanted = set()
    for name in names:
        wanted.update(GROUPS[name] if name in GROUPS else (get_language(str(name)).code,))
    return tuple(code for code in LANGUAGES if code in wanted)


def group_of(code: str) -> Group:
    """Resource group of a language: ``high``, ``transfer`` or ``low``."""
    return LANGUAGES[code].group
