"""The example figure of docs/report.md: two systems against a base, with random items.

    python benchmarks/report_example.py FOLDER

Writes FOLDER/differences-example.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from croco_eval.harness.api.records import Signature
from croco_eval.harness.text.languages import GROUPS, group_of
from croco_eval.reports.figures.differences import differences_figure
from croco_eval.reports.figures.style import save
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.tables.comparisons import comparison_table

ITEMS = 300
GAINS = {"base": (0.0, 0.0, 0.0), "sft": (0.05, 0.0, -0.1), "dpo": (0.12, 0.06, 0.0)}
"""Share of items gained in tuned, transfer and low-resource languages."""


def example() -> RunData:
    """Right-or-wrong items of three systems in 14 languages."""
    rng = np.random.default_rng(0)
    rows = []
    for language in GROUPS["paper"]:
        base = rng.random(ITEMS) < 0.6
        for system, gains in GAINS.items():
            gain = gains[("high", "transfer", "low").index(group_of(language))]
            churn = 0.04 if system != "base" else 0.0
            flips = rng.random(ITEMS) < churn + np.where(base, max(-gain, 0), max(gain, 0))
            rows += [
                {"system": system, "suite": "quiz", "language": language, "task": "t", "metric": "acc"}
                | {"item_id": f"{i}/{language}", "source_id": str(i), "kind": "binary", "primary": True}
                | {"value": float(x), "unscored": None, "signature": Signature.of({"data": language})}
                for i, x in enumerate(base ^ flips)
            ]
    manifest = {"systems": dict.fromkeys(GAINS), "suites": {"quiz": {"kind": "structured"}}, "reference": "base"}
    manifest |= {"languages": list(GROUPS["paper"]), "judges": {}}
    return RunData.of_tables(manifest, pd.DataFrame(rows), pd.DataFrame())


def main() -> None:
    """Writes the figure."""
    table = comparison_table(example(), Rules())
    _, pdf = save(differences_figure(table), Path(sys.argv[1]) / "differences-example", dpi=130)
    pdf.unlink()


if __name__ == "__main__":
    main()
