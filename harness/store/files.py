"""Atomic writes, JSON files, and append-only logs that survive a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import StoreError


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
