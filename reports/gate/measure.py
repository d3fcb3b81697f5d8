"""The rows of a gate before their verdict: paired comparisons, answers in another language, money."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..items.measures import OFF_TARGET
from ..items.scopes import WHOLE, scopes
from ..records.comparison import Comparison
from ..records.rules import Rules
from ..records.run_data import RunData
from ..tables.comparisons import raw_comparisons
from .pair import GatePair
from .policy import ResolvedPolicy
from .verdict import Measured


def measure(run: RunData, pair: GatePair, policy: ResolvedPolicy) -> tuple[list[Measured], list[str]]:
    """Every gated row, and notes of what is not gated. ``run`` is the candidate's.

    What the policy gates and can't be compared is a row with a ``hole``; only planned gaps are left out.
    """
    rows = [*_scores(pair, policy), *_off_target(pair, policy), *_cost(run, pair, policy)]
    gated = {x.comparison.suite for x in rows}
    planned = {x: y for x, y in pair.planned_gaps.items() if x[0] in policy.suites}
    rows += [
        Measured(
            "scores",
            Comparison(pair.candidate, pair.reference, suite, "", "", WHOLE),
            math.nan,
            "none of it was scored or judged; judge it, or leave it out",
        )
        for suite in policy.suites
        if suite not in gated and any((suite, x) not in planned for x in pair.data.languages)
    ]
    notes = [f"{suite} in {language} is not gated: {reason}" for (suite, language), reason in planned.items()]
    return rows, [*notes, *pair.notes]


def _scores(pair: GatePair, policy: ResolvedPolicy) -> Iterator[Measured]:
    found = {}
    by_margins: dict[tuple[float, ...], list[str]] = {}
    for row in policy.rows:
        by_margins.setdefault(tuple(policy.margins[x, row] for x in policy.suites), []).append(row)
    for margins, rows in by_margins.items():
        of_suite = dict(zip(policy.suites, margins, strict=True))
        for x in _rows(pair.data, pair, policy, of_suite):
            y = x.comparison
            if y.language in rows:
                found[y.suite, y.metric, y.language] = x
    compared = dict.fromkeys((suite, metric) for suite, metric, _ in found)
    return (found[*x, row] for x in compared for row in policy.rows if (*x, row) in found)


def _off_target(pair: GatePair, policy: ResolvedPolicy) -> Iterator[Measured]:
    if (bound := policy.max_off_target) is not None:
        for x in _rows(pair.off_target, pair, policy, {}):
            if x.comparison.language in policy.rows:
                comparison = replace(x.comparison, metric=OFF_TARGET, p_noninferior=math.nan)
                yield Measured("off_target", comparison, bound, x.hole)


def _rows(data: RunData, pair: GatePair, policy: ResolvedPolicy, margins: Mapping[str, float]) -> Iterator[Measured]:
    """A row per suite, metric and scope; those that lack nothing but planned gaps are left out."""
    rules = Rules(policy.alpha, policy.correction, margins=margins, n_resamples=policy.n_resamples, seed=policy.seed)
    chosen = data.of_suites(policy.suites)
    rows = raw_comparisons(chosen, rules, [(pair.candidate, pair.reference)])
    lacking = {(x.suite, x.metric, x.language): x.signature for x in rows if _is_lacking(x)}
    members = {x.name: x.languages for x in scopes(data.languages)}
    for x in rows:
        of_row = members[x.language]
        absent = {y: lacking[x.suite, x.metric, y] for y in of_row if (x.suite, x.metric, y) in lacking}
        holes = [f"{y}: {reason}" for y, reason in absent.items() if (x.suite, y) not in pair.planned_gaps]
        if holes or len(absent) < len(of_row):
            yield Measured("scores", x, x.margin, "; ".join(holes) or None)


def _is_lacking(x: Comparison) -> bool:
    """Whether a language was not compared: then the signature's place holds the reason."""
    return x.scope == "language" and not x.n + x.unscored_candidate + x.unscored_reference


def _cost(run: RunData, pair: GatePair, policy: ResolvedPolicy) -> Iterator[Measured]:
    if policy.max_cost is not None:
        prices = [x["price"] for x in run.ledger]
        money = sum(x for x in prices if x is not None)
        n_unpriced = prices.count(None)
        hole = f"{n_unpriced} calls have no price" if n_unpriced and money <= policy.max_cost else None
        comparison = Comparison(pair.candidate, pair.reference, "", "", "", "", mean_candidate=float(money))
        yield Measured("cost", comparison, policy.max_cost, hole)
