"""``off_target.csv``: how often a system answers in another language than the one it was asked in.

From the stored answers alone. How far language identification can be trusted is measured in docs/langid.md; answers
whose language can't be told are unscored, never off target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from ...harness.text.answers import Answer
from ...harness.text.langid import OTHER
from ...harness.text.languages import LANGUAGES
from ..items.measures import is_off_target
from ..records.run_data import Frame, RunData
from ..stats import mean_interval

COLUMNS = (
    *("system", "suite", "language"),
    *("n", "off_target", "uncertain", "rate", "ci_low", "ci_high", "wrong_language"),
)
FILE = "off_target.csv"
_ORDER = {x: i for i, x in enumerate((*LANGUAGES, OTHER))}


def off_target_table(data: RunData) -> Frame:
    """One row per system, open suite and language whose cell is whole, in the order of the config.

    ``n``: answers whose language can be told; ``off_target``: those of them in another language; ``uncertain``: answers
    whose language can't be told, empty ones too. ``rate``: off_target / n with Wilson's 95% interval (``ci_low``,
    ``ci_high``); NaN where n is 0. ``wrong_language``: the most frequent language of the off-target answers, ``other``
    for one outside the registry, None if there are none; of equals the first in the registry's order.

    Reasoning before an answer (``<think>...</think>``) may be in any language and is left out. An answer is expected in
    its cell's language, whatever its prompt asks for. Raises StoreError for damaged records.
    """
    rows = [(*cell, *_counts(table["answer"].dropna(), cell[2])) for cell, table in data.answers.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _counts(answers: Sequence[Answer], language: str) -> tuple:
    values = [is_off_target(x, language) for x in answers]
    rate = mean_interval(values, kind="binary")
    wrong = Counter(x.language for x, value in zip(answers, values, strict=True) if value)
    commonest = min(wrong, key=lambda x: (-wrong[x], _ORDER[x]), default=None)
    return rate.n, wrong.total(), rate.n_unscored, rate.value, rate.ci_low, rate.ci_high, commonest
