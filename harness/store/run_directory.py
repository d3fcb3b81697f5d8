"""The run directory: its files, the order in which they are written, and what counts as done.

While a cell runs, its answers are appended to ``generations.jsonl`` and are on the disk before they count; a torn
last line is dropped. When it is complete it is sealed: Parquet files, each renamed into place, then ``cell.json``,
whose presence says that the cell is whole.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import StoreError
from .files import AppendLog, read_json, write_atomically, write_json
from .fingerprint import differing
from .parquet import write_records

SCHEMA_VERSION = 2
"""2 added ``preference`` to the judgments. Older versions are read: a column that is not there has its default."""


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
