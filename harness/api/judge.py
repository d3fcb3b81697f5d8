"""What a judge is: its context in the run, the cases it is given and the rulings it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeAlias

from ..store.run_directory import RunDirectory
from .records import AnswerPair, Judgment, Order

NO_ANSWER = "no answer"
"""How ``Judgment.unscored`` begins where the judge was asked and never answered: a resumed run asks again."""


@dataclass(frozen=True)
class JudgingCell:
    """One judge on one candidate, suite and language."""

    judge: str
    candidate: str
    reference: str
    suite: str
    language: str


@dataclass(frozen=True)
class Case:
    """One judgment that is wanted: the two answers to an item of a cell, shown in an order."""

    cell: JudgingCell
    pair: AnswerPair
    order: Order


class Ruling(NamedTuple):
    """A case and the judgment of it."""

    case: Case
    judgment: Judgment


Rulings: TypeAlias = Generator[list[Ruling], None, None]


@dataclass(frozen=True)
class JudgeContext:
    """A judge's view of the run. ``name`` is the judge's name in the config; ``models`` holds, for each system,
    the names its model goes by, in lower case; ``judges`` holds the judges that are listed before this one."""

    name: str
    seed: int = 0
    languages: tuple[str, ...] = ()
    models: Mapping[str, frozenset[str]] = field(default_factory=dict)
    judges: Mapping[str, Judge] = field(default_factory=dict)


class Judge(ABC):
    """Prefers one of two answers. A class that takes its options, registered in ``croco_eval.judges``.

    It is made with its options, given its context (``bind``), asked whether it could start (``check``), and then given
    all cases of all its cells in one stream.
    """

    description: ClassVar[str]
    neutral_options: ClassVar[frozenset[str]] = frozenset()
    """Options that can't change a verdict; they may change in a run that has begun."""

    all_options: Mapping[str, Any] | None = None
    """Every option with its default, for the record; None for a judge that can't tell."""
    context: JudgeContext = JudgeContext("judge")

    def bind(self, context: JudgeContext) -> None:
        """Gives the judge its context. Raises UserError if it must not judge these systems."""
        self.context = context

    def check(self) -> None:  # noqa: B027
        """Raises UserError or JudgeError if the judge could not start: a key or a package is missing. Loads nothing."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that can change a verdict: version, prompts, model, settings."""

    def identity_in(self, language: str) -> dict[str, Any]:
        """The part of the identity that matters for answers in one language."""
        return self.identity

    @abstractmethod
    def orders(self, pair: AnswerPair) -> tuple[Order, ...]:
        """The judgments wanted of this pair, one for each order; none if the judge has nothing to say about it."""

    @abstractmethod
    def judge(self, cases: Iterable[Case], run: RunDirectory, tell: Callable[[str], None]) -> Rulings:
        """Rulings as they become known, in any order, one for each case.

        ``cases`` is to be read lazily: it opens the cells as it goes. ``tell`` takes a short line about the work
        itself (spend, errors) for the progress. What is yielded is on the disk before more is asked for. Raises
        JudgeError or BudgetSpent when it can't go on, after it has yielded all it knows.
        """
