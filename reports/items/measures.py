"""What the open-ended answers look like, item by item, whatever they say: length, repetition, language, cut off or not.

Item values per suite and measure, so that two systems are compared on them as on any others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from ...harness.text.answers import Answer
from ..records.run_data import Frame, RunData
from ..stats.inputs import Kind
from .item_values import ItemValues, values_of

OFF_TARGET = "off_target"
MEASURES: dict[str, Kind] = {
    "length": "continuous",
    "repetition": "bounded",
    "cut_off": "binary",
    OFF_TARGET: "binary",
}
"""``length``: characters. ``repetition``: share of word 4-grams that stood in the answer before. ``cut_off``: the
answer ended at the token limit. ``off_target``: it is in another language than its cell's; unscored where that can't be
told."""


def measured_answers(data: RunData) -> Iterator[ItemValues]:
    """Item values of each open suite and measure. Raises StoreError for damaged records."""
    for suite in data.open_suites:
        cells = [x for x in data.answers if x[1] == suite]
        for measure in MEASURES:
            tables = [measured(data, x, measure).assign(system=x[0], language=x[2]) for x in cells]
            if sum(map(len, tables)):
                yield values_of(data, pd.concat(tables, ignore_index=True), suite, measure, "value")


def measured(data: RunData, cell: tuple[str, str, str], measure: str) -> Frame:
    """A measure of each item of a whole cell: task, item_id, source_id, kind, value, unscored, signature."""
    table = data.answers[cell]
    measure_of = _MEASURE_OF[measure]
    found = [None if x is None else measure_of(x, cell[2]) for x in table["answer"]]
    value = pd.Series(found, index=table.index, dtype=float)
    signature = data.whole_cells[cell]["signature"]
    reason = "language can't be told" if measure == OFF_TARGET else "no answer"
    return table[["task", "item_id", "source_id"]].assign(
        kind=MEASURES[measure],
        value=value,
        unscored=value.isna().map({True: reason, False: None}),
        signature=pd.Categorical.from_codes([0] * len(table), [signature]),
    )


def is_off_target(answer: Answer, language: str) -> float | None:
    """1 for an answer in another language, 0 for one in its own, None where that can't be told."""
    known = answer.is_in(language)
    return None if known is None else float(not known)


_MEASURE_OF: dict[str, Callable[[Answer, str], float | None]] = {
    "length": lambda answer, _: float(answer.length),
    "repetition": lambda answer, _: answer.repetition,
    "cut_off": lambda answer, _: float(answer.cut_off),
    OFF_TARGET: is_off_target,
}
