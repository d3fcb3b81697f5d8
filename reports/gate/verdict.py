"""From measured rows to GO, NO-GO or INCONCLUSIVE. Pure: tables in, frozen results out. The rule is in docs/gate.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..items.item_values import SCORE
from ..records.comparison import Comparison
from ..records.rules import CORRECTIONS
from .policy import ResolvedPolicy

Verdict = Literal["GO", "NO-GO", "INCONCLUSIVE"]
Measure = Literal["scores", "off_target", "cost"]
_WORST_FIRST: tuple[Verdict, ...] = ("NO-GO", "INCONCLUSIVE", "GO")


@dataclass(frozen=True)
class Measured:
    """One row before its verdict: what was compared, and its ``bound``.

    ``scores``: more is better, ``bound`` is the margin. ``off_target``: shares of answers in another language, less is
    better, ``bound`` the largest that is accepted. ``cost``: money, as the candidate's mean. ``hole`` says why the row
    can't stand for what it should: cells that were not finished.
    """

    measure: Measure
    comparison: Comparison
    bound: float
    hole: str | None = None


@dataclass(frozen=True)
class GatedRow:
    """A measured row, its p-values adjusted over all rows of the gate, with its verdict, and why."""

    measured: Measured
    verdict: Verdict
    reason: str

    @property
    def comparison(self) -> Comparison:
        return self.measured.comparison

    @property
    def name(self) -> str:
        """What the row is about: ``SUITE LANGUAGE``, with the metric unless it is the suite's score."""
        x = self.comparison
        if self.measured.measure == "cost":
            return "cost"
        return f"{x.suite} {x.language}" + (f" {x.metric}" if x.metric not in ("", SCORE) else "")

    @property
    def detail(self) -> str:
        """The reason with the numbers it is about."""
        x = self.comparison
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
    correct = CORRECTIONS[policy.correction]
    worse = correct([x.comparison.p_value for x in measured]).tolist()
    within = correct([x.comparison.p_noninferior for x in measured]).tolist()
    rows = tuple(
        _row(replace(x, comparison=replace(x.comparison, p_adjusted=p, p_noninferior_adjusted=q)), policy)
        for x, p, q in zip(measured, worse, within, strict=True)
    )
    found: list[Verdict] = [x for x in _WORST_FIRST if any(row.verdict == x for row in rows)]
    return GateResult(candidate, reference, found[0] if found else "INCONCLUSIVE", rows, tuple(notes), policy)


def _row(measured: Measured, policy: ResolvedPolicy) -> GatedRow:
    if reason := _unfit(measured, policy):
        return GatedRow(measured, "INCONCLUSIVE", reason)
    rule = {"scores": _scores, "off_target": _off_target, "cost": _cost}[measured.measure]
    return GatedRow(measured, *rule(measured.comparison, measured.bound, policy))


def _unfit(measured: Measured, policy: ResolvedPolicy) -> str | None:
    """Why a row can't be judged, whatever its numbers say."""
    x = measured.comparison
    if measured.hole:
        return measured.hole
    if measured.measure == "cost":
        return None
    if x.n < policy.min_items:
        return f"{x.n} items, {policy.min_items} are asked for"
    if measured.measure == "off_target":
        return None
    planned = x.n + max(x.unscored_candidate, x.unscored_reference)
    for side, unscored in (("candidate", x.unscored_candidate), ("reference", x.unscored_reference)):
        if unscored > policy.max_unscored * planned:
            return f"{unscored} of {planned} items are unscored for the {side}, {policy.max_unscored:.1%} may be"
    return None


def _scores(x: Comparison, bound: float, policy: ResolvedPolicy) -> tuple[Verdict, str]:
    differs, is_within = x.p_adjusted < policy.alpha, x.p_noninferior_adjusted < policy.alpha
    if differs and x.difference > 0:
        return "GO", f"better, {_p(x.p_adjusted)}"
    if differs and x.difference < 0 and not (is_within and policy.require == "non-inferior"):
        return "NO-GO", f"worse, {_p(x.p_adjusted)}"
    if is_within:
        return "GO", f"not worse by {bound:g} or more, {_p(x.p_noninferior_adjusted)}"
    return "INCONCLUSIVE", f"a loss of {bound:g} is not ruled out, {_p(x.p_noninferior_adjusted)}"


def _off_target(x: Comparison, bound: float, policy: ResolvedPolicy) -> tuple[Verdict, str]:
    shares = f"{x.mean_candidate:.1%} of the answers are in another language, {bound:.1%} may be"
    if x.mean_candidate <= bound:
        return "GO", shares
    if x.difference > 0 and x.p_adjusted < policy.alpha:
        return "NO-GO", f"{shares}; more than the reference's {x.mean_reference:.1%}, {_p(x.p_adjusted)}"
    return "INCONCLUSIVE", f"{shares}; not shown to be more than the reference's {x.mean_reference:.1%}"


def _cost(x: Comparison, bound: float, policy: ResolvedPolicy) -> tuple[Verdict, str]:
    return ("GO" if x.mean_candidate <= bound else "NO-GO"), f"{x.mean_candidate:.4f} spent, {bound:.4f} may be"


def _p(p: float) -> str:
    if math.isnan(p):
        return "no test"
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
