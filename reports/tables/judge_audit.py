"""The judges' own report card: order, position, length, repeats, agreement, unscored; from the run directory alone.

Most measures are shares of observations (``judge_observations``), in each language and in all of them. The item is the
sampling unit: its orders, several candidates' answers to it and its translations are one cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ...harness.errors import UserError
from ..items.scopes import WHOLE
from ..records.run_data import Frame, RunData
from ..stats import Estimate, cohen_kappa, holm, krippendorff_alpha, mean_interval, sign_flip_permutation
from .judge_observations import (
    ITEM,
    first_position,
    known_answers,
    order_consistency,
    prefers_longer,
    repeats,
    self_agreement,
    unscored,
    with_answers,
    with_readability,
)
from .off_target import COLUMNS as OFF_TARGET_COLUMNS
from .off_target import FILE as OFF_TARGET
from .off_target import off_target_table

FILE = "judge_audit.csv"
ALPHA = 0.05
FLAGS = {"first_position": ("prefers-second", "prefers-first"), "prefers_longer": ("prefers-shorter", "prefers-longer")}
"""Measures that are tested against one half, with the flags of a significant one below and above it."""

_REMARKS = 3


@dataclass(frozen=True)
class Row:
    """One measure in one language, or in all; docs/files.md says what each column holds."""

    judge: str
    other_judge: str
    system: str
    suite: str
    language: str
    measure: str
    value: float
    ci_low: float
    ci_high: float
    p_value: float
    p_adjusted: float
    n: int
    flag: str
    note: str


COLUMNS = tuple(x.name for x in fields(Row))


def judge_audit(data: RunData) -> Frame:
    """One row per judge (or two of them), suite, language and measure (``COLUMNS``); then off-target rates by system.

    Raises UserError for a run without whole judgments, StoreError for one that is damaged.
    """
    if data.judgments.empty:
        raise UserError(
            f"{data.folder} has no whole judgments to audit; `croco-eval judge RUN --judge NAME` makes some."
        )
    judges: dict[str, dict[str, Any]] = data.manifest["judges"]
    items = with_answers(data, data.preferences)
    judgments = with_readability(data.judgments, items)
    observed = {
        "order_consistency": order_consistency(judgments),
        "first_position": first_position(judgments),
        "prefers_longer": prefers_longer(items),
        "unscored": unscored(judgments),
        "self_agreement": self_agreement(judgments, judges),
        "known_answers": known_answers(items, judges),
    }
    languages = data.languages
    rows = [x for measure, table in observed.items() for x in share_rows(measure, table, languages)]
    rows += _agreement_rows(items, judges, languages)
    place = {"judge": [*judges, ""], "suite": data.suites}
    table = _tested(pd.DataFrame([astuple(x) for x in rows], columns=COLUMNS))
    table = table.sort_values(
        ["judge", "suite"], key=lambda x: x.map({v: i for i, v in enumerate(place[x.name])}), kind="stable"
    )
    off_target = pd.DataFrame([astuple(x) for x in _off_target_rows(data)], columns=COLUMNS)
    return pd.concat([x for x in (table, off_target) if len(x)], ignore_index=True)


def share_rows(measure: str, observed: Frame, languages: Sequence[str]) -> Iterator[Row]:
    """The share of observations that hold, per judge (or two), suite and language, and over all languages.

    The interval is Wilson's, or with clusters of several observations Student's t of cluster sums. Measures in
    ``FLAGS`` are tested against one half by sign flips of whole clusters: exact where a habit the judge does not have
    would be as likely to show as its opposite.
    """
    for (judge, other, suite), part in observed.groupby(["judge", "other_judge", "suite"], sort=False):
        for language, chosen in _scopes(part, languages):
            values = chosen["value"].to_numpy(dtype=float)
            clusters = pd.factorize(chosen["source_id"])[0]
            share = mean_interval(values, clusters, "binary")
            p = sign_flip_permutation(values - 0.5, clusters).p_value if measure in FLAGS else np.nan
            note = _commonest(chosen["remark"])
            yield _row(str(judge), str(other), str(suite), language, measure, share, note, p)


def _scopes(part: Frame, languages: Sequence[str]) -> Iterator[tuple[str, Frame]]:
    """Each language that is there; then, of several, all of them."""
    by_language = dict(iter(part.groupby("language", sort=False)))
    yield from ((x, by_language[x]) for x in languages if x in by_language)
    if len(by_language) > 1:
        yield WHOLE, part


def _commonest(remarks: Frame) -> str:
    counts = remarks.dropna().value_counts()
    ordered = sorted(counts.items(), key=lambda x: (-x[1], x[0]))
    more = [f"other ({sum(n for _, n in ordered[_REMARKS:])})"] if len(ordered) > _REMARKS else []
    return "; ".join([*(f"{text} ({n})" for text, n in ordered[:_REMARKS]), *more])


def _agreement_rows(items: Frame, judges: dict[str, dict[str, Any]], languages: Sequence[str]) -> Iterator[Row]:
    """Cohen's kappa of every two judges, and Krippendorff's alpha of all that judge on their own, once each."""
    echoes = {b for _, b in repeats(judges)} | {x for x, identity in judges.items() if identity.get("judge") == "panel"}
    for suite, part in items.groupby("suite", sort=False):
        named = part.assign(judge="judge " + part["judge"])
        wide = named.pivot(index=ITEM, columns="judge", values="verdict").reset_index()
        present = [x for x in judges if f"judge {x}" in wide]
        for language, chosen in _scopes(wide, languages):
            verdicts = {x: [v if isinstance(v, str) else None for v in chosen[f"judge {x}"]] for x in present}
            clusters = pd.factorize(chosen["source_id"])[0]
            for a, b in combinations(present, 2):
                kappa = cohen_kappa(verdicts[a], verdicts[b], clusters)
                if kappa.n:
                    yield _row(a, b, str(suite), language, "cohen_kappa", kappa, _kinship(a, b, judges))
            independent = [x for x in present if x not in echoes]
            if len(independent) > 1:
                alpha = krippendorff_alpha([verdicts[x] for x in independent], clusters)
                yield _row("", "", str(suite), language, "krippendorff_alpha", alpha, ", ".join(independent))


def _kinship(a: str, b: str, judges: dict[str, dict[str, Any]]) -> str:
    for panel, member in ((a, b), (b, a)):
        if any(x.startswith(f"members.{member}.") for x in judges[panel]):
            return f"{member} sits on {panel}"
    return "repeats" if (a, b) in repeats(judges) else ""


def _off_target_rows(data: RunData) -> Iterator[Row]:
    for x in _off_target(data).itertuples():
        wrong = f"mostly {x.wrong_language}" if isinstance(x.wrong_language, str) and x.wrong_language else ""
        note = "; ".join(y for y in (wrong, f"uncertain ({x.uncertain})" if x.uncertain else "") if y)
        rate = Estimate(x.rate, x.ci_low, x.ci_high, np.nan, x.n, x.uncertain, "")
        yield _row("", "", x.suite, x.language, "off_target", rate, note, system=x.system)


def _off_target(data: RunData) -> Frame:
    """``off_target.csv`` where it is not older than the cells it is about; else made anew, which takes longer."""
    file = data.folder / OFF_TARGET
    if data.is_older_than(file):
        table = pd.read_csv(file, keep_default_na=False, na_values={x: [""] for x in ("rate", "ci_low", "ci_high")})
        if list(table) == list(OFF_TARGET_COLUMNS):
            cells = table[["system", "suite", "language"]].itertuples(index=False, name=None)
            if set(cells) == set(data.answers):
                return table
    return off_target_table(data)


def _row(judge, other, suite, language, measure, e: Estimate, note="", p_value=np.nan, system="") -> Row:
    place = (judge, other, system, suite, language, measure)
    return Row(*place, e.value, e.ci_low, e.ci_high, p_value, np.nan, e.n, "", note)


def _tested(table: Frame) -> Frame:
    """With p-values adjusted by Holm over the languages of a measure, and flags; the pooled test is one of its own."""
    family = [*(table[x] for x in ("judge", "other_judge", "suite", "measure")), table["language"].eq(WHOLE)]
    adjusted = table.groupby(family, sort=False)["p_value"].transform(lambda p: holm(p.to_numpy(dtype=float)))
    flags = [
        FLAGS[m][int(v > 0.5)] if p <= ALPHA else ""
        for m, v, p in zip(table["measure"], table["value"], adjusted, strict=True)
    ]
    return table.assign(p_adjusted=adjusted, flag=flags)
