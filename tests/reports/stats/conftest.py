"""What simulations are judged by: limits that a correct method passes, but for one seed in a thousand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

Check = Callable[..., None]


@pytest.fixture
def at_most() -> Check:
    """Asserts that events happened at a rate of at most ``rate``."""

    def check(happened: np.ndarray | list[bool], rate: float) -> None:
        happened = np.asarray(happened)
        assert happened.sum() <= stats.binom.ppf(0.999, len(happened), rate), (happened.mean(), rate)

    return check


@pytest.fixture
def at_least() -> Check:
    """Asserts that events happened at a rate of at least ``rate``."""

    def check(happened: np.ndarray | list[bool], rate: float) -> None:
        happened = np.asarray(happened)
        assert happened.sum() >= stats.binom.ppf(0.001, len(happened), rate), (happened.mean(), rate)

    return check
