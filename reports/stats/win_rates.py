"""How often is the candidate preferred? Win rates with interval, test against one half, and counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .bootstrap import bootstrap_intervals
from .clusters import Grouping
from .inputs import Labels, Values, check_level, check_resamples, float_values
from .permutation import sign_flip_permutation_many
from .results import Estimate, Test


@dataclass(frozen=True)
class WinRate:
    """Mean preference with its interval, its test against one half, and how many items were won, tied and lost.

    ``test.effect`` is the distance from one half. An item with any preference above one half is won.
    """

    estimate: Estimate
    test: Test
    wins: int
    ties: int
    losses: int


def win_rate(
    preferences: Values,
    clusters: Labels | None = None,
    strata: Labels | None = None,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> WinRate:
    """Mean preference for the candidate, a tie being 0.5.

    ``preferences``: one value in [0, 1] per item, after both orders are joined; None and NaN are unscored.
    ``clusters``, ``strata``, ``n_resamples``, ``level`` and ``seed`` as for ``paired_bootstrap``, which gives the
    interval (so ``se`` is the cluster-robust standard error: without clusters pandas' ``sem``). The test is
    ``sign_flip_permutation`` of preferences - 0.5; its own interval is replaced by the estimate's, less 0.5.

    All ties: 0.5 with p = 1. No items: NaN. One cluster: NaN ends, p = 1. Preferences that all agree get an interval
    that allows for unlike ones unseen so far. Raises ValueError for values outside [0, 1] and label counts that differ.
    """
    check_level(level)
    check_resamples(n_resamples)
    lead = float_values(preferences, "preferences", "bounded") - 0.5
    group = Grouping.of(len(lead), clusters, strata).sums(lead)
    unscored = int(np.isnan(lead).sum())
    found = bootstrap_intervals([group], [unscored], n_resamples, level, seed, (-0.5, 0.5))[0]
    test = sign_flip_permutation_many(lead[None, :], clusters, n_resamples, seed, level)[0]
    return WinRate(
        replace(found, value=found.value + 0.5, ci_low=found.ci_low + 0.5, ci_high=found.ci_high + 0.5),
        replace(test, ci_low=found.ci_low, ci_high=found.ci_high),
        int((lead > 0).sum()),
        int((lead == 0).sum()),
        int((lead < 0).sum()),
    )
