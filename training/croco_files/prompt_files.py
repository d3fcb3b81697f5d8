"""The study's own JSONL files: their rows, and the parallel prompts.

A prompt file holds one row per source prompt (``messages``), a scored file one per generation (``messages``,
``reward_score``); the language is the last ``_`` part of a file's name without ``_scored``, and line i of every prompt
file is the same source prompt. Source: the scripts of arXiv 2605.26293 (jjzha/CroCo, ``prepare_fine_tuning_data.py``).
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from ...harness.errors import DataError


def language_of(file: Path) -> str:
    """The language of a file by its name: ``responses_da_scored.jsonl`` and ``prompts_da.jsonl`` are ``da``."""
    return file.name.lower().removesuffix(".jsonl").replace("_scored", "").split("_")[-1]


@dataclass
class Prompts:
    """The parallel prompts: where each line of each language lies (-1: it has no prompt). Of their texts a hash is
    kept."""

    files: dict[str, Path] = field(default_factory=dict)
    offsets: dict[str, array[int]] = field(default_factory=dict)
    _lines: dict[str, dict[bytes, int]] = field(default_factory=dict)

    @property
    def languages(self) -> list[str]:
        return list(self.files)

    def add(self, language: str, text: str | None, offset: int) -> None:
        """The next line of a language; None where it has no prompt."""
        offsets = self.offsets[language]
        offsets.append(offset if text else -1)
        if text:
            self._lines.setdefault(language, {})[_key(text)] = len(offsets) - 1

    def find(self, language: str, text: str) -> int | None:
        """The line of a prompt, by its text in this language or, failing that, in any other."""
        key, own = _key(text), self._lines.get(language, {})
        return own[key] if key in own else next((x[key] for x in self._lines.values() if key in x), None)

    def has(self, language: str, line: int) -> bool:
        """Whether a source prompt is there in a language."""
        return language in self.offsets and line < len(self.offsets[language]) and self.offsets[language][line] >= 0


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def read_prompts(files: Sequence[Path]) -> Prompts:
    """The prompts of all files. Raises DataError for a file that can't be read, and for two files of one language."""
    prompts = Prompts()
    for file in files:
        language = language_of(file)
        if language in prompts.files:
            raise DataError(f"{prompts.files[language]} and {file} are both prompts in {language!r}.")
        prompts.files[language] = file
        prompts.offsets[language] = array("q")
        with opened(file) as handle:
            for offset, row in _rows(handle):
                prompts.add(language, message(row, "user") if isinstance(row, dict) else None, offset)
    return prompts


def opened(file: Path) -> BinaryIO:
    """A file to read. Raises DataError."""
    try:
        return file.open("rb", buffering=1 << 20)
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror or error}.") from error


def _rows(handle: BinaryIO) -> Iterator[tuple[int, Any]]:
    """(where it begins, row) of each line that is not blank; None for one that is no JSON."""
    offset = 0
    for line in handle:
        if not line.isspace():
            yield offset, parsed(line)
        offset += len(line)


def parsed(line: bytes) -> Any:
    """A row; None for one that is no JSON."""
    try:
        return orjson.loads(line)
    except ValueError:
        try:
            return json.loads(line)  # knows NaN and Infinity, which are no JSON but are written all the same
        except ValueError:
            return None


def message(row: Any, role: str) -> str | None:
    """The first message of a role, without the space around it; None where there is none."""
    try:
        for message in row["messages"]:
            if message["role"] == role:
                return message["content"].strip()
    except (KeyError, TypeError, AttributeError):  # not the layout: the row is counted, and named
        return None
    return None
