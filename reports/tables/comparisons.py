"""Two systems on the same items: the table of paired comparisons and their verdicts.

The columns, their order and their meaning are documented in docs/files.md; docs/statistics.md says what is tested how.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np

from ...harness.api.records import Signature
from ...harness.errors import UserError
from ...harness.registry import did_you_mean
from ..items.item_values import SCORE, ItemValues, PairedValues, item_values
from ..items.scopes import Scope, scopes
from ..records.comparison import FORGOT, IMPROVED, INCONCLUSIVE, MATCHED, Comparison
from ..records.rules import CORRECTIONS, Rules, checked
from ..records.run_data import Frame, RunData
from ..stats.inputs import Array
from .paired_tests import paired_comparisons


def compare(
    data: RunData,
    candidate: str | None = None,
    reference: str | None = None,
    *,
    alpha: float | None = None,
    margin: float | None = None,
    correction: str | None = None,
) -> Frame:
    """A candidate, or all, against a reference (the run's own by default), as in ``comparison_table``.

    What isn't named is as in the run's config; ``margin`` counts for every suite. Raises UserError for an unknown
    system and a number that can't be.
    """
    named: dict[str, Any] = {"alpha": alpha, "margin": margin, "correction": correction}
    if margin is not None:
        named["margins"] = {}
    rules = checked(replace(data.settings.rules, **{k: v for k, v in named.items() if v is not None}))
    against = reference or data.manifest["reference"]
    candidates = [candidate] if candidate else [x for x in data.systems if x != against]
    return comparison_table(data, rules, [(x, against) for x in candidates])


def comparison_table(data: RunData, rules: Rules, pairs: Sequence[tuple[str, str]] | None = None) -> Frame:
    """One row per comparison (``COMPARISON_COLUMNS``): pair x suite x metric x (language, group, all).

    ``pairs``: (candidate, reference); without it every system against the run's reference. A pair has two families
    of tests, each corrected for itself: its languages, over all suites and judges; and its groups with ``all``.
    Non-inferiority tests are corrected apart from tests of a difference. A row that can't be compared has no numbers
    and the reason as its ``signature``. Raises UserError for an unknown system and a margin that is no share where
    values are shares, StoreError for records that contradict each other.
    """
    rows = raw_comparisons(data, rules, check_pairs(data, pairs))
    return Comparison.frame(judged(rows, lambda x: (x.pair, x.scope != "language"), rules))


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


def raw_comparisons(data: RunData, rules: Rules, pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
    """The comparisons without adjusted p-values and verdicts: the numbers of each depend on its pair alone."""
    places = scopes(data.languages)
    found = [
        [paired_rows(values, x, pairs, rules, rules.margin_of(values.suite)) for x in places]
        for values in item_values(data)
    ]
    return [rows[i] for i in range(len(pairs)) for of_suite in found for rows in of_suite]


def paired_rows(
    values: ItemValues, scope: Scope, pairs: Sequence[tuple[str, str]], rules: Rules, margin: float | None
) -> list[Comparison]:
    """A comparison of each pair, without adjusted p-values and verdict; without margin there is no non-inferiority."""
    paired = [values.paired(*pair, scope.languages) for pair in pairs]
    named = [
        Comparison(
            *(*pair, values.suite, values.metric, scope.kind, scope.name),
            margin=nan if margin is None else margin,
            signature=provenance(x, scope),
        )
        for pair, x in zip(pairs, paired, strict=True)
    ]
    try:
        found = paired_comparisons(named, paired, rules)
    except ValueError as error:
        raise UserError(f"suite {values.suite}, {values.metric}: {error}.") from error
    return [replace(x, method=f"{x.method}{_partly(x.n, y, scope)}") for x, y in zip(found, paired, strict=True)]


def _partly(n: int, paired: PairedValues, scope: Scope) -> str:
    """For pooled rows that lack languages: how many there are."""
    used = len(scope.languages) - len(paired.conflicts)
    return f" ({used} of {len(scope.languages)} languages)" if n and paired.conflicts else ""


def provenance(paired: PairedValues, scope: Scope) -> Signature | str:
    """The signature in the scope's languages; or, where none of them can be compared, why."""
    used = [y for x, y in paired.signatures.items() if x in scope.languages]
    if used:
        return Signature.joint(used)
    return "; ".join(dict.fromkeys(paired.conflicts[x] for x in scope.languages if x in paired.conflicts))


def judged(rows: Sequence[Comparison], family: Callable[[Comparison], Hashable], rules: Rules) -> list[Comparison]:
    """The comparisons with adjusted p-values and verdicts; those of the same ``family`` are corrected together."""
    families = [family(x) for x in rows]
    differs = adjusted([x.p_value for x in rows], families, rules).tolist()
    no_worse = adjusted([x.p_noninferior for x in rows], families, rules).tolist()
    return [
        replace(x, p_adjusted=p, p_noninferior_adjusted=q, verdict=verdict(x.difference, p, q, rules.alpha))
        for x, p, q in zip(rows, differs, no_worse, strict=True)
    ]


def adjusted(p_values: Iterable[float], families: Iterable[Hashable], rules: Rules) -> Array:
    """P-values corrected within each family; NaN, where no test was possible, is not counted."""
    found = np.array(list(p_values), dtype=float)
    members: dict[Hashable, list[int]] = {}
    for i, family in enumerate(families):
        members.setdefault(family, []).append(i)
    for chosen in members.values():
        found[chosen] = CORRECTIONS[rules.correction](found[chosen])
    return found


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
