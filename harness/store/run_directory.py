"""The run directory: what is written, in which order, and what counts as done.

While a cell runs, its answers are appended to ``generations.jsonl`` and are on the disk before they count; a torn
last line is dropped. When it is complete it is sealed: Parquet files, each renamed into place, then ``cell.json``,
whose presence says that the cell is whole.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_type_hints

from ..errors import StoreError
from .fingerprint import differing

SCHEMA_VERSION = 2
"""2 added ``preference`` to the judgments. Older versions are read: a column that is not there has its default."""

Record = TypeVar("Record")
LONG_TEXT = {"long_text": True}
"""Metadata of a record's field of long texts, of which single ones are wanted later; it may not be None."""
_ROWS_AT_ONCE = 32_768


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` once it is whole and on the disk. Raises StoreError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path} can't be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a whole file: a reader sees the old content or the new one, never a part. Raises StoreError."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """A JSON file, atomically."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file. Raises StoreError if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}.") from error


class AppendLog:
    """Append-only JSON lines; what ``append`` or ``sync`` returned from is on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._drop_torn_line()
            self._file = path.open("ab")
        except OSError as error:
            raise StoreError(f"{path} can't be written: {error.strerror or error}.") from error

    def append(self, rows: Iterable[Mapping[str, Any]], sync: bool = True) -> None:
        """Adds rows and waits for the disk. Raises StoreError if it is full or gone.

        Without ``sync`` the rows outlive this process, but not the machine's loss of power, until ``sync`` is called.
        """
        data = "".join(json.dumps(x, ensure_ascii=False) + "\n" for x in rows).encode()
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise StoreError(f"{self.path} can't be written: {error.strerror or error}.") from error
        if sync:
            self.sync()

    def sync(self) -> None:
        """Waits for the disk. Raises StoreError if it is full or gone."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StoreError(f"{self.path} can't be written: {error.strerror or error}.") from error

    def rows(self) -> list[dict[str, Any]]:
        """All rows written so far."""
        return list(self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows written so far, one by one."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _drop_torn_line(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)


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
    """Records of one kind that come as Arrow tables, as a Parquet file, atomically.

    Long texts are written so that ``long_texts.LongTexts`` can fetch single ones.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .texts import length_column, lengths, rows_per_group, writer_options

    schema = _schema(kind)
    long = [x.name for x in fields(kind) if x.metadata.get("long_text")]
    for name in long:
        schema = schema.append(pa.field(length_column(name), pa.int32()))
    with (
        replacing(path) as file,
        pq.ParquetWriter(file, schema, **writer_options(schema.names, long, compression)) as writer,
    ):
        for table in tables:
            for name in long:
                table = table.append_column(length_column(name), lengths(table[name]))
            writer.write_table(table.select(schema.names), row_group_size=rows_per_group(table))


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Records of one kind from a Parquet file; a column that an older version did not write has its default.

    Raises StoreError if the file is missing, damaged or of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = fields(kind)  # pyright: ignore[reportArgumentType]
    try:
        with pq.ParquetFile(path) as file:  # `read_table` imports pandas
            present = set(file.schema_arrow.names)
            rows = file.read(columns=[x.name for x in columns if x.name in present]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} can't be read as {kind.__name__} records: {error}.") from error
    if missing := [x.name for x in columns if x.default is MISSING and x.name not in present]:
        raise StoreError(f"{path} can't be read as {kind.__name__} records: it has no column {missing[0]!r}.")
    return [kind(**x) for x in rows]


def _schema(kind: type) -> Any:
    import pyarrow as pa

    arrow = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    columns = []
    for name, hint in get_type_hints(kind).items():
        text = str(hint)
        base = next((x for x in arrow if text.startswith((f"<class '{x}'", f"{x} |"))), "str")
        columns.append((name, arrow[base]))
    return pa.schema(columns)


class RunLock:
    """One writer per run. The lock goes with its process, however that ends; a living holder is named."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._file: Any = None

    def __enter__(self) -> RunLock:
        import fcntl

        try:
            self._file = self._path.open("a+", encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{self._path.parent} can't be written: {error.strerror or error}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                self._file.close()
                raise StoreError(f"{self._path} can't be locked: {error.strerror or error}.") from error
            self._file.seek(0)
            holder = self._file.read().strip()
            self._file.close()
            raise StoreError(
                f"{self._path.parent} is being written by another process ({holder or 'unknown'}); "
                "wait for it, or stop it."
            ) from None
        self._file.truncate(0)
        self._file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        self._file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.truncate(0)
        self._file.close()


class CellFolder:
    """One cell's folder, or one judge's folder for a pair of systems, a suite and a language."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_sealed(self) -> bool:
        return (self.path / "cell.json").exists()

    def seal_info(self) -> dict[str, Any]:
        """What was recorded when the cell was sealed: fingerprint, signature, counts."""
        return read_json(self.path / "cell.json")

    def begun_with(self) -> dict[str, Any] | None:
        """The fingerprint fields under which this cell was begun, sealed or not; None if it was not."""
        if self.is_sealed:
            return self.seal_info()["fingerprint"]
        path = self.path / "begun.json"
        return read_json(path) if path.exists() else None

    def begin(self, fingerprint: Mapping[str, Any]) -> None:
        """Records under which fingerprint the cell is being made."""
        write_json(self.path / "begun.json", dict(fingerprint))

    def log(self, name: str) -> AppendLog:
        return AppendLog(self.path / f"{name}.jsonl")

    def seal(self, tables: Mapping[str, tuple[type, Sequence[Any]]], info: Mapping[str, Any]) -> None:
        """Writes the tables (name -> record type and rows), then ``cell.json``; drops what was only for running."""
        for name, (kind, rows) in tables.items():
            write_records(self.path / f"{name}.parquet", kind, rows)
        write_json(self.path / "cell.json", dict(info))
        for leftover in (*self.path.glob("*.jsonl"), self.path / "begun.json", self.path / "gap.json"):
            leftover.unlink(missing_ok=True)

    def reopen(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Makes a sealed cell one that is being made, with these rows in its log ``name``."""
        lines = "".join(json.dumps(x, ensure_ascii=False) + "\n" for x in rows)
        write_atomically(self.path / f"{name}.jsonl", lines)
        self.begin(self.seal_info()["fingerprint"])
        (self.path / "cell.json").unlink()


def begin_or_refuse(
    folder: CellFolder, fingerprint: dict[str, Any], what: str, advice: str = "give the run another name or folder"
) -> None:
    """Records the fingerprint of a new cell; refuses to go on with one that was begun under another."""
    begun = folder.begun_with()
    if begun is None:
        folder.begin(fingerprint)
    elif changed := differing(begun, fingerprint):
        raise StoreError(
            f"{what} was begun with other settings ({'; '.join(changed)}); {advice}, or restore what changed."
        )


class RunDirectory:
    """Paths and whole-run files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run. Raises StoreError if there is none, or if a newer version wrote it."""
        run = cls(path)
        if not (path / "manifest.json").exists():
            raise StoreError(f"{path} is not a run directory (no manifest.json).")
        manifest = run.manifest()
        if not isinstance(manifest, dict):
            raise StoreError(f"{path / 'manifest.json'} is damaged: it holds no mapping.")
        version = manifest.get("schema_version")
        if version not in range(1, SCHEMA_VERSION + 1):
            raise StoreError(
                f"{path} was written with schema version {version}; "
                f"this version of croco-eval reads versions 1 to {SCHEMA_VERSION}."
            )
        return run

    def manifest(self) -> dict[str, Any]:
        return read_json(self.path / "manifest.json")

    def config_text(self) -> str | None:
        """The resolved config, or None in a directory that has none yet. Raises StoreError if it can't be read."""
        path = self.path / "config.yaml"
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{path} can't be read: {error}.") from error

    def cell(self, system: str, suite: str, language: str) -> CellFolder:
        return CellFolder(self.path / "cells" / system / suite / language)

    @property
    def ledger(self) -> Path:
        """What all calls of this run cost."""
        return self.path / "ledger.jsonl"

    def judge_folder(self, judge: str) -> Path:
        """All judgments of one judge."""
        return self.path / "judgments" / judge

    def judgments(self, judge: str, candidate: str, reference: str, suite: str, language: str) -> CellFolder:
        return CellFolder(self.judge_folder(judge) / f"{candidate}__{reference}" / suite / language)
