"""Judge ``panel``: several judges of the same run, joined item by item.

A panel asks nobody anything. Its members are judges that are listed before it: they judge as they always do, each with
its own judgments, calls and column in the tables, and the panel joins what they left in the run directory. So nothing
is asked or paid for twice, and a panel can be added to a run that was judged long ago.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..harness.api.judge import NO_ANSWER, Case, Judge, JudgeContext, JudgingCell, Ruling, Rulings
from ..harness.api.records import VERDICT_VALUE, AnswerPair, Item, Judgment, Order, Verdict
from ..harness.config.strict import Strict, parse_options
from ..harness.errors import JudgeError, UserError
from ..harness.registry import did_you_mean
from ..harness.store.fingerprint import differing
from ..harness.store.parquet import read_records
from ..harness.store.run_directory import CellFolder, RunDirectory

VERSION = "1"
SILENT = "has nothing to say about this item"
INCOMPLETE = "an order was not judged"
_EQUAL = 1e-9
_DECIMALS = 6


class PanelOptions(Strict):
    """Who sits on the panel and how its members are joined. Documented in docs/judges.md."""

    judges: list[Annotated[str, Field(min_length=1)]] = Field(min_length=2)
    join: Literal["mean", "majority"] = "mean"
    minimum: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _fit_together(self) -> PanelOptions:
        if len(set(self.judges)) < len(self.judges):
            raise ValueError("a judge sits on a panel once")
        if self.minimum is not None and self.minimum > len(self.judges):
            raise ValueError(f"minimum {self.minimum} is more than the {len(self.judges)} judges of the panel")
        return self

    @property
    def wanted(self) -> int:
        """How many members must have a preference."""
        return self.minimum or len(self.judges)


@dataclass(frozen=True)
class Opinion:
    """What one member thinks of one item, all its orders joined: a preference in [0, 1], or why there is none."""

    preference: float | None
    unscored: str | None = None

    @property
    def verdict(self) -> Verdict | None:
        return None if self.preference is None else verdict_of(self.preference)


class PanelJudge(Judge):
    """Joins the judgments of judges that are listed before it. Options: ``PanelOptions``."""

    description = "several judges of the run, joined by mean or majority"

    def __init__(self, /, **options: Any) -> None:
        self._options = parse_options(PanelOptions, options, "judge 'panel'")
        self.all_options = self._options.model_dump(mode="json")
        self._members: dict[str, Judge] = {}

    def bind(self, context: JudgeContext) -> None:
        super().bind(context)
        for name in self._options.judges:
            if name not in context.judges:
                known = ", ".join(context.judges) or "none"
                raise UserError(
                    f"judge {context.name!r}: {name!r} is not one of the judges listed before it ({known})"
                    f"{did_you_mean(name, context.judges)}; a panel stands after its members in `judges`."
                )
        self._members = {x: context.judges[x] for x in self._options.judges}

    @property
    def identity(self) -> dict[str, Any]:
        return self._identity(lambda member: member.identity)

    def identity_in(self, language: str) -> dict[str, Any]:
        return self._identity(lambda member: member.identity_in(language))

    def orders(self, pair: AnswerPair) -> tuple[Order, ...]:
        """One judgment: its members' orders are joined in it."""
        return ("unordered",)

    def judge(self, cases: Iterable[Case], run: RunDirectory, tell: Callable[[str], None]) -> Rulings:
        """Cell by cell. Raises JudgeError, after all other cells, if members have cells that are not whole."""
        waiting: Counter[str] = Counter()
        for cell, group in groupby(cases, key=lambda x: x.cell):
            folders = {x: _folder(run, x, cell) for x in self._members}
            if missing := [x for x, folder in folders.items() if not folder.is_sealed]:
                waiting.update(missing)
                continue
            for name, folder in folders.items():
                self._check_settings(name, folder, cell)
            opinions = {name: _opinions(folder) for name, folder in folders.items()}
            yield [Ruling(case, self._judgment(case.pair.item, opinions)) for case in group]
        if waiting:
            cells = ", ".join(f"{name} ({n} {'cell' if n == 1 else 'cells'})" for name, n in waiting.items())
            raise JudgeError(
                f"panel {self.context.name!r} waits for judgments of {cells}; "
                "let its members finish, then run the same command again."
            )

    def _judgment(self, item: Item, opinions: Mapping[str, Mapping[str, Opinion]]) -> Judgment:
        members = {x: found.get(item.item_id, Opinion(None, SILENT)) for x, found in opinions.items()}
        known = [x.preference for x in members.values() if x.preference is not None]
        verdict: Verdict | None = None
        preference: float | None = None
        unscored = None if len(known) >= self._options.wanted else self._shortage(members.values(), len(known))
        if unscored is None and self._options.join == "mean":
            preference = round(fmean(known), _DECIMALS)
            verdict = verdict_of(preference)
        elif unscored is None:
            verdict = majority([verdict_of(x) for x in known])
        details = {
            "members": {name: _as_detail(x) for name, x in members.items()},
            "spread": round(max(known) - min(known), _DECIMALS) if known else None,
        }
        kept = json.dumps(details, ensure_ascii=False)
        return Judgment(item.item_id, item.source_id, item.task, "unordered", verdict, unscored, kept, preference)

    def _shortage(self, members: Iterable[Opinion], n_known: int) -> str:
        """Why an item is unscored. If members were asked and never answered, it is open to be judged again."""
        reason = f"{n_known} of {len(self._members)} members have a preference, {self._options.wanted} are wanted"
        unanswered = any((x.unscored or "").startswith(NO_ANSWER) for x in members)
        return f"{NO_ANSWER}: {reason}" if unanswered else reason

    def _check_settings(self, name: str, folder: CellFolder, cell: JudgingCell) -> None:
        """Refuses judgments that were made by other settings than those the panel's identity is made of."""
        recorded = {k: v for k, v in folder.seal_info()["fingerprint"].items() if k.startswith("judge.")}
        identity = self._members[name].identity_in(cell.language)
        if changed := differing(recorded, {f"judge.{k}": v for k, v in identity.items()}):
            raise JudgeError(
                f"panel {self.context.name!r}: {name} judged {cell.candidate}, {cell.suite}, {cell.language} with "
                f"other settings ({'; '.join(changed)}); restore them, or name another judge."
            )

    def _identity(self, identify: Callable[[Judge], dict[str, Any]]) -> dict[str, Any]:
        return {
            "judge": "panel",
            "version": VERSION,
            "join": self._options.join,
            "minimum": self._options.wanted,
            **{f"members.{name}.{k}": v for name, x in self._members.items() for k, v in identify(x).items()},
        }


def verdict_of(preference: float) -> Verdict:
    """The side a preference is on."""
    if abs(preference - 0.5) <= _EQUAL:
        return "tie"
    return "candidate" if preference > 0.5 else "reference"


def majority(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of more than half of the members; a tie if there is none."""
    verdict, n = Counter(verdicts).most_common(1)[0]
    return verdict if 2 * n > len(verdicts) else "tie"


def join_orders(judgments: Sequence[Judgment], n_orders: int) -> Opinion:
    """The mean over the orders of an item; unscored as soon as one of them is, or is not there."""
    if reason := next((x.unscored for x in judgments if x.unscored), None):
        return Opinion(None, reason)
    values = [_value(x) for x in judgments]
    known = [x for x in values if x is not None]
    if len(known) < n_orders:
        return Opinion(None, INCOMPLETE)
    return Opinion(fmean(known))


def _value(judgment: Judgment) -> float | None:
    if judgment.preference is not None and math.isfinite(judgment.preference):
        return judgment.preference
    return None if judgment.verdict is None else VERDICT_VALUE[judgment.verdict]


def _opinions(folder: CellFolder) -> dict[str, Opinion]:
    by_item: dict[str, list[Judgment]] = defaultdict(list)
    for x in read_records(folder.path / "judgments.parquet", Judgment):
        by_item[x.item_id].append(x)
    n_orders = folder.seal_info().get("orders_per_item", 1)
    return {item: join_orders(found, n_orders) for item, found in by_item.items()}


def _folder(run: RunDirectory, member: str, cell: JudgingCell) -> CellFolder:
    return run.judgments(member, cell.candidate, cell.reference, cell.suite, cell.language)


def _as_detail(opinion: Opinion) -> dict[str, Any]:
    if opinion.preference is None:
        return {"unscored": opinion.unscored}
    return {"verdict": opinion.verdict, "preference": round(opinion.preference, _DECIMALS)}
