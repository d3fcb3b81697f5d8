"""Item values of all systems side by side: one matrix per suite, and per judge for open-ended suites.

Everything that compares systems starts here, so what can't be compared is found here: values that contradict their
record, items that only one system has, scores that came about differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ...harness.api.records import Signature
from ...harness.errors import StoreError
from ..records.run_data import Frame, RunData
from ..stats.inputs import Array, Kind

SCORE = "score"
"""The metric of a structured suite: each item's primary metric, whatever its name."""

TIE = 0.5
KINDS: tuple[Kind, ...] = ("binary", "bounded", "continuous")
"""Each holds the values of those before it: a mixture has the last kind among its own."""

_SCORE_FIELDS = ["system", "suite", "language", "task", "item_id", "source_id", "kind", "primary"]
_SCORE_FIELDS += ["value", "unscored", "signature"]


@dataclass(frozen=True)
class PairedValues:
    """Both systems' values of the items of some languages, NaN where unscored.

    ``clusters``: an item's source; ``languages``: its language; both as numbers. ``kind``: the metric's declared type.
    ``signatures`` of the languages that are in; ``conflicts``: why the others can't be compared. ``against_half``: a
    win rate against 0.5. ``items``: the items' numbers in the matrix.
    """

    candidate: Array
    reference: Array
    clusters: Array
    languages: Array
    kind: Kind
    signatures: dict[str, Signature]
    conflicts: dict[str, str]
    against_half: bool
    items: Array

    @cached_property
    def has_shared_sources(self) -> bool:
        return len(np.unique(self.clusters)) < len(self.clusters)


@dataclass(frozen=True)
class ItemValues:
    """Values of one metric. Items are sorted by language, task and id; ``values`` has shape (systems, items), NaN where
    unscored; ``present`` says where a system has a record. ``pivot`` is the system that win rates are against (it
    stands at 0.5), None for structured suites."""

    suite: str
    metric: str
    systems: tuple[str, ...]
    languages: Array
    sources: Array
    tasks: Array
    items: Array
    values: Array
    present: Array
    kinds: Array
    signatures: dict[tuple[str, str], Signature]
    gaps: dict[tuple[str, str], str]
    pivot: str | None = None

    @cached_property
    def _row(self) -> dict[str, int]:
        return {x: i for i, x in enumerate(self.systems)}

    @cached_property
    def source_codes(self) -> Array:
        return pd.factorize(self.sources)[0]

    @cached_property
    def language_codes(self) -> Array:
        return pd.factorize(self.languages)[0]

    @cached_property
    def columns(self) -> dict[str, slice]:
        """Language -> its items."""
        names, starts = np.unique(self.languages, return_index=True)
        ends = [*starts[1:], len(self.languages)]
        return {str(x): slice(int(a), int(b)) for x, a, b in zip(names, starts, ends, strict=True)}

    def where(self, chosen: Array) -> ItemValues:
        """The values of the chosen items alone."""
        per_item = {x: getattr(self, x)[chosen] for x in ("languages", "sources", "tasks", "items")}
        per_system = {x: getattr(self, x)[:, chosen] for x in ("values", "present", "kinds")}
        left = set(per_item["languages"])
        signatures = {(x, y): z for (x, y), z in self.signatures.items() if y in left}
        return replace(self, **per_item, **per_system, signatures=signatures)

    def signature(self, system: str, language: str) -> Signature | None:
        return self.signatures.get((system, language))

    def paired(self, candidate: str, reference: str, languages: Sequence[str]) -> PairedValues:
        """Two systems on the items of the languages in which they can be compared.

        Raises StoreError if the records of a language, by their signature the same items, hold different ones.
        """
        conflicts = {x: y for x in languages if (y := self._conflict(candidate, reference, x))}
        usable = [self.columns[x] for x in languages if x not in conflicts]
        chosen = np.concatenate([np.r_[x] for x in usable]) if usable else np.empty(0, dtype=np.intp)
        ours, theirs = self._values(candidate, reference, chosen)
        involved = [self._row[x] for x in (candidate, reference) if x != self.pivot]
        loosest = int(self.kinds[involved][:, chosen].max(initial=0))
        named = candidate if candidate != self.pivot else reference
        return PairedValues(
            ours,
            theirs,
            self.source_codes[chosen],
            self.language_codes[chosen],
            KINDS[loosest],
            {x: self.signatures[named, x] for x in languages if x not in conflicts},
            conflicts,
            self.pivot in (candidate, reference),
            chosen,
        )

    def _values(self, candidate: str, reference: str, chosen: Array) -> tuple[Array, Array]:
        """Values of both; a win rate stands against 0.5, or against the other's win rate over the same reference."""
        ours, theirs = (self.values[self._row[x], chosen] for x in (candidate, reference))
        if self.pivot == reference:
            return ours, np.full(len(chosen), TIE)
        if self.pivot == candidate:
            return 1 - theirs, np.full(len(chosen), TIE)
        return ours, theirs

    def _conflict(self, candidate: str, reference: str, language: str) -> str | None:
        involved = [x for x in (candidate, reference) if x != self.pivot]
        for system in involved:
            if (system, language) not in self.signatures:
                reason = self.gaps.get((system, language), "not run yet" if self.pivot is None else "not judged")
                return f"{system}: {reason}"
        signatures = [self.signatures[x, language] for x in involved]
        if differs := signatures[-1].conflict(signatures[0]):
            return f"{reference} and {candidate} differ in {differs}"
        rows = self.present[[self._row[x] for x in involved]][:, self.columns[language]]
        shared, known = np.all(rows, axis=0), np.any(rows, axis=0)
        if shared.sum() < known.sum():
            raise StoreError(
                f"suite {self.suite} in {language}: {candidate} and {reference} have the same signature but only "
                f"{shared.sum()} of {known.sum()} items in common; a file was changed, so run these cells again."
            )
        return None


def item_values(data: RunData) -> Iterator[ItemValues]:
    """The values of each structured suite, and of each judge that judged an open-ended one, in the config's order.

    Raises StoreError for values that can't be what a run wrote: NaN or a value beside a reason for having none, an item
    that stands twice, a number that its metric's kind forbids.
    """
    for suite, facts in data.manifest["suites"].items():
        if facts["kind"] == "structured":
            yield score_values(data, suite)
        else:
            judges = data.preferences.loc[data.preferences["suite"].eq(suite), "judge"] if len(data.preferences) else ()
            yield from (preference_values(data, suite, x) for x in dict.fromkeys(judges))


def score_values(data: RunData, suite: str) -> ItemValues:
    """The items' primary metrics."""

    def make() -> ItemValues:
        table = data.scores if len(data.scores) else pd.DataFrame(columns=_SCORE_FIELDS)
        table = table[table["primary"].to_numpy(dtype=bool) & table["suite"].eq(suite).to_numpy()]
        return values_of(data, table, suite, SCORE, "value")

    return data.once(("scores", suite), make)


def preference_values(data: RunData, suite: str, judge: str) -> ItemValues:
    """Preferences of a judge, each candidate's over the run's reference."""

    def make() -> ItemValues:
        table = data.preferences
        table = table[table["suite"].eq(suite) & table["judge"].eq(judge)]
        table = table.assign(system=table["candidate"], kind="bounded")
        return values_of(data, table, suite, f"win_rate[{judge}]", "preference", judge)

    return data.once(("preferences", suite, judge), make)


def values_of(
    data: RunData, table: Frame, suite: str, metric: str, column: str, judge: str | None = None
) -> ItemValues:
    """Item values from a table with the columns system, language, task, item_id, source_id, kind, ``column``, unscored
    and signature. Raises StoreError as ``item_values`` does."""
    systems = tuple(data.systems)
    rows = pd.Index(systems).get_indexer(table["system"])
    _check_values(table, suite, column)
    codes, keys = _item_codes(table)
    shape = (len(systems), len(keys))
    if (np.bincount(rows * shape[1] + codes) > 1).any():
        twice = table[table.duplicated(["system", "language", "task", "item_id"])].iloc[0]
        raise StoreError(
            f"cell {twice['system']}, {suite}, {twice['language']}: item {twice['item_id']} stands twice for one "
            "metric; the file was changed, so run the cell again."
        )
    values, present, kinds = np.full(shape, np.nan), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.int8)
    values[rows, codes] = table[column].to_numpy(dtype=float)
    present[rows, codes] = True
    kinds[rows, codes] = kind_numbers(table)
    sources = np.empty(shape[1], dtype=object)
    sources[codes] = table["source_id"].to_numpy(dtype=object)
    signed = table.drop_duplicates(["system", "language"])
    return ItemValues(
        suite=suite,
        metric=metric,
        systems=systems,
        languages=keys[:, 0],
        tasks=keys[:, 1],
        items=keys[:, 2],
        sources=sources,
        values=values,
        present=present,
        kinds=kinds,
        signatures={(x.system, x.language): x.signature for x in signed.itertuples()},
        gaps=dict(_gaps(data, suite, judge)),
        pivot=data.manifest["reference"] if judge else None,
    )


def _gaps(data: RunData, suite: str, judge: str | None) -> Iterator[tuple[tuple[str, str], str]]:
    """Why a system has nothing in a language: from the suite's cells, or from one judge's."""
    own = f"judge {judge}: " if judge else ""
    for x in data.missing[data.missing["suite"].eq(suite)].itertuples():
        if str(x.reason).startswith(own):
            yield (x.system, x.language), str(x.reason).removeprefix(own)


def _item_codes(table: Frame) -> tuple[Array, Array]:
    """Per row the number of its item; and the items, sorted: shape (items, 3) of language, task and id."""
    if table.empty:
        return np.empty(0, dtype=np.intp), np.empty((0, 3), dtype=object)
    columns = [pd.factorize(table[x].to_numpy(dtype=object), sort=True) for x in ("language", "task", "item_id")]
    shape = [len(names) for _, names in columns]
    codes, distinct = pd.factorize(np.ravel_multi_index([x for x, _ in columns], shape), sort=True)
    places = np.unravel_index(distinct, shape)
    return codes, np.stack([names[x] for (_, names), x in zip(columns, places, strict=True)], axis=1)


def kind_numbers(table: Frame) -> Array:
    """Per row the number of its kind in ``KINDS``."""
    codes, names = pd.factorize(table["kind"])
    return np.array([KINDS.index(x) for x in names], dtype=np.int8)[codes]


def _check_values(table: Frame, suite: str, column: str) -> None:
    value = table[column].to_numpy(dtype=float)
    has_reason = table["unscored"].notna().to_numpy()
    kind = kind_numbers(table)
    bounded = kind < KINDS.index("continuous")
    with np.errstate(invalid="ignore"):
        checks = {
            "has no value and no reason for it": np.isnan(value) & ~has_reason,
            "has a value and a reason for having none": ~np.isnan(value) & has_reason,
            "has an infinite value": np.isinf(value),
            "has a value outside [0, 1]": bounded & ((value < 0) | (value > 1)),
            "is binary and has a value other than 0 and 1": (kind == KINDS.index("binary"))
            & ~np.isnan(value)
            & (value % 1 != 0),
        }
    for what, wrong in checks.items():
        if wrong.any():
            x = table[wrong].iloc[0]
            raise StoreError(
                f"cell {x['system']}, {suite}, {x['language']}: item {x['item_id']} {what}; "
                "the file was changed or its task is wrong, so run the cell again."
            )
