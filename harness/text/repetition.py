"""How often does a text repeat itself?"""

from __future__ import annotations

import re

_GRAM = 4


def repetition(text: str) -> float:
    """Share of the text's word 4-grams that stood in it before; 0 for a text of fewer than four words.

    Upper and lower case are told apart: fold the text first where they shouldn't be.
    """
    words = re.findall(r"\w+", text)
    grams = list(zip(*(words[i:] for i in range(_GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
