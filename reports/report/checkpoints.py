"""Learning curves: which checkpoint to keep, and what its choice is worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..document.document import Block, Picture, Section, TextTable
from ..document.numbers import number, p_value, signed, within
from ..items.item_values import SCORE
from ..records.run_data import Frame
from ..tables.all import RunTables
from ..tables.checkpoints import best_and_kept
from .compared import file_name


def advice(tables: RunTables) -> list[str]:
    """A sentence per training run, suite and metric: which checkpoint to keep, and how good the best one is."""
    if "checkpoints.csv" not in tables.frames:
        return []
    return [_sentence(best, kept) for best, kept in best_and_kept(tables.frames["checkpoints.csv"])]


def _sentence(best: Any, kept: Any) -> str:
    where = best["suite"] if best["metric"] == SCORE else f"{best['suite']}, {best['metric']}"
    noise = best["gain"] - best["gain_corrected"]
    choice = (
        f"keep step {kept['step']}, which is the best"
        if kept["step"] == best["step"]
        else f"keep step {kept['step']}, the earliest that can't be told from the best, step {best['step']}"
    )
    corrected = within(best["gain_corrected"], best["gain_low"], best["gain_high"], sign=True)
    luck = f", {signed(noise)} of it by its choice: {corrected} corrected" if noise == noise else ""
    unproven = f" None is shown to be better than {best['reference']}."
    return (
        f"Training run {best['training']} in {where}: {choice}. The best one's gain over {best['reference']} looks "
        f"like {signed(best['gain'])}{luck}.{'' if best['gain_low'] > 0 else unproven}"
    )


def checkpoints_section(tables: RunTables) -> Section | None:
    """The curves, and a table of the checkpoints over all languages."""
    if "checkpoints.csv" not in tables.frames:
        return None
    blocks: list[Block] = [
        "Each checkpoint against the reference; all checkpoints, languages and suites of a training run are corrected "
        "as one family. best: the largest mean. gain, corrected: what checkpoints chosen in this way gain on items "
        "that had no part in the choice, with an interval that allows for the choice. best in: the share of resamples "
        "in which a checkpoint comes out best; p (best): of no other checkpoint being better. keep: the earliest that "
        "can't be told from the best.",
    ]
    table = tables.frames["checkpoints.csv"]
    for (training, suite, metric), part in table.groupby(["training", "suite", "metric"], sort=False):
        widest = part[part["language"].eq(part["language"].iloc[-1])]
        blocks += _pictures(part, widest, f"{training}-{suite}", str(metric), f"{training} in {suite}")
        if widest["gain"].notna().any():
            blocks.append(_table(f"{training} in {suite}{'' if metric == SCORE else f', {metric}'}", widest))
    return Section("Learning curves", tuple(blocks))


def _pictures(part: Frame, widest: Frame, name: str, metric: str, title: str) -> Iterator[Picture]:
    def whole():
        from ..figures import learning_curve_figure

        return learning_curve_figure(widest)

    def by_language():
        from ..figures import learning_curves_by_language_figure

        return learning_curves_by_language_figure(part)

    if widest["n"].gt(0).any():
        yield Picture(file_name("learning", name, metric), f"{title}: {widest['language'].iloc[0]}, by step", whole)
    if part["language"].nunique() > 1 and part["n"].gt(0).any():
        yield Picture(file_name("learning-languages", name, metric), f"{title}: by step and language", by_language)


def _table(caption: str, rows: Frame) -> TextTable:
    lines = [
        (
            str(x["step"]),
            x["system"],
            str(x["n"]),
            number(x["mean_candidate"]),
            within(x["difference"], x["ci_low"], x["ci_high"], sign=True),
            p_value(x["p_adjusted"]),
            x["verdict"],
            number(x["share_best"], 2),
            p_value(x["p_best"]),
            x["choice"] if isinstance(x["choice"], str) else "",
            within(x["gain_corrected"], x["gain_low"], x["gain_high"], sign=True),
        )
        for x in rows.to_dict("records")
    ]
    columns = ("step", "system", "n", "mean", "difference", "adj. p", "verdict", "best in", "p (best)", "choice")
    return TextTable(caption, (*columns, "gain, corrected"), tuple(lines), n_names=2)
