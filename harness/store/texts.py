"""Long texts in Parquet, written so that single ones can be fetched without reading the others.

Such a column is stored plain and uncompressed, one page per row group, and the length of each text in bytes stands
beside it in a column of its own (``answer`` and ``answer_bytes``). Where a text lies follows from the lengths behind
it, and the length that Parquet keeps in front of each text says whether that is so. To every other reader the file is
an ordinary one; of a file that was written in another way, the row groups that are needed are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .columns import numbers, values

ROWS_PER_GROUP = 32_768
_BYTES_PER_GROUP = 1 << 27
_PREFIX = 4


def length_column(name: str) -> str:
    """The column that holds the lengths of a long text."""
    return f"{name}_bytes"


def writer_options(columns: Sequence[str], long: Sequence[str], compression: str) -> dict[str, Any]:
    """How ``pyarrow.parquet.ParquetWriter`` is to write these columns, of which some are long texts."""
    return {
        "compression": {x: "none" if x in long else compression for x in columns},
        "use_dictionary": [x for x in columns if x not in long],
        "data_page_size": 1 << 30,
        "max_rows_per_page": ROWS_PER_GROUP,
        "write_statistics": [x for x in columns if x not in long],
    }


def rows_per_group(table: pa.Table) -> int:
    """How many rows of a table go into one row group, so that none is much larger than 128 MiB."""
    return max(1, min(ROWS_PER_GROUP, table.num_rows * _BYTES_PER_GROUP // max(table.nbytes, 1)))


def lengths(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes of each text, in UTF-8."""
    return pa.chunked_array([numbers(np.diff(_offsets(x)).astype(np.int32)) for x in texts.chunks], pa.int32())


class LongTexts:
    """The texts of one column of an open Parquet file."""

    def __init__(self, path: Path, file: pq.ParquetFile, name: str) -> None:
        self._path, self._file, self._name = path, file, name
        self._index = file.schema_arrow.get_field_index(name)
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        self._bounds = np.cumsum([0, *(x.num_rows for x in groups)])
        self.lengths = self._read_lengths()
        """Bytes of each text."""

    def take(self, rows: np.ndarray) -> list[bytes]:
        """The texts of these rows (numbers from 0, in any order), in UTF-8."""
        found = None if self._places is None else self._fetched(self._places[rows], self.lengths[rows])
        return self._read(rows) if found is None else found

    def _read_lengths(self) -> np.ndarray:
        column = length_column(self._name)
        if column in self._file.schema_arrow.names:
            return values(self._file.read(columns=[column]).column(0))
        parts = [np.diff(_offsets(x)) for _, x in self._batches()]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    @cached_property
    def _places(self) -> np.ndarray | None:
        """Where each text begins in the file; None in a file that was written in another way."""
        if length_column(self._name) not in self._file.schema_arrow.names:
            return None
        places = np.empty(len(self.lengths), dtype=np.int64)
        for number in range(self._file.metadata.num_row_groups):
            chunk = self._file.metadata.row_group(number).column(self._index)
            if chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page:
                return None
            group = slice(self._bounds[number], self._bounds[number + 1])
            ends = np.cumsum(self.lengths[group] + _PREFIX, dtype=np.int64)
            end_of_chunk = chunk.data_page_offset + chunk.total_compressed_size
            places[group] = end_of_chunk - (ends[-1] if len(ends) else 0) + ends - self.lengths[group]
        return places

    def _fetched(self, places: np.ndarray, lengths: np.ndarray) -> list[bytes] | None:
        """The texts at these places; None if one of them isn't there."""
        found: list[bytes] = []
        handle = os.open(self._path, os.O_RDONLY)
        try:
            for place, length in zip(places.tolist(), lengths.tolist(), strict=True):
                data = os.pread(handle, length + _PREFIX, place - _PREFIX)
                if int.from_bytes(data[:_PREFIX], "little") != length or len(data) != length + _PREFIX:
                    return None
                found.append(data[_PREFIX:])
        finally:
            os.close(handle)
        return found

    def _read(self, rows: np.ndarray) -> list[bytes]:
        """The texts of these rows, from the row groups that hold them."""
        wanted = np.unique(rows)
        groups = np.unique(np.searchsorted(self._bounds, wanted, side="right") - 1)
        found: dict[int, bytes] = {}
        for start, texts in self._batches(groups.tolist()):
            first, last = np.searchsorted(wanted, (start, start + len(texts)))
            for row in wanted[first:last].tolist():
                found[row] = (texts[row - start].as_py() or "").encode()
        return [found[x] for x in rows.tolist()]

    def _batches(self, groups: list[int] | None = None) -> Iterator[tuple[int, pa.Array]]:
        """(number of the first row, texts) of row groups, all by default, a few thousand at a time."""
        for group in range(self._file.metadata.num_row_groups) if groups is None else groups:
            start = int(self._bounds[group])
            for batch in self._file.iter_batches(4096, row_groups=[group], columns=[self._name]):
                yield start, batch.column(0).cast(pa.string())
                start += batch.num_rows


def _offsets(texts: pa.StringArray) -> np.ndarray:
    """Where each text begins in the array's buffer, and where the last one ends."""
    data = texts.buffers()[1]
    ends = np.frombuffer(data, np.int32)[texts.offset :][: len(texts) + 1] if data is not None else np.zeros(1)
    return ends.astype(np.int64)
