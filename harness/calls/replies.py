"""A log of replies, written as they arrive, so that a process that was killed does not ask for them again."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from ..errors import StoreError
from .messages import ChatReply


class ReplyLog:
    """Replies by the key of their request. Only keys and places are in memory; replies are read back from the file.

    One thread may add while another one reads. The file is for a run that goes on: when all that was asked has become
    records, ``discard`` removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[bytes, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._end = self._index()
        except OSError as error:
            raise StoreError(f"{path} can't be written: {error.strerror or error}.") from error

    def add(self, key: str, reply: ChatReply) -> None:
        """Writes a reply; it outlives this process at once. Raises StoreError if the disk is full or gone."""
        line = json.dumps([key, reply.as_row()]).encode() + b"\n"
        try:
            if os.write(self._file, line) < len(line):
                os.ftruncate(self._file, self._end)
                raise StoreError(f"{self._path} can't be written: the disk is full.")
        except OSError as error:
            raise StoreError(f"{self._path} can't be written: {error.strerror or error}.") from error
        self._places[bytes.fromhex(key)] = self._end
        self._end += len(line)

    def get(self, key: str) -> ChatReply | None:
        """The reply to this request, if it came before and was not forgotten."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        line = b""
        while not line.endswith(b"\n"):
            block = os.pread(self._file, 1 << 14, place + len(line))
            line += block[: block.find(b"\n") + 1] or block
            if not block:
                raise StoreError(f"{self._path} was changed while it was in use.")
        return ChatReply.from_row(json.loads(line)[1])

    def forget(self, key: str) -> None:
        """Gives this reply to nobody else in this process: it was of no use."""
        self._places.pop(bytes.fromhex(key), None)

    def close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            with suppress(OSError):
                os.close(file)

    def discard(self) -> None:
        """Closes and removes the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _index(self) -> int:
        """Notes where each reply stands, drops a torn last line, and gives the end of the file."""
        end = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, end)
                    break
                try:
                    self._places[bytes.fromhex(json.loads(line)[0])] = end
                except (ValueError, TypeError, IndexError) as error:
                    raise StoreError(f"{self._path} is damaged ({error}); remove it to go on without it.") from None
                end += len(line)
        return end
