"""What croco-nano's base and its SFT adapter can do: the tables of docs/croco-nano.md.

    python benchmarks/nano_report.py RUN

RUN is a finished run over the packaged models, such as the one ``configs/nano-report.yaml`` makes. Prints, as
Markdown: accuracy per family and resource group, and the open answers' mean share of facts and off-language rate.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from croco_eval.harness.api.records import Generation, Item
from croco_eval.harness.store.parquet import read_records
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.harness.text.languages import group_of
from croco_eval.judges.reference import assess


def structured(folder: Path) -> pd.DataFrame:
    """Mean value per family, resource group and system."""
    scores = pd.read_csv(folder / "scores.csv")
    rows = scores[scores["metric"].isin(["acc", "exact_match"])]
    rows = rows.assign(group=rows["language"].map(group_of), right=rows["value"] * rows["n"])
    sums = rows.groupby(["task", "group", "system"])[["right", "n"]].sum()
    return (sums["right"] / sums["n"]).unstack(["group", "system"]).round(3)


def opened(folder: Path) -> pd.DataFrame:
    """Mean share of facts, quality and off-language rate of the open answers, per resource group and system."""
    run = RunDirectory.open(folder)
    rows = []
    for system in run.manifest()["systems"]:
        for language in run.manifest()["languages"]:
            cell = run.cell(system, "locale-open", language)
            answers = {x.item_id: x.text or "" for x in read_records(cell.path / "generations.parquet", Generation)}
            for item in read_records(cell.path / "items.parquet", Item):
                known = json.loads(item.metadata)
                found = assess(answers[item.item_id], known["facts"], known["ordered"], language)
                off = found.in_language is False
                rows.append((group_of(language), system, found.facts, found.quality, off, found.repetition))
    table = pd.DataFrame(rows, columns=["group", "system", "facts", "quality", "off_language", "repetition"])
    return table.groupby(["group", "system"]).mean().round(3)


def main() -> None:
    """Prints both tables."""
    folder = Path(sys.argv[1])
    for table in (structured(folder), opened(folder)):
        print(table.to_string(), end="\n\n")


if __name__ == "__main__":
    main()
