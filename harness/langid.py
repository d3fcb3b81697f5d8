"""Language identification among the registry's languages, with its uncertainty.

py3langid, restricted to the registry: what is asked is not "which of a hundred languages?" but "is it the one it
should be, or one of its neighbours?".
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .languages import LANGUAGES

_MIN_LETTERS = 20
_CLEARLY_LESS = 0.2
_CLEAR = 0.5


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([label for x in LANGUAGES.values() for label in x.langid])
    return identifier


def language_probabilities(text: str) -> dict[str, float]:
    """Probability of each registry language, most likely first; equal for a text without letters."""
    by_label = dict(_identifier().rank(text))
    # Norwegian has two labels: the likelier one counts, so that no language is ahead before the text is seen.
    best = {code: max(by_label[x] for x in language.langid) for code, language in LANGUAGES.items()}
    total = sum(best.values())
    return {code: float(x / total) for code, x in sorted(best.items(), key=lambda x: -x[1])}


def is_in_language(text: str, language: str) -> bool | None:
    """Whether a text is in a language; None where that can't be told.

    True if the language is the most likely one and at least as likely as not, False if it is at most a fifth as
    likely as another one, None otherwise or below 20 letters.
    """
    if sum(x.isalpha() for x in text) < _MIN_LETTERS:
        return None
    probabilities = language_probabilities(text)
    best = max(probabilities.values())
    own = probabilities[language]
    if own == best and own >= _CLEAR:
        return True
    return False if own <= _CLEARLY_LESS * best else None
