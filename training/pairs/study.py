"""The study's own files: scored generations and parallel prompts in, its SFT and DPO records out (all JSONL).

A scored file holds one row per generation (``messages``, ``reward_score``), a prompt file one row per source prompt;
the language is the last ``_`` part of a file's name without ``_scored``, and line i of every prompt file is the same
source prompt. Source: the scripts of arXiv 2605.26293 (jjzha/CroCo, ``prepare_fine_tuning_data.py``).

Texts stay in the files: what is kept of a row is its pool, its reward and where it lies.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
import orjson

from ...harness.errors import DataError
from .rule import REASONS, Outcome, Target, best_candidates, pick_pairs

PromptSource: TypeAlias = Literal["chosen", "rejected", "random"]
_UNSCORABLE = -999.0
"""What the study's scoring script writes where it could not read a reward."""


def language_of(file: Path) -> str:
    """The language of a file by its name: ``responses_da_scored.jsonl`` and ``prompts_da.jsonl`` are ``da``."""
    return file.name.lower().removesuffix(".jsonl").replace("_scored", "").split("_")[-1]


@dataclass
class Prompts:
    """The parallel prompts: where each line of each language lies. ``lines``: (language, text) -> line."""

    files: dict[str, Path] = field(default_factory=dict)
    offsets: dict[str, list[int]] = field(default_factory=dict)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def languages(self) -> list[str]:
        return list(self.files)

    def find(self, language: str, text: str) -> int | None:
        """The line of a prompt, by its text in this language or, failing that, in any other."""
        line = self.lines.get((language, text))
        if line is not None:
            return line
        return next((self.lines[x, text] for x in self.languages if (x, text) in self.lines), None)

    def has(self, language: str, line: int) -> bool:
        """Whether a source prompt is there in a language."""
        return language in self.offsets and line < len(self.offsets[language]) and self.offsets[language][line] >= 0


def read_prompts(files: Sequence[Path]) -> Prompts:
    """The prompts of all files. Raises DataError for a file that can't be read, and for two files of one language."""
    prompts = Prompts()
    for file in files:
        language = language_of(file)
        if language in prompts.files:
            raise DataError(f"{prompts.files[language]} and {file} are both prompts in {language!r}.")
        prompts.files[language] = file
        offsets = prompts.offsets[language] = []
        with _opened(file) as handle:
            for offset, row in _rows(handle):
                text = _message(row, "user") if isinstance(row, dict) else None
                offsets.append(offset if text else -1)
                if text:
                    prompts.lines[language, text] = len(offsets) - 1
    return prompts


@dataclass(frozen=True)
class Scored:
    """One entry per usable generation, in the order of the files: its language and file (places in ``languages`` and
    ``files``), source prompt, reward, and where its row begins. ``problems``: (language, what) -> rows left out."""

    files: list[Path]
    languages: list[str]
    file: np.ndarray
    language: np.ndarray
    line: np.ndarray
    reward: np.ndarray
    offset: np.ndarray
    problems: Mapping[tuple[str, str], int]
    examples: Mapping[tuple[str, str], str]


def read_scored(files: Sequence[Path], prompts: Prompts) -> Scored:
    """All scored generations whose prompt is known; several files are read by several processes.

    Rows that can't be used are counted by reason, with the place of the first. Raises DataError for a file that can't
    be read and if no row can be used.
    """
    languages = list(dict.fromkeys(language_of(x) for x in files))
    parts = _in_processes([(x, prompts) for x in files])
    problems: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for file, (_, counts, first) in zip(files, parts, strict=True):
        language = language_of(file)
        problems.update({(language, reason): n for reason, n in counts.items()})
        for reason, number in first.items():
            examples.setdefault((language, reason), f"{file}:{number}")
    sizes = [len(rows) for rows, _, _ in parts]
    if not sum(sizes):
        what = ", ".join(f"{n} rows {reason}" for (_, reason), n in problems.items()) or "the files are empty"
        raise DataError(f"no scored generation can be used: {what}.")
    rows = np.concatenate([x for x, _, _ in parts])
    codes = [languages.index(language_of(x)) for x in files]
    return Scored(
        files=list(files),
        languages=languages,
        file=np.repeat(np.arange(len(files)), sizes),
        language=np.repeat(codes, sizes),
        line=rows["line"],
        reward=rows["reward"],
        offset=rows["offset"],
        problems=dict(problems),
        examples=examples,
    )


_ROW = np.dtype([("line", "i8"), ("reward", "f8"), ("offset", "i8")])
_Part: TypeAlias = tuple[np.ndarray, Counter[str], dict[str, int]]


def _in_processes(jobs: list[tuple[Path, Prompts]]) -> list[_Part]:
    """The parts of all files, in their order. Forked processes share what is in memory; elsewhere one does it all."""
    workers = min(len(jobs), os.cpu_count() or 1)
    if workers < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [_read_part(*x) for x in jobs]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        return list(pool.map(_read_part, *zip(*jobs, strict=True)))


def _read_part(file: Path, prompts: Prompts) -> _Part:
    """The usable rows of a file; how many of the others there are by reason, and the number of the first of them."""
    language = language_of(file)
    rows: list[tuple[int, float, int]] = []
    problems: Counter[str] = Counter()
    first: dict[str, int] = {}
    with _opened(file) as handle:
        for number, (offset, row) in enumerate(_rows(handle), 1):
            line, reward, problem = _usable(row, language, prompts)
            if problem is None:
                rows.append((line, reward, offset))
            else:
                problems[problem] += 1
                first.setdefault(problem, number)
    return np.array(rows, dtype=_ROW), problems, first


def _usable(row: Any, language: str, prompts: Prompts) -> tuple[int, float, str | None]:
    """(source prompt, reward, None), or why the row can't be used."""
    if not isinstance(row, dict):
        return -1, math.nan, "are not JSON objects"
    text, reward = _message(row, "user"), row.get("reward_score")
    if text is None:
        return -1, math.nan, "have no messages with a prompt"
    if isinstance(reward, bool) or not isinstance(reward, int | float):
        return -1, math.nan, "have no reward_score"
    if not math.isfinite(reward) or reward == _UNSCORABLE:
        return -1, math.nan, "have a reward that is not a finite number"
    if not _message(row, "assistant"):
        return -1, math.nan, "have an empty answer"
    line = prompts.find(language, text)
    return (-1, math.nan, "have a prompt without a parallel line") if line is None else (line, float(reward), None)


def dpo_records(
    scored: Scored,
    prompts: Prompts,
    pool: Literal["language", "all"],
    reject_target: Target = "mean_minus_2sigma",
    prompt_source: PromptSource = "chosen",
    seed: int = 42,
) -> tuple[Iterator[dict[str, Any]], Counter[str]]:
    """The study's DPO records in the order of source prompts, and the pools that gave none by reason.

    ``pool``: candidates of one prompt in one language, or in all. In a pool of all languages the prompt is shown in the
    language of chosen, of rejected, or in one drawn from those it exists in.
    """
    keys = scored.line * len(scored.languages) + scored.language if pool == "language" else scored.line
    picks = pick_pairs(scored.reward, keys, rejected=reject_target)
    counts = Counter(picks.outcomes.tolist())
    skips = Counter({REASONS[Outcome(x)]: n for x, n in counts.items() if x != Outcome.PAIR})
    chosen, rejected, sizes = (x[picks.has_pair] for x in (picks.chosen, picks.rejected, picks.sizes))
    return _dpo_records(scored, prompts, pool, prompt_source, seed, chosen, rejected, sizes), skips


def _dpo_records(
    scored: Scored,
    prompts: Prompts,
    pool: str,
    prompt_source: PromptSource,
    seed: int,
    chosen: np.ndarray,
    rejected: np.ndarray,
    sizes: np.ndarray,
) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    with _Texts(scored, prompts) as texts:
        for best, worse, size in zip(chosen.tolist(), rejected.tolist(), sizes.tolist(), strict=True):
            line = int(scored.line[best])
            ours, theirs = (scored.languages[scored.language[x]] for x in (best, worse))
            wanted = {"chosen": ours, "rejected": theirs, "random": None}[prompt_source if pool == "all" else "chosen"]
            language, prompt = texts.prompt(line, wanted, rng)
            group = "all" if pool == "all" else ours
            yield {
                "id": prompt.get("id") or f"dpo_{line}_{group}_{_short_hash(line, group)}",
                "source_dataset": prompt.get("source_dataset"),
                "domain": prompt.get("domain"),
                "prompt": _message(prompt, "user"),
                "prompt_language": language,
                "chosen": texts.answer(best),
                "rejected": texts.answer(worse),
                "chosen_score": float(scored.reward[best]),
                "rejected_score": float(scored.reward[worse]),
                "chosen_language": ours,
                "rejected_language": theirs,
                "pool_size": size,
            }


def sft_records(scored: Scored, prompts: Prompts, pool: Literal["language", "all"]) -> Iterator[dict[str, Any]]:
    """The study's SFT records: the best generation of each prompt, in each language or over all of them."""
    keys = scored.line * len(scored.languages) + scored.language if pool == "language" else scored.line
    _, rows = best_candidates(scored.reward, keys)
    rng = np.random.default_rng(0)
    with _Texts(scored, prompts) as texts:
        for row in rows.tolist():
            line, language = int(scored.line[row]), scored.languages[scored.language[row]]
            _, prompt = texts.prompt(line, language, rng)
            yield {
                "id": prompt.get("id") or f"sft_{line}_{language}_{_short_hash(line, language)}",
                "source_dataset": prompt.get("source_dataset"),
                "domain": prompt.get("domain"),
                "prompt": _message(prompt, "user"),
                "language": language,
                "completion": texts.answer(row),
                "reward_score": float(scored.reward[row]),
            }


class _Texts:
    """The rows that were picked, read from where they lie."""

    def __init__(self, scored: Scored, prompts: Prompts) -> None:
        self._scored, self._prompts = scored, prompts
        self._open: dict[Path, BinaryIO] = {}

    def __enter__(self) -> _Texts:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._open.values():
            handle.close()

    def answer(self, row: int) -> str:
        """The answer of a generation."""
        file = self._scored.files[self._scored.file[row]]
        return _message(self._read(file, int(self._scored.offset[row])), "assistant") or ""

    def prompt(self, line: int, language: str | None, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
        """(language, row) of a source prompt: in the language asked for, or in one of those it exists in."""
        available = [x for x in self._prompts.languages if self._prompts.has(x, line)]
        if language not in available:
            language = available[int(rng.integers(len(available)))]
        return language, self._read(self._prompts.files[language], self._prompts.offsets[language][line])

    def _read(self, file: Path, offset: int) -> dict[str, Any]:
        handle = self._open.get(file)
        if handle is None:
            handle = self._open[file] = file.open("rb")
        handle.seek(offset)
        return _parsed(handle.readline())


def write_jsonl(file: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Writes records, one per line, and gives their number. The file appears when it is whole."""
    partial, count = file.with_name(file.name + ".partial"), 0
    with partial.open("wb") as handle:
        for count, record in enumerate(records, 1):  # noqa: B007
            handle.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    partial.replace(file)
    return count


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror or error}.") from error


def _rows(handle: BinaryIO) -> Iterator[tuple[int, Any]]:
    """(where it begins, row) of each line that is not blank; None for one that is no JSON."""
    offset = 0
    for line in handle:
        if not line.isspace():
            yield offset, _parsed(line)
        offset += len(line)


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except ValueError:
        try:
            return json.loads(line)  # knows NaN and Infinity, which are no JSON but are written all the same
        except ValueError:
            return None


def _message(row: Any, role: str) -> str | None:
    """The first message of a role, without the space around it; None where there is none."""
    try:
        for message in row["messages"]:
            if message["role"] == role:
                return message["content"].strip()
    except (KeyError, TypeError, AttributeError):  # not the layout: the row is counted, and named
        return None
    return None


def _short_hash(line: int, group: str) -> str:
    return hashlib.md5(f"{line}_{group}".encode(), usedforsecurity=False).hexdigest()[:8]
