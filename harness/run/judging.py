"""Judging: every open-ended answer of each candidate beside the reference's, one stream of cases per judge.

The stream runs over all cells, so that a judge with many calls in flight never waits for the last ones of a cell.
Judgments find their way back to the log of their cell, are on the disk before they count, and a cell is sealed as
soon as it has all of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from ..api.judge import NO_ANSWER, Case, Judge, JudgingCell, Ruling
from ..api.records import AnswerPair, Generation, Item, Judgment, Order, Signature
from ..errors import BudgetSpent, CrocoError, StoreError
from ..store.files import write_json
from ..store.fingerprint import digest
from ..store.parquet import read_records
from ..store.run_directory import CellFolder, RunDirectory, begin_or_refuse
from ..text.answers import answers_of
from .plan import judge_signature
from .progress import JudgingProgress

Wanted = tuple[str, Order]


def judging_cells(run: RunDirectory, judge: str) -> list[JudgingCell]:
    """All that this judge can judge: both systems' cells are there."""
    manifest = run.manifest()
    reference = manifest["reference"]
    return [
        JudgingCell(judge, candidate, reference, suite, language)
        for suite, facts in manifest["suites"].items()
        if facts["kind"] == "open"
        for language in manifest["languages"]
        for candidate in manifest["systems"]
        if candidate != reference and all(run.cell(x, suite, language).is_sealed for x in (candidate, reference))
    ]


@dataclass
class Judged:
    """What a judge has judged: items per suite, and how many judgments got no answer from it."""

    n_items: Counter[str] = field(default_factory=Counter)
    n_unanswered: int = 0


def judge_cells(
    run: RunDirectory,
    judge: Judge,
    cells: Sequence[JudgingCell],
    progress: JudgingProgress,
    ask_unanswered: bool = False,
) -> Judged:
    """Judges what is not judged yet and seals what is whole.

    ``ask_unanswered`` takes up whole cells again in which the judge was asked and never answered. Raises StoreError
    if a cell was begun under other circumstances, and what the judge raises when it can't go on; then cells that are
    not whole say so in ``gap.json``.
    """
    judging = _Judging(run, judge, progress, ask_unanswered)
    try:
        with closing(judge.judge(judging.cases(cells), run, progress.tell)) as stream:
            for rulings in stream:
                judging.record(rulings)
    except StoreError:
        raise  # nothing was asked, or nothing can be written: what the cells say of earlier judging stands
    except CrocoError as error:
        judging.note_gaps(cells, "budget" if isinstance(error, BudgetSpent) else str(error))
        raise
    finally:
        judging.close()
    return judging.judged


class _OpenCell:
    """A cell that still wants judgments: which ones, and the log they go to."""

    def __init__(self, folder: CellFolder, pairs: Sequence[AnswerPair], judge: Judge, info: dict[str, Any]) -> None:
        self._folder, self._info = folder, info
        self._place = {x.item.item_id: i for i, x in enumerate(pairs)}
        planned = [(x.item.item_id, order) for x in pairs for order in judge.orders(x)]
        self.n_planned = len(planned)
        self.n_items = len({item for item, _ in planned})
        self._orders_per_item = max(Counter(item for item, _ in planned).values(), default=0)
        self._log = folder.log("judgments")
        self.wanted = set(planned) - self._known().keys()

    def record(self, judgments: Sequence[Judgment]) -> None:
        self._log.append(vars(x) for x in judgments)
        self.wanted -= {(x.item_id, x.order) for x in judgments}

    @property
    def n_items_judged(self) -> int:
        return self.n_items - len({item for item, _ in self.wanted})

    def seal(self) -> None:
        judgments = sorted(self._judgments().values(), key=lambda x: (self._place[x.item_id], x.order))
        info = {
            **self._info,
            "n_items": self.n_items,
            "orders_per_item": self._orders_per_item,
            "n_unanswered": sum(not _is_answered(x) for x in judgments),
        }
        self.close()
        self._folder.seal({"judgments": (Judgment, judgments)}, info)

    def note_gap(self, reason: str) -> None:
        judged = f"judged {self.n_items_judged} of {self.n_items}"
        write_json(self._folder.path / "gap.json", {"reason": f"{judged}: {reason}"})

    def close(self) -> None:
        self._log.close()

    def _judgments(self) -> dict[Wanted, Judgment]:
        return {(x.item_id, x.order): x for x in (Judgment(**row) for row in self._log.rows())}

    def _known(self) -> dict[Wanted, Judgment]:
        """What need not be judged again: all but what was asked and never answered."""
        return {k: x for k, x in self._judgments().items() if _is_answered(x)}


class _Judging:
    """The cells of one judge while they are judged; each is opened when the stream reaches it."""

    def __init__(self, run: RunDirectory, judge: Judge, progress: JudgingProgress, ask_unanswered: bool) -> None:
        self._run, self._judge, self._progress = run, judge, progress
        self._ask_unanswered = ask_unanswered
        self._open: dict[JudgingCell, _OpenCell] = {}
        self.judged = Judged()

    def cases(self, cells: Sequence[JudgingCell]) -> Iterator[Case]:
        """Every case that is not judged yet, cell by cell."""
        expected = _ExpectedJudgments(self._run, cells, self._progress)
        for cell in cells:
            folder = _judgments_of(self._run, cell)
            info = self._info(cell, folder)
            if self._ask_unanswered:
                _reopen_if_unanswered(folder)
            if folder.is_sealed:
                self._count(cell, folder)
                continue
            (folder.path / "gap.json").unlink(missing_ok=True)
            pairs = _answer_pairs(self._run, cell)
            opened = self._open[cell] = _OpenCell(folder, pairs, self._judge, info)
            expected.correct(cell, opened.n_planned, opened.n_items)
            self._progress.judged(opened.n_planned - len(opened.wanted), asked=False)
            wanted = set(opened.wanted)
            self._seal_if_whole(cell)
            for pair in pairs:
                for order in self._judge.orders(pair):
                    if (pair.item.item_id, order) in wanted:
                        yield Case(cell, pair, order)

    def record(self, rulings: Sequence[Ruling]) -> None:
        """Writes judgments down, each with its cell; seals the cells that are whole now."""
        by_cell: dict[JudgingCell, list[Judgment]] = defaultdict(list)
        for case, judgment in rulings:
            by_cell[case.cell].append(judgment)
        for cell, judgments in by_cell.items():
            self._open[cell].record(judgments)
            self._progress.judged(len(judgments), unscored=sum(x.verdict is None for x in judgments))
            self._seal_if_whole(cell)

    def note_gaps(self, cells: Sequence[JudgingCell], reason: str) -> None:
        """Says in each cell that is not whole how far it came."""
        for cell in cells:
            folder = _judgments_of(self._run, cell)
            if cell in self._open:
                self._open[cell].note_gap(reason)
            elif not folder.is_sealed:
                write_json(folder.path / "gap.json", {"reason": f"not judged: {reason}"})

    def close(self) -> None:
        for cell in self._open.values():
            cell.close()

    def _seal_if_whole(self, cell: JudgingCell) -> None:
        if not self._open[cell].wanted:
            self._open.pop(cell).seal()
            self._count(cell, _judgments_of(self._run, cell))

    def _count(self, cell: JudgingCell, folder: CellFolder) -> None:
        info = folder.seal_info()
        self.judged.n_items[cell.suite] += info["n_items"]
        self.judged.n_unanswered += info.get("n_unanswered", 0)
        self._progress.cell_ends()

    def _info(self, cell: JudgingCell, folder: CellFolder) -> dict[str, Any]:
        """Fingerprint and signature of a cell's judgments; refuses a cell that was begun under another fingerprint."""
        candidate, reference = (
            self._run.cell(x, cell.suite, cell.language).seal_info() for x in (cell.candidate, cell.reference)
        )
        identity = self._judge.identity_in(cell.language)
        fingerprint = {
            **{f"judge.{k}": v for k, v in identity.items()},
            "candidate": digest(candidate["fingerprint"]),
            "reference": digest(reference["fingerprint"]),
        }
        what = f"the judging of {cell.candidate} by {cell.judge} ({cell.suite}, {cell.language})"
        begin_or_refuse(folder, fingerprint, what, "give the judge another name")
        signature = judge_signature(cell.judge, identity, Signature.parse(candidate["signature"]))
        return {"fingerprint": fingerprint, "signature": str(signature)}


class _ExpectedJudgments:
    """How many judgments there will be, before the cells are opened: as many per item as in those seen so far."""

    def __init__(self, run: RunDirectory, cells: Sequence[JudgingCell], progress: JudgingProgress) -> None:
        self._progress = progress
        self._items = {
            x: run.cell(x.candidate, x.suite, x.language).seal_info()["n_items"]
            for x in cells
            if not _judgments_of(run, x).is_sealed
        }
        self._seen_items = self._seen_judgments = 0

    def correct(self, cell: JudgingCell, judgments: int, items: int) -> None:
        self._items.pop(cell, None)
        self._seen_items += items if judgments else 0
        self._seen_judgments += judgments
        rate = self._seen_judgments / self._seen_items if self._seen_items else 1
        self._progress.expect(self._seen_judgments + round(rate * sum(self._items.values())))


def _is_answered(judgment: Judgment) -> bool:
    return not (judgment.unscored or "").startswith(NO_ANSWER)


def _reopen_if_unanswered(folder: CellFolder) -> None:
    if folder.is_sealed and folder.seal_info().get("n_unanswered", 0):
        folder.reopen("judgments", [asdict(x) for x in read_records(folder.path / "judgments.parquet", Judgment)])


def _judgments_of(run: RunDirectory, cell: JudgingCell) -> CellFolder:
    return run.judgments(cell.judge, cell.candidate, cell.reference, cell.suite, cell.language)


def _answer_pairs(run: RunDirectory, cell: JudgingCell) -> list[AnswerPair]:
    """Items both systems answered, with the two answers, in the candidate's order."""
    candidate, reference = (run.cell(x, cell.suite, cell.language) for x in (cell.candidate, cell.reference))
    own, other = (answers_of(read_records(x.path / "generations.parquet", Generation)) for x in (candidate, reference))
    return [
        AnswerPair(x, cell.language, own[x.item_id].text, other[x.item_id].text)
        for x in read_records(candidate.path / "items.parquet", Item)
        if x.item_id in own and x.item_id in other
    ]
