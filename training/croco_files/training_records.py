"""The study's SFT and DPO records (JSONL) from its scored files; texts are read for the rows that were picked."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from ...harness.store.files import replacing
from ..pairing.rule import Pool, PromptSource, Target, best_candidates, pick_pairs
from .prompt_files import Prompts, message, parsed
from .scored_files import Scored

_KEPT = 1024
"""Texts that are kept, because the next file asks for the same ones."""


@dataclass(frozen=True)
class FilePairs:
    """Rows of chosen and rejected generations and the sizes of their pools, in the order of source prompts; ``skips``
    counts the pools that gave none, by reason."""

    pool: Pool
    chosen: np.ndarray
    rejected: np.ndarray
    sizes: np.ndarray
    skips: Counter[str]

    def of_language(self, scored: Scored, language: str) -> FilePairs:
        """Those whose chosen generation is in a language."""
        these = scored.language_of(self.chosen) == scored.languages.index(language)
        return FilePairs(self.pool, self.chosen[these], self.rejected[these], self.sizes[these], self.skips)


def pick_scored_pairs(scored: Scored, pool: Pool, reject_target: Target = "mean_minus_2sigma") -> FilePairs:
    """The pairs. ``pool``: candidates of one prompt in one language, or in all."""
    skips: Counter[str] = Counter()
    found: list[tuple[np.ndarray, ...]] = []
    for rows in scored.blocks():
        picks = pick_pairs(scored.reward[rows], _pools(scored, rows, pool), rejected=reject_target)
        skips.update(picks.skips())
        has = picks.has_pair
        found.append((rows[picks.chosen[has]], rows[picks.rejected[has]], picks.sizes[has]))
    chosen, rejected, sizes = (np.concatenate(x) for x in zip(*found, strict=True))
    return FilePairs(pool, chosen, rejected, sizes, skips)


def pick_best(scored: Scored, pool: Pool) -> np.ndarray:
    """The rows with the highest reward of each pool, in the order of source prompts."""
    return np.concatenate(
        [rows[best_candidates(scored.reward[rows], _pools(scored, rows, pool))[1]] for rows in scored.blocks()]
    )


def _pools(scored: Scored, rows: np.ndarray, pool: Pool) -> np.ndarray:
    lines = scored.line[rows].astype(np.int64)
    return lines if pool == "all" else lines * len(scored.languages) + scored.language_of(rows)


class TrainingRecords:
    """The study's records of rows that were picked; their texts are read from where they lie.

    The prompt of a pair is shown in the language of chosen or, in pools of all languages, as ``prompt_source`` says;
    where it does not exist in that language, in one drawn from those it exists in.
    """

    def __init__(
        self, scored: Scored, prompts: Prompts, prompt_source: PromptSource = "chosen", seed: int = 42
    ) -> None:
        self._scored, self._prompts = scored, prompts
        self._prompt_source: PromptSource = prompt_source
        self._seed = seed
        self._open: dict[Path, BinaryIO] = {}
        self._answer = lru_cache(_KEPT)(self._read_answer)
        self._asked = lru_cache(_KEPT)(self._read_prompt)

    def __enter__(self) -> TrainingRecords:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._open.values():
            handle.close()

    def dpo(self, pairs: FilePairs) -> Iterator[dict[str, Any]]:
        """DPO records of pairs."""
        scored, rng = self._scored, np.random.default_rng(self._seed)
        columns = (pairs.chosen, pairs.rejected, pairs.sizes)
        spoken = (scored.language_of(x) for x in (pairs.chosen, pairs.rejected))
        for best, worse, size, *codes in zip(*(x.tolist() for x in (*columns, *spoken)), strict=True):
            line = int(scored.line[best])
            ours, theirs = (scored.languages[x] for x in codes)
            source = self._prompt_source if pairs.pool == "all" else "chosen"
            wanted = {"chosen": ours, "rejected": theirs, "random": None}[source]
            language, prompt = self._prompt(line, wanted, rng)
            group = "all" if pairs.pool == "all" else ours
            yield {
                "id": prompt.get("id") or f"dpo_{line}_{group}_{_short_hash(line, group)}",
                "source_dataset": prompt.get("source_dataset"),
                "domain": prompt.get("domain"),
                "prompt": message(prompt, "user"),
                "prompt_language": language,
                "chosen": self._answer(best),
                "rejected": self._answer(worse),
                "chosen_score": float(scored.reward[best]),
                "rejected_score": float(scored.reward[worse]),
                "chosen_language": ours,
                "rejected_language": theirs,
                "pool_size": size,
            }

    def sft(self, rows: np.ndarray) -> Iterator[dict[str, Any]]:
        """SFT records of generations."""
        scored, rng = self._scored, np.random.default_rng(self._seed)
        for row, code in zip(rows.tolist(), scored.language_of(rows).tolist(), strict=True):
            line, language = int(scored.line[row]), scored.languages[code]
            _, prompt = self._prompt(line, language, rng)
            yield {
                "id": prompt.get("id") or f"sft_{line}_{language}_{_short_hash(line, language)}",
                "source_dataset": prompt.get("source_dataset"),
                "domain": prompt.get("domain"),
                "prompt": message(prompt, "user"),
                "language": language,
                "completion": self._answer(row),
                "reward_score": float(scored.reward[row]),
            }

    def _prompt(self, line: int, language: str | None, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
        """(language, row) of a source prompt: in the language asked for, or in one of those it exists in."""
        if language is None or not self._prompts.has(language, line):
            available = [x for x in self._prompts.languages if self._prompts.has(x, line)]
            language = available[int(rng.integers(len(available)))]
        return language, self._asked(language, line)

    def _read_answer(self, row: int) -> str | None:
        file = self._scored.files[int(self._scored.file_of(np.array(row)))]
        return message(self._read(file, int(self._scored.offset[row])), "assistant")

    def _read_prompt(self, language: str, line: int) -> dict[str, Any]:
        return self._read(self._prompts.files[language], self._prompts.offsets[language][line])

    def _read(self, file: Path, offset: int) -> dict[str, Any]:
        handle = self._open.get(file)
        if handle is None:
            handle = self._open[file] = file.open("rb")
        handle.seek(offset)
        return parsed(handle.readline())


def write_jsonl(file: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Writes records, one per line, and gives their number. The file appears when it is whole. Raises StoreError."""
    count = 0
    with replacing(file) as handle:
        for count, record in enumerate(records, 1):  # noqa: B007
            handle.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    return count


def _short_hash(line: int, group: str) -> str:
    return hashlib.md5(f"{line}_{group}".encode(), usedforsecurity=False).hexdigest()[:8]
