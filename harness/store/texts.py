"""Long texts in an uncompressed Arrow IPC file beside the Parquet file of a dataset's other columns (``data.arrow``
beside ``data.parquet``), so that single ones are fetched without reading the others.

Datasets of earlier versions, and of other programs, have the texts in the Parquet file: then they are read from there,
all at once.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import StoreError


def texts_file(path: Path) -> Path:
    """Where the long texts of a Parquet file lie."""
    return path.with_suffix(".arrow")


def read_texts(path: Path, name: str, rows: int) -> tuple[pa.ChunkedArray, pa.Buffer]:
    """A column of long texts of a Parquet file with this many rows, and the file that it is a part of; both are mapped
    into memory, not read. Raises StoreError."""
    file = texts_file(path)
    try:
        whole = pa.memory_map(str(file)).read_buffer()
        column = pa.ipc.open_file(whole).read_all()[name]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise StoreError(f"{file}, which holds the texts {name!r} of {path.name}, can't be read: {error}.") from error
    if len(column) != rows:
        raise StoreError(f"{file} holds {len(column):,} texts for the {rows:,} rows of {path.name}.")
    return column, whole


class LongTexts:
    """The texts of one column of a dataset."""

    def __init__(self, path: Path, file: pq.ParquetFile, name: str) -> None:
        """``file``: the open Parquet file at ``path``."""
        self._file = texts_file(path)
        self._in_parquet = name in file.schema_arrow.names
        if self._in_parquet:
            self._column = file.read(columns=[name], use_threads=False).column(0).cast(pa.large_string())
            whole = pa.py_buffer(b"")
        else:
            self._column, whole = read_texts(path, name, file.metadata.num_rows)
        parts = [(x.buffers()[2], _offsets(x)) for x in self._column.chunks if len(x)]
        ends = [y[:-1] + (x.address - whole.address if x else 0) for x, y in parts]
        self._places = np.concatenate([np.zeros(0, dtype=np.int64), *ends])
        self.lengths = np.concatenate([np.zeros(0, dtype=np.int64), *(np.diff(y) for _, y in parts)])
        """Bytes of each text."""

    def take(self, rows: np.ndarray) -> list[bytes]:
        """The texts of these rows (numbers from 0, in any order), in UTF-8."""
        if self._in_parquet:
            return [(self._column[x].as_py() or "").encode() for x in rows.tolist()]
        handle = os.open(self._file, os.O_RDONLY)  # pages that are read through a map count as this process's memory
        try:
            asked = zip(self.lengths[rows].tolist(), self._places[rows].tolist(), strict=True)
            return [os.pread(handle, length, place) for length, place in asked]
        finally:
            os.close(handle)


def _offsets(texts: pa.LargeStringArray) -> np.ndarray:
    """Where each text begins in the array's buffer, and where the last one ends."""
    return np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(texts) + 1]
