"""Arrow columns as NumPy arrays and back, by their buffers.

``pyarrow.array`` and ``to_numpy`` import pandas to see whether they were given a series: that takes longer than all of
what a stage does that reads a few columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

_DTYPES: dict[pa.DataType, Any] = {
    pa.int8(): np.int8,
    pa.int16(): np.int16,
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.float32(): np.float32,
    pa.float64(): np.float64,
}
_TYPES: dict[Any, pa.DataType] = {np.dtype(x): t for t, x in _DTYPES.items()}

_INSIDE = bytes(range(0x80, 0xC0))
"""Bytes of a character in UTF-8 after its first one."""


def values(column: pa.ChunkedArray) -> np.ndarray:
    """The numbers or truth values of a column; those that are null are anything. Raises KeyError for other types."""
    return _joined([_values(x) for x in column.chunks], bool if column.type == pa.bool_() else _DTYPES[column.type])


def nulls(column: pa.ChunkedArray) -> np.ndarray:
    """Whether each row is null."""
    return _joined([_nulls(x) for x in column.chunks], bool)


def codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Each row's place in the list of a column's different texts (-1: null), and the list."""
    if not isinstance(column.type, pa.DictionaryType):
        column = column.dictionary_encode()
    chunks: Any = column.unify_dictionaries().chunks
    places = [np.where(_nulls(x.indices), -1, _values(x.indices)) for x in chunks]
    return _joined(places, np.int32), chunks[0].dictionary.to_pylist() if chunks else []


def numbers(array: np.ndarray) -> pa.Array:
    """An Arrow array of the same numbers."""
    return pa.Array.from_buffers(
        _TYPES[array.dtype], len(array), [None, pa.py_buffer(np.ascontiguousarray(array).data)]
    )


def texts(encoded: Sequence[bytes]) -> pa.Array:
    """An Arrow array of texts that are given in UTF-8."""
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    if ends[-1] < 1 << 31:
        kind, offsets = pa.string(), ends.astype(np.int32)
    else:
        kind, offsets = pa.large_string(), ends
    return pa.Array.from_buffers(
        kind, len(encoded), [None, pa.py_buffer(offsets.data), pa.py_buffer(b"".join(encoded))]
    )


def characters(encoded: Sequence[bytes]) -> list[int]:
    """How many characters each of these texts in UTF-8 has."""
    return [len(x) if x.isascii() else len(x.translate(None, _INSIDE)) for x in encoded]


def _joined(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _values(array: pa.Array) -> np.ndarray:
    data = array.buffers()[1]
    if data is None:
        return np.zeros(len(array), dtype=bool if array.type == pa.bool_() else _DTYPES[array.type])
    if array.type == pa.bool_():
        return _bits(data, array)
    return np.frombuffer(data, _DTYPES[array.type], len(array) + array.offset)[array.offset :]


def _nulls(array: pa.Array) -> np.ndarray:
    validity = array.buffers()[0]
    return np.zeros(len(array), dtype=bool) if validity is None or not array.null_count else ~_bits(validity, array)


def _bits(data: pa.Buffer, array: pa.Array) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(bool)
