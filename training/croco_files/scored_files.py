"""The study's scored generations: what is kept of each row is its prompt's line, its reward and where it lies.

Texts stay in the files. A usable row takes 20 bytes; what else grows with the rows is bounded by blocks of whole source
prompts, one at a time.
"""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...harness.errors import DataError
from .prompt_files import Prompts, language_of, message, opened, parsed

_UNSCORABLE = -999.0
"""What the study's scoring script writes where it could not read a reward."""
_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Scored:
    """One entry per usable generation: the line of its source prompt, its reward, and where its row begins. File comes
    after file, and within a file prompt after prompt; rows of one prompt are in the order of the file.

    ``starts``: where each file begins among the entries, and their number. ``problems``: (language, what) -> rows left
    out; ``repeats``: language -> rows that are byte for byte an earlier one of their file, which count like any other
    (the same answer may be sampled twice). ``examples`` names the first row of each.
    """

    files: list[Path]
    languages: list[str]
    starts: np.ndarray
    line: np.ndarray
    reward: np.ndarray
    offset: np.ndarray
    problems: Mapping[tuple[str, str], int]
    repeats: Mapping[str, int]
    examples: Mapping[tuple[str, str], str]

    def file_of(self, entries: np.ndarray) -> np.ndarray:
        """The files of entries, as places in ``files``."""
        return np.searchsorted(self.starts, entries, side="right") - 1

    def language_of(self, entries: np.ndarray) -> np.ndarray:
        """The languages of entries, as places in ``languages``."""
        codes = np.array([self.languages.index(language_of(x)) for x in self.files])
        return codes[self.file_of(entries)]

    def blocks(self) -> Iterator[np.ndarray]:
        """All entries, as many source prompts at once as have about 65,000 of them, in the order of the prompts."""
        files = [slice(x, y) for x, y in zip(self.starts[:-1], self.starts[1:], strict=True)]
        return _by_prompts([self.line[x] for x in files], self.starts)


REPEATED = "repeat an earlier row"


def read_scored(files: Sequence[Path], prompts: Prompts, meanwhile: Callable[[], object] = lambda: None) -> Scored:
    """All scored generations whose prompt is known; several files are read by several processes, and ``meanwhile`` is
    what there is to do while they read.

    Rows that can't be used are counted by reason, with the place of the first. Raises DataError for a file that can't
    be read, a file that is given twice, and if no row can be used.
    """
    if twice := [x for x in files if list(map(Path.resolve, files)).count(x.resolve()) > 1]:
        raise DataError(f"scored file {twice[0]} is given twice.")
    languages = list(dict.fromkeys(language_of(x) for x in files))
    parts = _in_processes([(x, prompts) for x in files], meanwhile)
    problems: Counter[tuple[str, str]] = Counter()
    repeats: Counter[str] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for file, part in zip(files, parts, strict=True):
        language = language_of(file)
        problems.update({(language, reason): n for reason, n in part.problems.items()})
        repeats[language] += part.repeats
        for reason, number in part.first.items():
            examples.setdefault((language, reason), f"{file}:{number}")
    sizes = [len(x.columns["line"]) for x in parts]
    if not sum(sizes):
        what = ", ".join(f"{n} rows {reason}" for (_, reason), n in problems.items()) or "the files are empty"
        raise DataError(f"no scored generation can be used: {what}.")
    line, reward, offset = (
        np.concatenate([x.columns.pop(name) for x in parts])  # one copy of a column at a time
        for name in ("line", "reward", "offset")
    )
    return Scored(
        files=list(files),
        languages=languages,
        starts=np.cumsum([0, *sizes]),
        line=line,
        reward=reward,
        offset=offset,
        problems=dict(problems),
        repeats=+repeats,
        examples=examples,
    )


@dataclass(frozen=True)
class _Part:
    """The usable rows of a file, as columns ``line``, ``reward`` and ``offset``; how many others there are by reason,
    and the line of the first of each."""

    columns: dict[str, np.ndarray]
    problems: Counter[str]
    repeats: int
    first: dict[str, int]


def _in_processes(jobs: list[tuple[Path, Prompts]], meanwhile: Callable[[], object]) -> list[_Part]:
    """The parts of all files, in their order. Forked processes share what is in memory; elsewhere one does it all."""
    workers = min(len(jobs), os.cpu_count() or 1)
    if workers < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [_read_part(*x) for x in jobs]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        parts = pool.map(_read_part, *zip(*jobs, strict=True))
        meanwhile()
        return list(parts)


def _read_part(file: Path, prompts: Prompts) -> _Part:
    language = language_of(file)
    lines, rewards, offsets, sizes = array("i"), array("d"), array("q"), array("q")
    problems: Counter[str] = Counter()
    first: dict[str, int] = {}
    offset = 0
    with opened(file) as handle:
        for number, data in enumerate(handle, 1):
            begins, offset = offset, offset + len(data)
            if data.isspace():
                continue
            line, reward, problem = _usable(parsed(data), language, prompts)
            if problem is not None:
                problems[problem] += 1
                first.setdefault(problem, number)
                continue
            lines.append(line)
            rewards.append(reward)
            offsets.append(begins)
            sizes.append(len(data))
    columns = {
        name: np.frombuffer(x, dtype=x.typecode)
        for name, x in (("line", lines), ("reward", rewards), ("offset", offsets), ("size", sizes))
    }
    if not (columns["line"][1:] >= columns["line"][:-1]).all():
        order = np.argsort(columns["line"], kind="stable")
        for name in columns:
            columns[name] = columns[name][order]
    repeated = _repeated(file, columns)
    del columns["size"]
    if repeated:
        first[REPEATED] = _line_number(file, min(repeated))
    return _Part(columns, problems, len(repeated), first)


def _by_prompts(lines: Sequence[np.ndarray], starts: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
    """Places of entries whose source prompts ascend in each of several columns, which begin at ``starts``: those of
    some prompts in all columns, then those of the next ones."""
    prompts = max((int(x[-1]) + 1 for x in lines if len(x)), default=0)
    step = max(1, prompts * _ROWS_AT_ONCE // max(1, sum(map(len, lines))))
    ends = np.arange(step, prompts + step, step)
    cuts = [np.append(0, np.searchsorted(x, ends)) for x in lines]
    for number in range(len(ends)):
        yield np.concatenate(
            [np.arange(x[number], x[number + 1]) + start for x, start in zip(cuts, starts, strict=False)]
        )


def _repeated(file: Path, columns: Mapping[str, np.ndarray]) -> list[int]:
    """Where the rows begin that are byte for byte an earlier one: of the same prompt, reward and length."""
    found: list[int] = []
    with opened(file) as handle:
        for block in _by_prompts([columns["line"]], [0]):
            keys = [columns[x][block] for x in ("line", "reward", "size")]
            order = np.lexsort(keys)
            alike = np.all([x[order][1:] == x[order][:-1] for x in keys], axis=0)
            seen: set[bytes] = set()
            for place in block[order[_neighbours(alike)]].tolist() if alike.any() else ():
                begins = int(columns["offset"][place])
                handle.seek(begins)
                text = hashlib.blake2b(handle.read(int(columns["size"][place])).strip(), digest_size=16).digest()
                if text in seen:
                    found.append(begins)
                seen.add(text)
    return found


def _neighbours(alike: np.ndarray) -> np.ndarray:
    """Whether each entry equals the one before it or the one after it."""
    return np.append(False, alike) | np.append(alike, False)


def _line_number(file: Path, offset: int) -> int:
    """The line, from 1, that begins at this byte."""
    lines = 1
    with opened(file) as handle:
        while block := handle.read(min(offset - handle.tell(), 1 << 20)):
            lines += block.count(b"\n")
    return lines


def _usable(row: Any, language: str, prompts: Prompts) -> tuple[int, float, str | None]:
    """(source prompt, reward, None), or why the row can't be used."""
    if not isinstance(row, dict):
        return -1, math.nan, "are not JSON objects"
    text, reward = message(row, "user"), row.get("reward_score")
    if text is None:
        return -1, math.nan, "have no messages with a prompt"
    if isinstance(reward, bool) or not isinstance(reward, int | float):
        return -1, math.nan, "have no reward_score"
    if not math.isfinite(reward) or reward == _UNSCORABLE:
        return -1, math.nan, "have a reward that is not a finite number"
    if not message(row, "assistant"):
        return -1, math.nan, "have an empty answer"
    line = prompts.find(language, text)
    return (-1, math.nan, "have a prompt without a parallel line") if line is None else (line, float(reward), None)
