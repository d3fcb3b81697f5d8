"""Two systems on the same items: the table of paired comparisons and their verdicts.

The columns, their order and their meaning are documented in docs/files.md; docs/statistics.md says what is tested how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from ...harness.errors import UserError
from ...harness.registry import did_you_mean
from ..items.item_values import SCORE, Panel, Sides, panels
from ..items.scopes import Scope, joint_signature, scopes
from ..records.run_data import Frame, RunData
from ..stats.multiplicity import benjamini_hochberg, holm
from .paired_tests import PairedResult, Settings, paired_results

COMPARISON_COLUMNS = (
    *("candidate", "reference", "suite", "metric", "scope", "language"),
    *("n", "unscored_candidate", "unscored_reference", "mean_candidate", "mean_reference", "difference"),
    *("ci_low", "ci_high", "effect_size", "p_value", "p_adjusted", "p_noninferior", "p_noninferior_adjusted"),
    *("margin", "mde", "verdict", "method", "signature"),
)

IMPROVED, MATCHED, FORGOT, INCONCLUSIVE = "improved", "matched", "forgot", "inconclusive"

Correction = Literal["holm", "bh"]
_CORRECTIONS = {"holm": holm, "bh": benjamini_hochberg}


@dataclass(frozen=True)
class ComparisonRules:
    """How systems are compared. ``margins`` replaces ``margin`` by suite; margins are in the metric's units.

    Raises UserError for a value that is no level, margin or number of resamples.
    """

    alpha: float = 0.05
    correction: Correction = "holm"
    margin: float = 0.02
    margins: Mapping[str, float] = field(default_factory=dict)
    level: float = 0.95
    n_resamples: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise UserError(f"alpha must lie between 0 and 0.5, not {self.alpha}.")
        if not 0 < self.level < 1:
            raise UserError(f"the level of intervals must lie between 0 and 1, not {self.level}.")
        if self.correction not in _CORRECTIONS:
            raise UserError(f"unknown correction {self.correction!r}{did_you_mean(self.correction, _CORRECTIONS)}")
        for name, value in {"margin": self.margin, **{f"margin of {k}": v for k, v in self.margins.items()}}.items():
            if not 0 < value < float("inf"):
                raise UserError(f"{name} must be a positive number, the loss that still counts as none, not {value}.")
        if self.n_resamples < 100:
            raise UserError(f"n_resamples must be at least 100, not {self.n_resamples}.")

    def margin_of(self, suite: str) -> float:
        return self.margins.get(suite, self.margin)


def comparison_table(data: RunData, rules: ComparisonRules, pairs: Sequence[tuple[str, str]] | None = None) -> Frame:
    """One row per comparison (``COMPARISON_COLUMNS``): pair x suite x metric x (language, group, all).

    ``pairs``: (candidate, reference); without it every system against the run's reference. A pair has two families
    of tests, each corrected for itself: its languages, over all suites and judges; and its groups with ``all``.
    Non-inferiority tests are corrected apart from tests of a difference. A row that can't be compared has no numbers
    and the reason as its ``signature``. Raises UserError for an unknown system and a margin that is no share where
    values are shares, StoreError for records that contradict each other.
    """
    table = raw_comparisons(data, rules, check_pairs(data, pairs))
    pooled = table["scope"].ne("language")
    return judged(table, [table["candidate"], table["reference"], pooled], rules)


def check_pairs(data: RunData, pairs: Sequence[tuple[str, str]] | None) -> list[tuple[str, str]]:
    """The pairs, each once; by default every system against the run's reference."""
    reference = data.manifest["reference"]
    wanted = [(x, reference) for x in data.systems if x != reference] if pairs is None else list(dict.fromkeys(pairs))
    for pair in wanted:
        for name in pair:
            if name not in data.systems:
                known = ", ".join(data.systems)
                raise UserError(f"the run has no system {name!r} ({known}){did_you_mean(name, data.systems)}")
        if pair[0] == pair[1]:
            raise UserError(f"{pair[0]!r} can't be compared with itself; name two systems.")
    return wanted


def raw_comparisons(data: RunData, rules: ComparisonRules, pairs: Sequence[tuple[str, str]]) -> Frame:
    """The rows without adjusted p-values and verdicts: the numbers of each depend on its pair alone."""
    places = scopes(data.languages)
    found = [
        (panel, [paired_rows(panel, x, pairs, rules, rules.margin_of(panel.suite)) for x in places])
        for panel in panels(data)
    ]
    rows = [rows[i] for i in range(len(pairs)) for _, of_panel in found for rows in of_panel]
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def paired_rows(
    panel: Panel, scope: Scope, pairs: Sequence[tuple[str, str]], rules: ComparisonRules, margin: float | None
) -> list[dict[str, Any]]:
    """One row for each pair, without adjusted p-values and verdict; without a margin there is no non-inferiority."""
    settings = Settings(rules.alpha, margin, rules.level, rules.n_resamples, rules.seed)
    sides = [panel.sides(*pair, scope.languages) for pair in pairs]
    try:
        results = paired_results(sides, scope.kind != "language", settings)
    except ValueError as error:
        raise UserError(f"suite {panel.suite}, {panel.metric}: {error}.") from error
    return [
        {
            **vars(result),
            "candidate": candidate,
            "reference": reference,
            "suite": panel.suite,
            "metric": panel.metric,
            "scope": scope.kind,
            "language": scope.name,
            "margin": margin,
            "method": f"{result.method}{_partly(result, side, scope)}",
            "signature": provenance(side, scope),
        }
        for (candidate, reference), side, result in zip(pairs, sides, results, strict=True)
    ]


def _partly(result: PairedResult, side: Sides, scope: Scope) -> str:
    """For pooled rows that lack languages: how many there are."""
    used = len(scope.languages) - len(side.conflicts)
    return f" ({used} of {len(scope.languages)} languages)" if result.n and side.conflicts else ""


def provenance(side: Sides, scope: Scope) -> str:
    """The signature in the scope's languages; or, where none of them can be compared, why."""
    used = [y for x, y in side.signatures.items() if x in scope.languages]
    if used:
        return joint_signature(used)
    return "; ".join(dict.fromkeys(side.conflicts[x] for x in scope.languages if x in side.conflicts))


def judged(table: Frame, family: Sequence[Any], rules: ComparisonRules) -> Frame:
    """The table with adjusted p-values and verdicts; ``family`` are columns whose rows are corrected together."""
    table = table.assign(
        p_adjusted=adjusted(table["p_value"], family, rules),
        p_noninferior_adjusted=adjusted(table["p_noninferior"], family, rules),
    )
    columns = (table["difference"], table["p_adjusted"], table["p_noninferior_adjusted"])
    table["verdict"] = [verdict(d, p, q, rules.alpha) for d, p, q in zip(*columns, strict=True)]
    return table


def adjusted(p_values: Any, family: Sequence[Any], rules: ComparisonRules) -> Any:
    """P-values corrected within each family; NaN, where no test was possible, is not counted."""
    return p_values.astype(float).groupby(family, sort=False).transform(_CORRECTIONS[rules.correction])


def verdict(difference: float, p_adjusted: float, p_noninferior_adjusted: float, alpha: float) -> str:
    """``improved`` or ``forgot`` if the difference is significant, else ``matched`` if the candidate is shown to be not
    worse by as much as the margin, else ``inconclusive``.

    A significant loss is ``forgot`` even where it is shown to be smaller than the margin; the table has both p-values.
    """
    if p_adjusted < alpha and difference != 0:
        return IMPROVED if difference > 0 else FORGOT
    return MATCHED if p_noninferior_adjusted < alpha else INCONCLUSIVE


def headline(table: Frame, candidate: str) -> str:
    """What the table says of a candidate's languages: a sentence for each reference, suite and metric, one a line."""
    rows = table[table["candidate"].eq(candidate) & table["scope"].eq("language")]
    parts = rows.groupby(["reference", "suite", "metric"], sort=False)
    return "\n".join(
        f"{candidate} in {suite}{'' if metric == SCORE else f', {metric}'}: {_sentence(part, reference)}"
        for (reference, suite, metric), part in parts
    )


def headlines(table: Frame) -> list[str]:
    """The sentences of every candidate, in the table's order."""
    parts = table.groupby("candidate", sort=False)
    return [line for name, part in parts for line in headline(part, str(name)).splitlines()]


def _sentence(part: Frame, reference: str) -> str:
    compared = part[part["n"] > 0]
    if compared.empty:
        return f"not compared with {reference} in any language."
    count = compared["verdict"].value_counts()
    improved, matched, forgot, open_ = (int(count.get(x, 0)) for x in (IMPROVED, MATCHED, FORGOT, INCONCLUSIVE))
    lacking = len(part) - len(compared)
    return (
        f"at or above {reference} in {improved + matched} of {len(compared)} languages: {improved} improved, "
        f"{matched} non-inferior at {_points(float(part['margin'].iloc[0]))}; {forgot} forgot; {open_} inconclusive"
        f"{f'; {lacking} not compared' if lacking else ''}."
    )


def _points(margin: float) -> str:
    if margin >= 1:
        return f"a margin of {margin:g}"
    points = round(100 * margin, 6)
    return f"{points:g} point{'' if points == 1 else 's'}"
