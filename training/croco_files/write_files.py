"""From the study's scored files to its training files: what ``croco-eval train pair-files`` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...harness.errors import DataError
from ...harness.text.langid import is_in_language
from ...harness.text.languages import LANGUAGES
from ..pairing.rule import POOLS, Pool, PromptSource, Target
from ..pairing.select import PairSummary
from .prompt_files import read_prompts
from .scored_files import Scored, read_scored
from .training_records import FilePairs, TrainingRecords, pick_best, pick_scored_pairs, write_jsonl

_IDENTIFIED = 25
"""Pairs of each file, drawn at random, whose language is identified: it takes as long as selecting thousands."""
_CHARACTERS = 300
"""How much of an answer its language is identified by."""


@dataclass(frozen=True)
class WrittenFiles:
    """``records``: file name -> number of records; ``skips``: (pool, reason) -> pools without a pair."""

    records: Mapping[str, int]
    pairs: Sequence[PairSummary]
    skips: Mapping[tuple[str, str], int]
    scored: Scored


def write_training_files(
    scored_files: Sequence[Path],
    prompt_files: Sequence[Path],
    out: Path,
    reject_target: Target = "mean_minus_2sigma",
    prompt_source: PromptSource = "chosen",
    seed: int = 42,
    pools: Sequence[Pool] = POOLS,
) -> WrittenFiles:
    """Writes the study's training files into ``out``: SFT and DPO, of pools in each language and over all of them.

    Raises DataError for files that can't be read or used, StoreError if ``out`` can't be written.
    """
    prompts = read_prompts(prompt_files)
    scored = read_scored(scored_files, prompts, meanwhile=lambda: is_in_language("", "en"))
    picked = {x: pick_scored_pairs(scored, x, reject_target) for x in pools}
    with TrainingRecords(scored, prompts, prompt_source, seed) as records:
        work = _Writing(scored, records, out, seed)
        if "language" in picked:
            work.in_languages(picked["language"])
        if "all" in picked:
            work.dpo("dpo_all_lang.jsonl", "all", picked["all"])
            work.sft("sft_all_lang_max_r_.jsonl", pick_best(scored, "all"))
    skips = {(pool, reason): n for pool, x in picked.items() for reason, n in x.skips.items()}
    return WrittenFiles(work.written, work.pairs, skips, scored)


class _Writing:
    """Files written so far, and what came out for the pairs in them."""

    def __init__(self, scored: Scored, records: TrainingRecords, out: Path, seed: int) -> None:
        self._scored, self._records, self._out, self._seed = scored, records, out, seed
        self.written: dict[str, int] = {}
        self.pairs: list[PairSummary] = []

    def in_languages(self, pairs: FilePairs) -> None:
        """Writes the files of each language."""
        best = pick_best(self._scored, "language")
        for code, language in enumerate(self._scored.languages):
            self.dpo(f"dpo_in_lang_{language}.jsonl", language, pairs.of_language(self._scored, language))
            self.sft(f"sft_in_lang_max_r_{language}.jsonl", best[self._scored.language_of(best) == code])

    def sft(self, name: str, rows: np.ndarray) -> None:
        """Writes the records of the best generations."""
        self.written[name] = write_jsonl(self._out / name, self._records.sft(rows))

    def dpo(self, name: str, language: str, pairs: FilePairs) -> None:
        """Writes the records of pairs and sums them up."""
        n = len(pairs.chosen)
        drawn = set(np.random.default_rng(self._seed).permutation(n)[:_IDENTIFIED].tolist())
        lengths, chosen, rejected = 0, [], []

        def counted() -> Iterator[dict[str, Any]]:
            nonlocal lengths
            for number, x in enumerate(self._records.dpo(pairs)):
                lengths += len(x["chosen"]) - len(x["rejected"])
                if number in drawn:
                    chosen.append((x["chosen"], x["chosen_language"]))
                    rejected.append((x["rejected"], x["rejected_language"]))
                yield x

        self.written[name] = write_jsonl(self._out / name, counted())
        gaps = self._scored.reward[pairs.chosen] - self._scored.reward[pairs.rejected]
        best, worse = _off_target(chosen), _off_target(rejected)
        reward_gap, length_gap = (float(gaps.mean()), lengths / n) if n else (None, 0.0)
        self.pairs.append(PairSummary(language, n, reward_gap, length_gap, best[0], worse[0], best[1], worse[1]))


def _off_target(answers: Sequence[tuple[str, str]]) -> tuple[float | None, int]:
    """(share that is not in its language, of how many that can be told)."""
    known = [is_in_language(text[:_CHARACTERS], language) for text, language in answers if language in LANGUAGES]
    told = [x for x in known if x is not None]
    return (1 - sum(told) / len(told) if told else None), len(told)


def check_files(files: Sequence[Path], what: str) -> None:
    """Raises DataError if none is given or one of them is no file."""
    if not files:
        raise DataError(f"no {what} file is given.")
    for file in files:
        if not file.is_file():
            raise DataError(f"{what} file {file} is not there.")
