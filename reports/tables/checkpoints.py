"""How did a training run go, step by step? Learning curves, and which checkpoint to keep (``checkpoints.csv``).

The columns are documented in docs/files.md, what is computed in docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..items.item_values import ItemValues, PairedValues, item_values
from ..items.scopes import Scope, scopes
from ..records.comparison import FORGOT, IMPROVED, INCONCLUSIVE
from ..records.rules import Rules
from ..records.run_data import Frame, RunData
from ..records.settings import Training
from ..stats.inputs import Array
from ..stats.max_t import max_t
from ..stats.selection import best_of_many, can_be_best
from .comparisons import paired_rows

CHECKPOINT_COLUMNS = (
    *("training", "step", "system", "reference", "suite", "metric", "scope", "language"),
    *("n", "unscored_candidate", "unscored_reference", "mean_candidate", "mean_reference", "difference"),
    *("ci_low", "ci_high", "p_value", "p_adjusted", "verdict"),
    *("choice", "gain", "gain_corrected", "gain_low", "gain_high", "share_best", "p_best"),
    *("method", "signature"),
)

BEST, KEEP = "best", "keep"


def checkpoint_table(data: RunData, trainings: Sequence[Training], rules: Rules) -> Frame:
    """One row per training run, suite, metric, scope and checkpoint (``CHECKPOINT_COLUMNS``), by step.

    Every checkpoint is compared with the run's reference as in ``comparison_table``. ``p_adjusted`` is corrected over
    all checkpoints, suites and metrics of a training run, its languages and its pooled rows apart, by ``max_t``. In the
    widest scope stands the choice: the best checkpoint, its gain corrected for having been chosen (``best_of_many``),
    and the one to keep: the earliest that can't be told from the best. Raises as ``comparison_table`` does.
    """
    parts = [_training_rows(data, x, rules) for x in trainings]
    return pd.DataFrame([x for part in parts for x in part], columns=CHECKPOINT_COLUMNS)


def _training_rows(data: RunData, training: Training, rules: Rules) -> list[dict[str, Any]]:
    places = scopes(data.languages)
    reference = data.manifest["reference"]
    pairs = [(x, reference) for x in training.systems if x != reference]
    if not pairs:
        return []
    steps = dict(zip(training.systems, training.steps, strict=True))
    rows: list[dict[str, Any]] = []
    blocks: dict[bool, list[tuple[list[dict[str, Any]], Array]]] = {False: [], True: []}
    for matrix in item_values(data):
        for place in places:
            of_place = [
                {**x.row(), "training": training.name, "system": x.candidate, "step": steps[x.candidate]}
                for x in paired_rows(matrix, place, pairs, rules, margin=None)
            ]
            sums = np.stack([_source_sums(matrix, matrix.paired(*x, place.languages)) for x in pairs])
            blocks[place.kind != "language"].append((of_place, sums))
            if place is places[-1]:
                _choose(matrix, place, of_place, rules)
            rows += of_place
    for family in blocks.values():
        _correct(family, rules)
    return rows


def _source_sums(matrix: ItemValues, paired: PairedValues) -> Array:
    """Per source the summed differences of two systems."""
    differences = np.nan_to_num(paired.candidate - paired.reference)
    return np.bincount(paired.clusters, differences, minlength=int(matrix.source_codes.max(initial=-1)) + 1)


def _correct(family: list[tuple[list[dict[str, Any]], Array]], rules: Rules) -> None:
    """Adjusted p-values and verdicts. Scopes of one suite and metric share its sources and are flipped together."""
    by_sources: dict[tuple[str, str], list[tuple[list[dict[str, Any]], Array]]] = {}
    for rows, sums in family:
        by_sources.setdefault((rows[0]["suite"], rows[0]["metric"]), []).append((rows, sums))
    blocks = [np.concatenate([sums for _, sums in x]) for x in by_sources.values()]
    found = max_t(blocks, rules.n_resamples, rules.seed)
    for parts, p_values in zip(by_sources.values(), found, strict=True):
        rows = [x for part, _ in parts for x in part]
        for row, p in zip(rows, p_values, strict=True):
            row["p_adjusted"] = np.maximum(p, row["p_value"])
            significant = row["p_adjusted"] < rules.alpha
            row["verdict"] = INCONCLUSIVE if not significant else IMPROVED if row["difference"] > 0 else FORGOT


def _choose(matrix: ItemValues, place: Scope, rows: list[dict[str, Any]], rules: Rules) -> None:
    """Adds the choice to the rows of checkpoints that have all languages which any of them has."""
    reference = rows[0]["reference"]
    systems = [x["system"] for x in rows]
    known = {x: matrix.paired(x, reference, place.languages).signatures for x in systems}
    languages = [x for x in place.languages if any(x in y for y in known.values())]
    rows = [x for x in rows if languages and all(y in known[x["system"]] for y in languages)]
    pairs = [matrix.paired(x["system"], reference, languages) for x in rows]
    differences = [x.candidate - x.reference for x in pairs]
    scored = [i for i, x in enumerate(differences) if not np.isnan(x).all()]
    if not scored:
        return
    rows, table = [rows[i] for i in scored], np.stack([differences[i] for i in scored])
    first = pairs[0]
    chosen = best_of_many(table, first.clusters, first.languages, level=rules.level, seed=rules.seed)
    alike = can_be_best(table, first.clusters, rules.n_resamples, rules.seed)
    kept = int(np.flatnonzero(alike >= rules.alpha)[0])
    for i, row in enumerate(rows):
        row["gain"], row["share_best"], row["p_best"] = np.nanmean(table[i]), chosen.share_best[i], alike[i]
        row["choice"] = " ".join(x for x, place in ((BEST, chosen.best), (KEEP, kept)) if place == i)
    best = {"gain_corrected": chosen.corrected, "gain_low": chosen.ci_low, "gain_high": chosen.ci_high}
    rows[chosen.best].update(best)


def best_and_kept(table: Frame) -> Iterator[tuple[Any, Any]]:
    """Of each training run, suite and metric the rows of the best checkpoint and of the one to keep."""
    chosen = table[table["choice"].fillna("").ne("")]
    for _, part in chosen.groupby(["training", "suite", "metric"], sort=False):
        words = part["choice"].str.split()
        best, keep = (part[[word in x for x in words]].iloc[0] for word in (BEST, KEEP))
        yield best, keep
