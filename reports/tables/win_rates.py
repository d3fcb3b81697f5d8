"""How often is each candidate preferred, and at equal length or style? And who is strongest among several systems?

``win_rates.csv`` and ``ratings.csv``; their columns are documented in docs/files.md. Each length-aware estimator keeps
its own name: they answer different questions and can differ by many points on the same data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from ...harness.api.records import Signature
from ..items.scopes import Scope, scopes
from ..records.rules import Rules
from ..records.run_data import Frame, RunData
from ..stats import (
    Estimate,
    bradley_terry,
    count_style,
    croco_length_adjusted_win_rate,
    elo,
    length_controlled_win_rate,
    style_controlled_win_rate,
    win_rate,
)
from .comparisons import adjusted

ESTIMATORS = ("win_rate", "lc_alpaca_eval", "lc_croco", "bt_style")
"""The plain win rate; AlpacaEval 2's length-controlled one (minimal form: without difficulties and augmentation); the
CroCo script's two-parameter one; Bradley-Terry with arena-hard's style features."""

WIN_RATE_COLUMNS = (
    *("judge", "candidate", "reference", "suite", "scope", "language", "n", "n_unscored", "wins", "ties", "losses"),
    *(f"{name}{end}" for name in ESTIMATORS for end in ("", "_ci_low", "_ci_high")),
    *("p_value", "p_adjusted", "method", "signature"),
)
RATING_COLUMNS = (
    *("judge", "suite", "scope", "language", "system", "n"),
    *(f"{name}{end}" for name in ("bradley_terry", "elo") for end in ("", "_ci_low", "_ci_high")),
    "signature",
)
_STYLE = ("length", "headers", "lists", "bold")


def win_rate_table(data: RunData, rules: Rules) -> Frame:
    """One row per judge, candidate, suite and scope (``WIN_RATE_COLUMNS``).

    ``wins``, ``ties`` and ``losses`` count items, both orders joined. Pooled rows draw translations of one prompt as a
    whole. ``p_value`` tests the plain win rate against one half; it is corrected over a judge's and candidate's
    languages, and apart from those over its pooled rows, as in ``comparisons.csv``.
    """
    rows = [x for part in _judged(data) for x in _win_rate_rows(part, data, rules)]
    table = pd.DataFrame(rows, columns=WIN_RATE_COLUMNS)
    families = zip(table["judge"], table["candidate"], table["scope"].ne("language"), strict=True)
    return table.assign(p_adjusted=adjusted(table["p_value"], families, rules))


def rating_table(data: RunData, rules: Rules) -> Frame:
    """One row per judge, suite, scope and system (``RATING_COLUMNS``), where more than two systems were judged.

    Ratings are on Elo's scale with the reference at 1000: 400 points are odds of ten to one.
    """
    parts: dict[tuple[str, str], list[Frame]] = {}
    for part in _judged(data):
        parts.setdefault((part["judge"].iloc[0], part["suite"].iloc[0]), []).append(part)
    rows = [x for found in parts.values() if len(found) > 1 for x in _rating_rows(pd.concat(found), data, rules)]
    return pd.DataFrame(rows, columns=RATING_COLUMNS)


def _judged(data: RunData) -> Iterator[Frame]:
    """Preferences of one judge, candidate and suite, with the style of both answers."""
    if data.preferences.empty:
        return
    for (_, candidate, suite), part in data.preferences.groupby(["judge", "candidate", "suite"], sort=False):
        ours, theirs = (_styles(data, x, suite) for x in (candidate, part["reference"].iloc[0]))
        joined = part.merge(ours, on="item_id", how="left", validate="one_to_one")
        yield joined.merge(theirs, on="item_id", how="left", suffixes=("_ours", "_theirs"), validate="one_to_one")


def _styles(data: RunData, system: str, suite: str) -> Frame:
    """Length and style of each of a system's answers."""

    def make() -> Frame:
        tables = [data.answers[cell] for cell in data.answers if cell[:2] == (system, suite)]
        answers = pd.concat(tables, ignore_index=True).dropna(subset="answer")
        counted = [count_style(x.visible) for x in answers["answer"]]
        return pd.DataFrame(counted, columns=list(_STYLE)).assign(item_id=answers["item_id"].to_numpy())

    return data.once(("styles", system, suite), make)


def _win_rate_rows(part: Frame, data: RunData, rules: Rules) -> Iterator[dict[str, Any]]:
    for scope in scopes(data.languages):
        chosen = part[part["language"].isin(scope.languages)]
        if len(chosen):
            yield {
                **{x: chosen[x].iloc[0] for x in ("judge", "candidate", "reference", "suite")},
                "scope": scope.kind,
                "language": scope.name,
                **_numbers(chosen, scope, rules),
                "signature": str(Signature.joint(chosen["signature"].unique())),
            }


def _numbers(chosen: Frame, scope: Scope, rules: Rules) -> dict[str, Any]:
    preferences = chosen["preference"].to_numpy(dtype=float)
    clusters = chosen["source_id"].to_numpy(dtype=object) if scope.kind != "language" else None
    ours, theirs = (chosen[[f"{x}_{side}" for x in _STYLE]].to_numpy(dtype=float) for side in ("ours", "theirs"))
    plain = win_rate(preferences, clusters, n_resamples=rules.n_resamples, level=rules.level, seed=rules.seed)
    shared = {"clusters": clusters, "level": rules.level}
    lengths = (preferences, ours[:, 0], theirs[:, 0])
    estimates = {
        "win_rate": plain.estimate,
        "lc_alpaca_eval": length_controlled_win_rate(*lengths, seed=rules.seed, **shared),
        "lc_croco": croco_length_adjusted_win_rate(*lengths, **shared),
        "bt_style": style_controlled_win_rate(preferences, ours, theirs, **shared),
    }
    return {
        "n": plain.estimate.n,
        "n_unscored": plain.estimate.n_unscored,
        "wins": plain.wins,
        "ties": plain.ties,
        "losses": plain.losses,
        **{k: v for name, x in estimates.items() for k, v in _ends(name, x).items()},
        "p_value": plain.test.p_value,
        "method": "; ".join(x.method for x in (plain.test, *estimates.values())),
    }


def _ends(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_ci_low": estimate.ci_low, f"{name}_ci_high": estimate.ci_high}


def _rating_rows(part: Frame, data: RunData, rules: Rules) -> Iterator[dict[str, Any]]:
    reference = part["reference"].iloc[0]
    for scope in scopes(data.languages):
        chosen = part[part["language"].isin(scope.languages) & part["preference"].notna()]
        if chosen["candidate"].nunique() < 2:
            continue
        first, second = (chosen[x].to_numpy(dtype=object) for x in ("candidate", "reference"))
        clusters = chosen["source_id"].to_numpy(dtype=object)
        values = chosen["preference"].to_numpy(dtype=float)
        shared = {"clusters": clusters, "anchor": reference, "level": rules.level, "seed": rules.seed}
        strengths = bradley_terry(first, second, values, **shared)
        points = elo(first, second, values, **shared)
        for system, strength in strengths.items():
            yield {
                "judge": chosen["judge"].iloc[0],
                "suite": chosen["suite"].iloc[0],
                "scope": scope.kind,
                "language": scope.name,
                "system": system,
                "n": strength.n,
                **_ends("bradley_terry", strength),
                **_ends("elo", points[system]),
                "signature": str(Signature.joint(sorted(chosen["signature"].unique(), key=str))),
            }
