"""Which systems a report shows language by language, and how figures share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from ..records.run_data import Frame
from ..tables.all import RunTables
from ..tables.checkpoints import best_and_kept

MOST_SHOWN = 8
"""Systems beside the reference that stand in tables by language and in figures; the CSV files hold all."""

PER_FIGURE = 4

T = TypeVar("T")


def shown_systems(tables: RunTables) -> list[str]:
    """The reference and the candidates that are shown, in the config's order: all, or the config's arms and then the
    first by rank. Of a training run's checkpoints only those to keep."""
    reference = tables.data.manifest["reference"]
    hidden = _hidden_checkpoints(tables)
    ranked = [x for x in tables.frames["leaderboard.csv"]["system"] if x != reference and x not in hidden]
    arms = set(tables.data.settings.arms.values())
    chosen = {reference, *sorted(ranked, key=lambda x: x not in arms)[:MOST_SHOWN]}
    return [x for x in tables.data.systems if x in chosen]


def _hidden_checkpoints(tables: RunTables) -> set[str]:
    """Checkpoints that stand under learning curves alone."""
    everyone = {x for training in tables.data.settings.trainings for x in training.systems}
    curves = tables.frames.get("checkpoints.csv")
    keep = {y["system"] for x in best_and_kept(curves) for y in x[1:]} if curves is not None else set()
    return everyone - keep - set(tables.data.settings.arms.values())


def headlined_systems(tables: RunTables) -> list[str]:
    """Those about which the report says a sentence: all but checkpoints that are not to be kept."""
    hidden = _hidden_checkpoints(tables)
    return [x for x in tables.data.systems if x not in hidden]


def left_out(tables: RunTables) -> str:
    """Which rule left systems out; empty if all are shown."""
    checkpoints = len(_hidden_checkpoints(tables))
    ranked = len(tables.data.systems) - len(shown_systems(tables)) - checkpoints
    parts = []
    if checkpoints:
        where = "on the leaderboard and under Learning curves"
        parts.append(f"{checkpoints} checkpoints, those not to keep, stand {where} only.")
    if ranked:
        parts.append(
            f"Tables by language and figures show the reference and {MOST_SHOWN} systems: the run's arms, then "
            f"those that rank first. The other {ranked} are in the CSV files."
        )
    return " ".join(parts)


def only(table: Frame, systems: Sequence[str], column: str = "candidate") -> Frame:
    """The rows of these systems."""
    return table[table[column].isin(systems)]


def pages(items: Sequence[T], size: int = PER_FIGURE) -> list[Sequence[T]]:
    """The items in groups of about the same size, at most ``size``."""
    count = -(-len(items) // size)
    return [items[i * len(items) // count : (i + 1) * len(items) // count] for i in range(count)] if items else []
