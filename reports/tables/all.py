"""The CSV files of a run, recomputed from its directory alone.

The columns, their order and their meaning are documented in docs/files.md. The same run gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..records.run_data import Frame, RunData
from .checkpoints import checkpoint_table
from .comparisons import comparison_table
from .contrasts import policy_table
from .csv_files import write_csv
from .forgetting import forgetting_table
from .leaderboard import leaderboard
from .off_target import FILE as OFF_TARGET
from .off_target import off_target_table
from .preferences import preference_table
from .scores import score_table
from .win_rates import rating_table, win_rate_table

TABLES = (
    *("scores.csv", "preferences.csv", "leaderboard.csv", "comparisons.csv", "forgetting.csv", "policy.csv"),
    *("win_rates.csv", "ratings.csv", "checkpoints.csv", OFF_TARGET),
)
"""``comparisons.csv`` and ``forgetting.csv`` need a candidate beside the reference, ``policy.csv`` two arms,
``win_rates.csv`` a judge, ``ratings.csv`` a judge of two candidates, ``checkpoints.csv`` checkpoints of a training
run."""
_WRITTEN_IF_ANY = ("policy.csv", "win_rates.csv", "ratings.csv", "checkpoints.csv")


@dataclass(frozen=True)
class RunTables:
    """What a run gives: its records, and its tables by file name. A table that the run does not give (``TABLES``) is
    not among ``frames``."""

    data: RunData
    frames: dict[str, Frame]


def run_tables(data: RunData) -> RunTables:
    """Every table of a run. Raises StoreError for a run that is damaged, UserError for a wrong config."""
    rules = data.settings.rules
    scores = score_table(data)
    frames = {
        "scores.csv": scores,
        "preferences.csv": preference_table(data),
        "leaderboard.csv": leaderboard(data, scores, rules),
    }
    if len(data.systems) > 1:
        frames |= {
            "comparisons.csv": comparison_table(data, rules),
            "forgetting.csv": forgetting_table(data),
            "policy.csv": policy_table(data, data.settings.arms, rules),
            "win_rates.csv": win_rate_table(data, rules),
            "ratings.csv": rating_table(data, rules),
            "checkpoints.csv": checkpoint_table(data, data.settings.trainings, rules),
        }
    frames[OFF_TARGET] = off_target_table(data)
    given = {x: y for x, y in frames.items() if len(y) or x not in _WRITTEN_IF_ANY}
    return RunTables(data, given)


def write_tables(data: RunData) -> RunTables:
    """Writes ``TABLES`` into the run directory; a file of a table that the run does not give is removed.

    Raises as ``run_tables`` does, before anything is written.
    """
    tables = run_tables(data)
    for name in TABLES:
        if name in tables.frames:
            write_csv(data.folder / name, tables.frames[name])
        else:
            (data.folder / name).unlink(missing_ok=True)
    return tables
