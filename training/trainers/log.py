"""The log of a tuning run: as CSV, and as a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...harness.store.files import write_atomically

COLUMNS: dict[str, tuple[str, ...]] = {
    "step": ("step",),
    "epoch": ("epoch",),
    "loss": ("loss",),
    "reward_accuracy": ("rewards/accuracies", "accuracy"),
    "reward_margin": ("rewards/margins", "margin"),
    "reward": ("reward", "objective/scores"),
    "kl": ("kl",),
    "grad_norm": ("grad_norm",),
    "learning_rate": ("learning_rate",),
}
"""Columns of ``log.csv`` and what the trainers call them. ``reward_accuracy``: share of pairs whose chosen answer has
the higher reward, ``reward_margin``: mean difference; of the implicit reward in DPO, of the model's own in a reward
model. ``reward``: mean reward of the answers sampled while training. ``kl``: nats per token, see ``Drift``."""

_DRAWN = {
    "loss": "loss",
    "reward_accuracy": "reward accuracy",
    "reward_margin": "reward margin",
    "reward": "mean reward of samples",
    "kl": "KL to the reference (nats per token)",
    "grad_norm": "gradient norm",
}


def log_rows(log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The log in the columns of ``log.csv``; what a trainer does not report is None."""
    return [
        {name: next((entry[x] for x in keys if x in entry), None) for name, keys in COLUMNS.items()} for entry in log
    ]


def write_log(folder: Path, log: Sequence[Mapping[str, Any]]) -> None:
    """Writes ``log.csv``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(log_rows(log))
    write_atomically(folder / "log.csv", text.getvalue())


def draw_log(folder: Path, log: Sequence[Mapping[str, Any]], title: str) -> None:
    """Writes ``log.png`` and ``log.pdf``: a panel per quantity that the trainer reports, against the step."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = log_rows(log)
    shown = [x for x in _DRAWN if any(row[x] is not None for row in rows)]
    if not shown:
        return
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(shown):
        axes = figure.add_subplot(lines, columns, place + 1)
        points = [(row["step"], float(row[name])) for row in rows if row[name] is not None]
        axes.plot(*zip(*points, strict=True), color="#0072B2", linewidth=1.4)
        axes.set_xlabel("step")
        axes.set_ylabel(_DRAWN[name])
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figure.savefig(folder / "log.png", dpi=150, metadata={"Software": ""})
    figure.savefig(folder / "log.pdf", metadata={"CreationDate": None})
