"""Claims about arms, judged seed by seed: what a verdict of one seed says, and what all seeds together say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from ..records.comparison import FORGOT, IMPROVED, MATCHED
from ..records.run_data import Frame

_NORMAL_95 = 1.959964


class Answer(StrEnum):
    """Whether something is so."""

    HOLDS = "holds"
    FAILS = "doesn't hold"
    OPEN = "can't be told"


@dataclass(frozen=True)
class Spread:
    """A difference over the seeds of an arm: ``mean``; ``seed_sd``, its standard deviation between seeds (NaN for one);
    ``item_se``, the standard error over items, in the mean over seeds, from the 95% intervals."""

    mean: float
    seed_sd: float
    item_se: float


@dataclass(frozen=True)
class Claim:
    """Something said of two systems in one suite. ``rows``: its comparisons, one per seed; ``answers``: one each."""

    text: str
    rows: Frame
    answers: tuple[Answer, ...]

    @property
    def answer(self) -> Answer:
        """What all seeds say; if they don't say the same, or there are none, it can't be told."""
        return agreed(self.answers)

    @property
    def spread(self) -> Spread:
        """The difference over the seeds."""
        return spread_of(self.rows)


def spread_of(rows: Frame) -> Spread:
    """Of comparisons of the same arm, one per seed."""
    found = rows["difference"].to_numpy(dtype=float)
    if not len(found):
        return Spread(np.nan, np.nan, np.nan)
    width = (rows["ci_high"] - rows["ci_low"]).to_numpy(dtype=float)
    sd = float(np.std(found, ddof=1)) if len(found) > 1 else np.nan
    return Spread(float(np.mean(found)), sd, float(np.mean(width)) / (2 * _NORMAL_95))


def better(text: str, rows: Frame, alpha: float) -> Claim:
    """The first system is better: significant at ``alpha``. It is not if it is significantly worse, or if the interval
    leaves out a gain as large as the margin."""

    def judge(row: Any) -> Answer:
        if row.p_adjusted < alpha and row.difference > 0:
            return Answer.HOLDS
        return Answer.FAILS if row.verdict == FORGOT or row.ci_high < row.margin else Answer.OPEN

    return _claim(text, rows, judge)


def not_worse(text: str, rows: Frame) -> Claim:
    """The first system is not worse by as much as the margin. It is worse if a loss is significant."""

    def judge(row: Any) -> Answer:
        if row.verdict in (IMPROVED, MATCHED):
            return Answer.HOLDS
        return Answer.FAILS if row.verdict == FORGOT else Answer.OPEN

    return _claim(text, rows, judge)


def no_better(text: str, rows: Frame) -> Claim:
    """The first system is not better by as much as the margin, by its interval. It is better if a gain is significant,
    however small."""

    def judge(row: Any) -> Answer:
        if row.verdict == IMPROVED:
            return Answer.FAILS
        return Answer.HOLDS if row.ci_high < row.margin else Answer.OPEN

    return _claim(text, rows, judge)


def agreed(answers: Iterable[Answer]) -> Answer:
    """The one answer that all give, else OPEN."""
    found = set(answers)
    return found.pop() if len(found) == 1 else Answer.OPEN


def all_of(answers: Iterable[Answer]) -> Answer:
    """HOLDS if all hold, FAILS if one fails."""
    found = set(answers)
    return Answer.FAILS if Answer.FAILS in found else agreed(found)


def any_of(answers: Iterable[Answer]) -> Answer:
    """HOLDS if one holds, FAILS if all fail."""
    found = set(answers)
    return Answer.HOLDS if Answer.HOLDS in found else agreed(found)


def _claim(text: str, rows: Frame, judge: Callable[[Any], Answer]) -> Claim:
    """A row without numbers can't be told."""
    answers = [judge(x) if x.n > 0 else Answer.OPEN for x in rows.itertuples()]
    return Claim(text, rows, tuple(answers))
