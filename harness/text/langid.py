"""Language identification among the registry's languages, with its uncertainty.

py3langid, restricted to the registry: what is asked is not "which of a hundred languages?" but "is it the one it
should be, or one of its neighbours?". How often it errs, and why the thresholds are what they are: docs/langid.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .languages import LANGUAGES

OTHER = "other"
"""Stands for all languages that are not in the registry."""

_MIN_LETTERS = 20
_CLEARLY_LESS = 0.2
_CLEAR = 0.5
_OUTSIDE = 0.95
_CHARACTERS = 2000
_LATIN = re.compile("[A-Za-zªºÀ-ÖØ-öø-\u024f\u1e00-\u1eff]")


@dataclass(frozen=True)
class Identification:
    """What is known of a text's language.

    ``probabilities``: of each registry language, given that it is one of them; most likely first, equal for a text
    that says nothing. ``outside``: the probability that it is none of them, among all languages of py3langid.
    ``letters`` and ``latin_letters``: how many there are; all languages of the registry are written in Latin letters.
    """

    probabilities: Mapping[str, float]
    outside: float
    letters: int
    latin_letters: int

    @property
    def language(self) -> str:
        """The most likely language, or ``OTHER``; a guess, however unlikely: ``is_in`` tells what is certain."""
        return OTHER if self._is_foreign or self.outside >= _OUTSIDE else next(iter(self.probabilities))

    def is_in(self, language: str) -> bool | None:
        """Whether the text is in a language of the registry; None where that can't be told.

        True if the language is the most likely one and at least as likely as not, and the probability that it is none
        of the registry's is under 0.95. False if it is at most a fifth as likely as another one, or if most letters
        aren't Latin ones. None otherwise or below 20 letters.
        """
        if self.letters < _MIN_LETTERS:
            return None
        best = max(self.probabilities.values())
        own = self.probabilities[language]
        if self._is_foreign or own <= _CLEARLY_LESS * best:
            return False
        return True if own == best and own >= _CLEAR and self.outside < _OUTSIDE else None

    @property
    def _is_foreign(self) -> bool:
        return 2 * self.latin_letters < self.letters


def identify(text: str) -> Identification:
    """Identifies the language of a text by its first 2,000 characters: it is plain by then, and the time is bounded."""
    text = text[:_CHARACTERS]
    by_label = dict(_identifier().rank(text))
    # Norwegian has two labels: the likelier one counts, so that no language is ahead before the text is seen.
    best = {code: max(by_label[x] for x in language.langid) for code, language in LANGUAGES.items()}
    total = sum(best.values())
    shares = {code: x / total if total else 1 / len(best) for code, x in sorted(best.items(), key=lambda x: -x[1])}
    inside = sum(by_label[x] for language in LANGUAGES.values() for x in language.langid)
    return Identification(shares, max(0.0, 1 - inside), sum(map(str.isalpha, text)), len(_LATIN.findall(text)))


def is_in_language(text: str, language: str) -> bool | None:
    """Whether a text is in a language; None where that can't be told (``Identification.is_in``)."""
    return identify(text).is_in(language)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
