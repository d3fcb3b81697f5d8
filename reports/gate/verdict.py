"""From measured rows to GO, NO-GO or INCONCLUSIVE. Pure: tables in, frozen results out. The rule is in docs/gate.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..items.item_values import SCORE
from ..stats.inputs import Array
from ..stats.multiplicity import benjamini_hochberg, holm
from .policy import ResolvedPolicy

Verdict = Literal["GO", "NO-GO", "INCONCLUSIVE"]
Measure = Literal["scores", "off_target", "cost"]
_WORST_FIRST: tuple[Verdict, ...] = ("NO-GO", "INCONCLUSIVE", "GO")


@dataclass(frozen=True)
class Measured:
    """One row before its verdict: what was measured on both sides, and the raw p-values.

    ``scores``: ``difference`` is candidate less reference, more is better, ``bound`` the margin. ``off_target``: shares
    of answers in another language, less is better, ``bound`` the largest that is accepted. ``cost``: money. ``hole``
    says why the row can't stand for what it should: cells that were not finished. NaN where there is no number.
    """

    measure: Measure
    suite: str
    metric: str
    language: str
    bound: float
    n: int = 0
    unscored_candidate: int = 0
    unscored_reference: int = 0
    candidate: float = math.nan
    reference: float = math.nan
    difference: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    p_value: float = math.nan
    p_noninferior: float = math.nan
    mde: float = math.nan
    method: str = "none"
    hole: str | None = None


@dataclass(frozen=True)
class GatedRow:
    """A measured row with p-values adjusted over all rows of the gate, its verdict, and why."""

    measured: Measured
    p_adjusted: float
    p_noninferior_adjusted: float
    verdict: Verdict
    reason: str

    @property
    def name(self) -> str:
        """What the row is about: ``SUITE LANGUAGE``, with the metric unless it is the suite's score."""
        x = self.measured
        if x.measure == "cost":
            return "cost"
        return f"{x.suite} {x.language}" + (f" {x.metric}" if x.metric not in ("", SCORE) else "")

    @property
    def detail(self) -> str:
        """The reason with the numbers it is about."""
        x = self.measured
        if math.isnan(x.difference):
            return self.reason
        interval = "" if math.isnan(x.ci_low) else f" [{x.ci_low:+.4f}, {x.ci_high:+.4f}]"
        return f"{self.reason} (difference {x.difference:+.4f}{interval}, {x.n} items)"


@dataclass(frozen=True)
class GateResult:
    """The whole: the worst verdict of any row. ``notes`` say what is not gated, and why."""

    candidate: str
    reference: str
    verdict: Verdict
    rows: tuple[GatedRow, ...]
    notes: tuple[str, ...]
    policy: ResolvedPolicy

    @property
    def counts(self) -> Mapping[Verdict, int]:
        return {x: sum(row.verdict == x for row in self.rows) for x in _WORST_FIRST}

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        if not self.rows:
            return f"{self.verdict}: nothing of {self.candidate} could be compared with {self.reference}."
        counted = ", ".join(f"{n} {x}" for x, n in self.counts.items() if n)
        return f"{self.verdict}: {self.candidate} against {self.reference}, {len(self.rows)} rows: {counted}."


def decide(
    candidate: str, reference: str, measured: Sequence[Measured], policy: ResolvedPolicy, notes: Sequence[str] = ()
) -> GateResult:
    """The verdict over all measured rows.

    NO-GO if any row is, else INCONCLUSIVE if any row is or there is none, else GO. All rows together are one family of
    tests for "worse" and one for "not worse by the margin", rows with too few items included. So if the candidate is as
    good as the reference everywhere, the gate says NO-GO with probability alpha at most (Holm; any dependence).
    """
    correct = holm if policy.correction == "holm" else benjamini_hochberg
    worse = correct([x.p_value for x in measured])
    within = correct([x.p_noninferior for x in measured])
    rows = tuple(_rows(measured, worse, within, policy))
    found: list[Verdict] = [x for x in _WORST_FIRST if any(row.verdict == x for row in rows)]
    return GateResult(candidate, reference, found[0] if found else "INCONCLUSIVE", rows, tuple(notes), policy)


def _rows(measured: Sequence[Measured], worse: Array, within: Array, policy: ResolvedPolicy) -> list[GatedRow]:
    rows = []
    for x, p_worse, p_within in zip(measured, worse.tolist(), within.tolist(), strict=True):
        if reason := _unfit(x, policy):
            verdict: Verdict = "INCONCLUSIVE"
        else:
            rule = {"scores": _scores, "off_target": _off_target, "cost": _cost}[x.measure]
            verdict, reason = rule(x, p_worse, p_within, policy)
        rows.append(GatedRow(x, p_worse, p_within, verdict, reason))
    return rows


def _unfit(x: Measured, policy: ResolvedPolicy) -> str | None:
    """Why a row can't be judged, whatever its numbers say."""
    if x.hole:
        return x.hole
    if x.measure == "cost":
        return None
    if x.n < policy.min_items:
        return f"{x.n} items, {policy.min_items} are asked for"
    if x.measure == "off_target":
        return None
    planned = x.n + max(x.unscored_candidate, x.unscored_reference)
    for side, unscored in (("candidate", x.unscored_candidate), ("reference", x.unscored_reference)):
        if unscored > policy.max_unscored * planned:
            return f"{unscored} of {planned} items are unscored for the {side}, {policy.max_unscored:.1%} may be"
    return None


def _scores(x: Measured, p_worse: float, p_within: float, policy: ResolvedPolicy) -> tuple[Verdict, str]:
    differs, is_within = p_worse < policy.alpha, p_within < policy.alpha
    if differs and x.difference > 0:
        return "GO", f"better, {_p(p_worse)}"
    if differs and x.difference < 0 and not (is_within and policy.require == "non-inferior"):
        return "NO-GO", f"worse, {_p(p_worse)}"
    if is_within:
        return "GO", f"not worse by {x.bound:g} or more, {_p(p_within)}"
    return "INCONCLUSIVE", f"a loss of {x.bound:g} is not ruled out, {_p(p_within)}"


def _off_target(x: Measured, p_worse: float, p_within: float, policy: ResolvedPolicy) -> tuple[Verdict, str]:
    shown = f"{x.candidate:.1%} of the answers are in another language, {x.bound:.1%} may be"
    if x.candidate <= x.bound:
        return "GO", shown
    if x.difference > 0 and p_worse < policy.alpha:
        return "NO-GO", f"{shown}; more than the reference's {x.reference:.1%}, {_p(p_worse)}"
    return "INCONCLUSIVE", f"{shown}; not shown to be more than the reference's {x.reference:.1%}"


def _cost(x: Measured, p_worse: float, p_within: float, policy: ResolvedPolicy) -> tuple[Verdict, str]:
    return ("GO" if x.candidate <= x.bound else "NO-GO"), f"{x.candidate:.4f} spent, {x.bound:.4f} may be"


def _p(p: float) -> str:
    if math.isnan(p):
        return "no test"
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
