"""Judging: every open-ended answer of each candidate beside the reference's, per judge, suite and language."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .errors import StoreError
from .fingerprint import differing, digest
from .judges import Judge
from .plan import Plan, judge_signature
from .progress import Progress
from .records import AnswerPair, Generation, Item, Judgment
from .store import CellFolder, RunDirectory, read_records


@dataclass(frozen=True)
class JudgingCell:
    """One judge on one candidate, suite and language."""

    judge: str
    candidate: str
    reference: str
    suite: str
    language: str


def judging_cells(plan: Plan, run: RunDirectory) -> list[JudgingCell]:
    """All that can be judged: both systems' cells are there."""
    reference = plan.config.reference_name
    return [
        JudgingCell(judge, candidate.name, reference, suite, language)
        for judge in plan.judges
        for candidate in plan.candidates
        for suite in plan.open_suites
        for language in plan.config.languages
        if all(run.cell(x, suite, language).is_sealed for x in (candidate.name, reference))
    ]


def judge_cell(run: RunDirectory, cell: JudgingCell, judge: Judge, progress: Progress) -> int:
    """Judges what is not judged yet and seals; gives the number of items the judge had something to say about.

    Raises StoreError if the cell was begun under other circumstances.
    """
    folder = run.judgments(cell.judge, cell.candidate, cell.reference, cell.suite, cell.language)
    candidate = run.cell(cell.candidate, cell.suite, cell.language)
    reference = run.cell(cell.reference, cell.suite, cell.language)
    fingerprint = {
        **{f"judge.{k}": v for k, v in judge.identity.items()},
        "candidate": digest(candidate.seal_info()["fingerprint"]),
        "reference": digest(reference.seal_info()["fingerprint"]),
    }
    begin_or_refuse(
        folder, fingerprint, f"judgments of {cell.judge} on {cell.candidate}, {cell.suite}, {cell.language}"
    )
    if folder.is_sealed:
        return folder.seal_info()["n_items"]
    pairs = [x for x in answer_pairs(candidate, reference, cell.language) if judge.accepts(x)]
    log = folder.log("judgments")
    try:
        known = [Judgment(**x) for x in log.rows()]
        have = {x.item_id for x in known}
        progress.answers(len(have), len(pairs))
        for chunk in judge.judge([x for x in pairs if x.item.item_id not in have]):
            log.append(asdict(x) for x in chunk)
            known += chunk
            progress.answers(len(chunk), 0)
    finally:
        log.close()
    place = {x.item.item_id: i for i, x in enumerate(pairs)}
    known.sort(key=lambda x: (place[x.item_id], x.order))
    info = {
        "fingerprint": fingerprint,
        "signature": judge_signature(cell.judge, judge.identity, candidate.seal_info()["signature"]),
        "n_items": len(pairs),
    }
    folder.seal({"judgments": (Judgment, known)}, info)
    return len(pairs)


def answer_pairs(candidate: CellFolder, reference: CellFolder, language: str) -> list[AnswerPair]:
    """Items both systems answered, with the two answers, in the candidate's order."""
    own, other = _answers(candidate), _answers(reference)
    items = read_records(candidate.path / "items.parquet", Item)
    return [
        AnswerPair(x, language, own[x.item_id], other[x.item_id])
        for x in items
        if x.item_id in own and x.item_id in other
    ]


def _answers(cell: CellFolder) -> dict[str, str]:
    rows = read_records(cell.path / "generations.parquet", Generation)
    return {x.item_id: x.text for x in rows if x.index == 0 and x.text is not None}


def begin_or_refuse(folder: CellFolder, fingerprint: dict[str, Any], what: str) -> None:
    """Records the fingerprint of a new cell; refuses to go on with one that was begun under another."""
    begun = folder.begun_with()
    if begun is None:
        folder.begin(fingerprint)
    elif changed := differing(begun, fingerprint):
        raise StoreError(
            f"{what} was begun with other settings ({'; '.join(changed)}); "
            "give the run another name or folder, or restore what changed."
        )
