"""Candidates with one of their rewards, as columns; texts are fetched only for the rows that are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...harness.errors import DataError, StoreError
from ...harness.store.columns import codes, nulls, values
from ...harness.store.texts import LongTexts

Array = np.ndarray


@dataclass(frozen=True)
class Candidates:
    """One entry per candidate, in the order of the file; ``source`` and ``language`` are places in ``sources`` and
    ``languages``.

    ``reward`` is NaN where there is none that can be used, ``unusable`` says how often and why. ``in_language`` is 1
    for answers in their prompt's language, 0 for others, -1 where that can't be told. ``row`` is the row in the file,
    None where all rows are here.
    """

    sources: list[str]
    languages: list[str]
    source: Array
    language: Array
    is_gold: Array
    is_empty: Array
    in_language: Array
    reward: Array
    unusable: Counter[str]
    row: Array | None
    texts: LongTexts

    def answers(self, places: Array) -> list[bytes]:
        """The answers of these candidates, in UTF-8."""
        return self.texts.take(places if self.row is None else self.row[places])

    def pools(self, pool: str) -> Array:
        """A number for each candidate's pool (of its source prompt and language, or with ``all`` of its source prompt),
        in the order in which pools first appear."""
        keys = self.source if pool == "all" else self.source.astype(np.int64) * len(self.languages) + self.language
        return _by_appearance(keys, len(self.sources) * (1 if pool == "all" else len(self.languages)))


def read_candidates(candidates: Path, rewards: Path, languages: Sequence[str] | None = None) -> Candidates:
    """Candidates of these languages (all by default) with their rewards, from the datasets of the stages.

    A second row of the same sample, a reward that is no finite number and an empty answer are counted in ``unusable``.
    Raises StoreError for a file that can't be read, DataError if the rewards are those of other candidates.
    """
    file, columns = _open(candidates, ["prompt_id", "source_id", "language", "kind", "sample"], ["in_language"])
    _, scored = _open(rewards, ["prompt_id", "sample", "reward"], ["unscored"])
    repeated = _match(candidates, rewards, columns, scored)
    language, names = codes(columns.pop("language"))
    wanted = np.array([languages is None or x in languages for x in names], dtype=bool)
    row = slice(None) if wanted.all() else np.flatnonzero(wanted[language])
    source, sources = codes(columns.pop("source_id"))
    kind, kinds = codes(columns.pop("kind"))
    texts = LongTexts(candidates, file, "answer")
    is_empty = texts.lengths[row] == 0
    reward = np.where(nulls(scored["reward"]), np.nan, values(scored["reward"]))[row]
    unusable = _reasons(scored, row, reward)
    for reason, hits in (("empty answer", is_empty), ("a second row of the same sample", repeated[row])):
        unusable[reason] += int((hits & np.isfinite(reward)).sum())
        reward[hits] = np.nan
    return Candidates(
        sources=sources,
        languages=names,
        source=source[row],
        language=language[row],
        is_gold=np.array([x == "gold" for x in kinds], dtype=bool)[kind][row],
        is_empty=is_empty,
        in_language=_tristate(columns.get("in_language"), len(language))[row],
        reward=reward,
        unusable=+unusable,
        row=None if isinstance(row, slice) else row,
        texts=texts,
    )


def _open(path: Path, names: Sequence[str], optional: Sequence[str]) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """A Parquet file and some of its columns, text as places in a list of the different ones."""
    encoded = ("prompt_id", "source_id", "language", "kind", "unscored")
    try:
        metadata = pq.read_metadata(path)
        present = set(metadata.schema.names)
        if missing := [x for x in names if x not in present]:
            raise StoreError(f"{path} has no column {missing[0]!r}.")
        wanted = [*names, *(x for x in optional if x in present)]
        file = pq.ParquetFile(
            path, metadata=metadata, read_dictionary=[x for x in encoded if x in wanted], pre_buffer=False
        )
        table = file.read(columns=wanted, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} can't be read: {error}.") from error
    for name in names:
        if name != "reward" and table[name].null_count:
            raise StoreError(f"{path} has rows without {name!r}.")
    return file, {x: table[x] for x in wanted}


def _match(candidates: Path, rewards: Path, columns: dict[str, Any], scored: dict[str, Any]) -> Array:
    """Whether the same sample of the same prompt stands in an earlier row; drops the columns that say so.

    Raises DataError unless the rewards are those of these candidates, in their order.
    """
    code, names = codes(columns.pop("prompt_id"))
    other, other_names = codes(scored.pop("prompt_id"))
    sample, other_sample = values(columns.pop("sample")), values(scored.pop("sample"))
    if len(sample) != len(other_sample):
        raise DataError(f"{rewards} holds {len(other_sample):,} rewards for the {len(sample):,} rows of {candidates}.")
    if names != other_names:
        places = {x: i for i, x in enumerate(names)}
        other = np.array([places.get(x, -1) for x in other_names], dtype=np.int64)[other]
    differs = np.flatnonzero((code != other) | (sample != other_sample))
    if len(differs):
        raise DataError(
            f"{rewards}, row {differs[0] + 1}: the reward is of another candidate than this row of {candidates}; "
            "score again."
        )
    pa.default_memory_pool().release_unused()
    return _repeated(code, sample)


def _reasons(scored: dict[str, Any], row: Array | slice, reward: Array) -> Counter[str]:
    """Why rewards are missing, by reason; rewards that are infinite become NaN."""
    missing = nulls(scored["reward"])[row]
    found: Counter[str] = Counter()
    why, names = codes(scored["unscored"]) if "unscored" in scored else (np.full(len(missing), -1), [])
    counts = np.bincount(why[row][missing] + 1, minlength=len(names) + 1)
    found.update({reason: int(n) for reason, n in zip(("no reward", *names), counts, strict=True)})
    found["the reward is not a finite number"] += int((~np.isfinite(reward) & ~missing).sum())
    reward[~np.isfinite(reward)] = np.nan
    return found


def _repeated(prompt: Array, sample: Array) -> Array:
    """Whether the same sample of the same prompt stands in an earlier row."""
    keys = prompt.astype(np.int64) * (int(sample.max(initial=0)) + 1) + sample
    if (np.diff(keys) > 0).all():
        return np.zeros(len(keys), dtype=bool)
    repeated = np.ones(len(keys), dtype=bool)
    repeated[np.unique(keys, return_index=True)[1]] = False
    return repeated


def _by_appearance(keys: Array, n: int) -> Array:
    """Keys below ``n``, numbered in the order in which they first appear."""
    first = np.full(n, len(keys))
    first[keys[::-1]] = np.arange(len(keys))[::-1]  # of several values for one place numpy keeps the last
    order = np.argsort(first, kind="stable")
    number = np.empty(n, dtype=np.int64)
    number[order] = np.arange(n)
    return number[keys]


def _tristate(column: pa.ChunkedArray | None, n: int) -> Array:
    if column is None:
        return np.full(n, -1, dtype=np.int8)
    return np.where(nulls(column), np.int8(-1), values(column).astype(np.int8))
