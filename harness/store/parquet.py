"""Records as Parquet files, one column per field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from ..errors import StoreError
from .files import replacing

Record = TypeVar("Record")
LONG_TEXT = {"long_text": True}
"""Metadata of a record's field of long texts, of which single ones are wanted later; it may not be None."""
_ROWS_AT_ONCE = 32_768


def write_records(path: Path, kind: type[Record], rows: Sequence[Record]) -> None:
    """Records of one kind as a Parquet file, atomically; an empty list keeps the columns."""
    import pyarrow as pa

    schema = _schema(kind)
    parts = (rows[i : i + _ROWS_AT_ONCE] for i in range(0, len(rows), _ROWS_AT_ONCE))
    write_columns(
        path,
        kind,
        (pa.Table.from_arrays([pa.array([getattr(x, f.name) for x in part], f.type) for f in schema], schema=schema)
         for part in parts),
    )  # fmt: skip


def write_columns(path: Path, kind: type, tables: Iterable[Any], compression: str = "zstd") -> None:
    """Records of one kind that come as Arrow tables, as a Parquet file, atomically; their long texts go into a file
    beside it, which ``texts.LongTexts`` reads."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .texts import texts_file

    schema, long = _schema(kind), _long_texts(kind)
    plain = pa.schema([x for x in schema if x.name not in long])
    texts = pa.schema([(x, pa.large_string()) for x in long])
    with ExitStack() as stack:
        beside = None
        if long:
            file = stack.enter_context(replacing(texts_file(path)))
            beside = stack.enter_context(pa.ipc.new_file(file, texts))
        file = stack.enter_context(replacing(path))
        writer = stack.enter_context(pq.ParquetWriter(file, plain, compression=compression))
        for table in tables:
            writer.write_table(table.select(plain.names))
            if beside is not None:
                beside.write_table(table.select(long).cast(texts))


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Records of one kind from a Parquet file, and their long texts from the file beside it; a column that an older
    version did not write has its default.

    Raises StoreError if a file is missing, damaged or of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = fields(kind)  # pyright: ignore[reportArgumentType]
    try:
        with pq.ParquetFile(path) as file:  # `read_table` imports pandas
            present = set(file.schema_arrow.names)
            table = file.read(columns=[x.name for x in columns if x.name in present])
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} can't be read as {kind.__name__} records: {error}.") from error
    for name in _long_texts(kind):
        if name not in present:
            from .texts import read_texts

            table = table.append_column(name, read_texts(path, name, len(table))[0])
    if missing := [x.name for x in columns if x.default is MISSING and x.name not in table.column_names]:
        raise StoreError(f"{path} can't be read as {kind.__name__} records: it has no column {missing[0]!r}.")
    return [kind(**x) for x in table.to_pylist()]


def _long_texts(kind: type) -> list[str]:
    return [x.name for x in fields(kind) if x.metadata.get("long_text")]


def _schema(kind: type) -> Any:
    import pyarrow as pa

    arrow = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    columns = []
    for name, hint in get_type_hints(kind).items():
        text = str(hint)
        base = next((x for x in arrow if text.startswith((f"<class '{x}'", f"{x} |"))), "str")
        columns.append((name, arrow[base]))
    return pa.schema(columns)
