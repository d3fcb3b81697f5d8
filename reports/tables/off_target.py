"""``off_target.csv``: how often a system answers in another language than the one it was asked in.

From the stored answers alone. How far language identification can be trusted is measured in docs/langid.md; answers
whose language can't be told are unscored, never off target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pandas as pd

from ...harness.store.run_directory import CellFolder, RunDirectory
from ...harness.text.answers import strip_reasoning
from ...harness.text.langid import OTHER, identify
from ...harness.text.languages import LANGUAGES
from ..items.measures import read_columns
from ..records.run_data import Frame
from ..stats import mean_interval

COLUMNS = (
    *("system", "suite", "language"),
    *("n", "off_target", "uncertain", "rate", "ci_low", "ci_high", "wrong_language"),
)
FILE = "off_target.csv"
_ORDER = {x: i for i, x in enumerate((*LANGUAGES, OTHER))}


def off_target_table(folder: Path) -> Frame:
    """One row per system, open suite and language whose cell is whole, in the order of the config.

    ``n``: answers whose language can be told; ``off_target``: those of them in another language; ``uncertain``: answers
    whose language can't be told, empty ones too. ``rate``: off_target / n with Wilson's 95% interval (``ci_low``,
    ``ci_high``); NaN where n is 0. ``wrong_language``: the most frequent language of the off-target answers, ``other``
    for one outside the registry, None if there are none; of equals the first in the registry's order.

    Reasoning before an answer (``<think>...</think>``) may be in any language and is left out. An answer is expected in
    its cell's language, whatever its prompt asks for. Raises StoreError for a folder that is no run or is damaged.
    """
    run = RunDirectory.open(folder)
    manifest = run.manifest()
    suites = [x for x, about in manifest["suites"].items() if about["kind"] == "open"]
    rows = [
        (system, suite, language, *_counts(_answers(cell), language))
        for system, suite, language in product(manifest["systems"], suites, manifest["languages"])
        if (cell := run.cell(system, suite, language)).is_sealed
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _answers(cell: CellFolder) -> list[str]:
    return [strip_reasoning(x) for x in read_columns(cell, "generations", ["text"])["text"].dropna()]


def _counts(answers: Sequence[str], language: str) -> tuple:
    found = [identify(x) for x in answers]
    in_language = [x.is_in(language) for x in found]
    rate = mean_interval([None if x is None else float(not x) for x in in_language], kind="binary")
    wrong = Counter(x.language for x, right in zip(found, in_language, strict=True) if right is False)
    commonest = min(wrong, key=lambda x: (-wrong[x], _ORDER[x]), default=None)
    return rate.n, wrong.total(), rate.n_unscored, rate.value, rate.ci_low, rate.ci_high, commonest
