"""From the study's scored files to its training files: what ``train pair --layout study`` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...harness.errors import DataError, StoreError
from .rule import Target
from .study import PromptSource, Scored, dpo_records, read_prompts, read_scored, sft_records, write_jsonl


@dataclass(frozen=True)
class LanguagePairs:
    """What came out for a language (``all``: for the pools of all languages). Gaps are chosen less rejected, means;
    NaN without pairs. ``length_gap`` is in characters."""

    language: str
    pairs: int
    reward_gap: float
    length_gap: float


@dataclass(frozen=True)
class StudyFiles:
    """``records``: file name -> number of records; ``skips``: (pool, reason) -> pools without a pair."""

    records: Mapping[str, int]
    pairs: Sequence[LanguagePairs]
    skips: Mapping[tuple[str, str], int]
    scored: Scored


def write_study_files(
    scored_files: Sequence[Path],
    prompt_files: Sequence[Path],
    out: Path,
    reject_target: Target = "mean_minus_2sigma",
    prompt_source: PromptSource = "chosen",
    seed: int = 42,
) -> StudyFiles:
    """Writes the study's four kinds of training files into ``out``: SFT and DPO, per language and over all of them.

    Raises DataError for files that can't be read or used, StoreError if ``out`` can't be made.
    """
    prompts = read_prompts(prompt_files)
    scored = read_scored(scored_files, prompts)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{out} can't be made: {error.strerror or error}.") from error
    written: dict[str, int] = {}
    gaps: list[LanguagePairs] = []
    in_language, skips = dpo_records(scored, prompts, "language", reject_target, prompt_source, seed)
    over_all, skips_over_all = dpo_records(scored, prompts, "all", reject_target, prompt_source, seed)
    for language, records in _by_language(in_language, "chosen_language", scored.languages):
        written[f"dpo_in_lang_{language}.jsonl"] = _write_pairs(out, f"dpo_in_lang_{language}", language, records, gaps)
    written["dpo_all_lang.jsonl"] = _write_pairs(out, "dpo_all_lang", "all", over_all, gaps)
    for language, records in _by_language(sft_records(scored, prompts, "language"), "language", scored.languages):
        name = f"sft_in_lang_max_r_{language}.jsonl"
        written[name] = write_jsonl(out / name, records)
    written["sft_all_lang_max_r_.jsonl"] = write_jsonl(
        out / "sft_all_lang_max_r_.jsonl", sft_records(scored, prompts, "all")
    )
    counted = {("language", k): n for k, n in skips.items()} | {("all", k): n for k, n in skips_over_all.items()}
    return StudyFiles(written, gaps, counted, scored)


def _by_language(
    records: Iterable[dict[str, Any]], key: str, languages: Sequence[str]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Records of each language; the records of chosen candidates are few beside what they were chosen from."""
    groups: dict[str, list[dict[str, Any]]] = {x: [] for x in languages}
    for record in records:
        groups[record[key]].append(record)
    yield from groups.items()


def _write_pairs(
    out: Path, name: str, language: str, records: Iterable[dict[str, Any]], gaps: list[LanguagePairs]
) -> int:
    reward = length = 0.0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal reward, length
        for x in records:
            reward += x["chosen_score"] - x["rejected_score"]
            length += len(x["chosen"]) - len(x["rejected"])
            yield x

    n = write_jsonl(out / f"{name}.jsonl", counted())
    gaps.append(LanguagePairs(language, n, reward / n if n else float("nan"), length / n if n else float("nan")))
    return n


def check_files(files: Sequence[Path], what: str) -> None:
    """Raises DataError if none is given or one of them is no file."""
    if not files:
        raise DataError(f"no {what} file is given.")
    for file in files:
        if not file.is_file():
            raise DataError(f"{what} file {file} is not there.")
