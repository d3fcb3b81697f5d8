"""``croco-eval power``: how many items detect a difference, before a run; what a finished run could have seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..document.document import Block
    from ..stats.power import Design

DESIGNS = ("paired-binary", "win-rate", "continuous")
_NOISE = {"paired-binary": "--discordance", "win-rate": "--ties", "continuous": "--sd"}


def power(
    run: Annotated[Path | None, typer.Argument(help="Run directory: what it could have seen. Else a plan:")] = None,
    design: Annotated[str | None, typer.Option("--design", help=f"One of: {', '.join(DESIGNS)}.")] = None,
    difference: Annotated[float | None, typer.Option("--difference", help="Difference to detect: 0.02.")] = None,
    items: Annotated[int | None, typer.Option("--items", help="Number of items, instead of --difference.")] = None,
    discordance: Annotated[
        float | None, typer.Option("--discordance", help="paired-binary: share of items only one system has right.")
    ] = None,
    ties: Annotated[float | None, typer.Option("--ties", help="win-rate: share of ties; 0 by default.")] = None,
    sd: Annotated[float | None, typer.Option("--sd", help="continuous: standard deviation of the differences.")] = None,
    clusters_of: Annotated[float, typer.Option("--clusters-of", help="Translations of each source item.")] = 1,
    icc: Annotated[
        float | None, typer.Option("--icc", help="Correlation of the differences of two translations of an item.")
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Two-sided; for the first of m Holm steps alpha / m.")] = 0.05,
    level: Annotated[float, typer.Option("--power", help="Probability of detecting it.")] = 0.8,
) -> None:
    """How many items detect a difference, or what difference items detect; for a run, by its own noise."""
    from rich.console import Console

    from ...harness.errors import UserError
    from ..document.terminal import show

    console = Console()
    if difference is not None and not difference > 0:
        raise UserError(f"--difference is the size of a difference, a positive number, not {difference:g}.")
    try:
        if run is None:
            planned = _design(design, {"--discordance": discordance, "--ties": ties, "--sd": sd}, clusters_of, icc)
            text = _sentence(planned, design == "win-rate", difference, items, level, alpha)
            show([text], console)
        elif any(x is not None for x in (design, items, discordance, ties, sd, icc)) or clusters_of != 1:
            raise UserError(
                "a run brings its own noise: beside RUN only --difference, --alpha and --power have a meaning."
            )
        else:
            show(_of_run(run, difference, level, alpha), console)
    except ValueError as error:
        raise UserError(f"{error}.") from error


def _design(name: str | None, noise: dict[str, float | None], clusters_of: float, icc: float | None) -> Design:
    from ...harness.errors import UserError
    from ...harness.registry import did_you_mean
    from ..stats.power import Design

    if name not in DESIGNS:
        known = ", ".join(DESIGNS)
        if name:
            raise UserError(f"unknown design {name!r} ({known}){did_you_mean(name, DESIGNS) or '.'}")
        raise UserError(f"name a run directory, or a --design: {known}.")
    own = _NOISE[name]
    if stray := [x for x, value in noise.items() if value is not None and x != own]:
        raise UserError(f"{stray[0]} says nothing about --design {name}; its noise is {own}.")
    if noise[own] is None and name != "win-rate":
        raise UserError(f"--design {name} needs its noise, {own}; `croco-eval power RUN` shows that of a finished run.")
    if (clusters_of == 1) != (icc is None):
        raise UserError("--clusters-of and --icc go together: how many translations, and how alike they are.")
    make = {"paired-binary": Design.paired_binary, "win-rate": Design.win_rate, "continuous": Design.continuous}[name]
    return make(noise[own] or 0.0, clusters_of, icc or 0.0)


def _sentence(
    design: Design, is_win_rate: bool, difference: float | None, items: int | None, level: float, alpha: float
) -> str:
    from ...harness.errors import UserError
    from ..stats.power import minimum_detectable_effect, required_items

    if (difference is None) == (items is None):
        raise UserError("give either --difference (how many items does it take?) or --items (what do they detect?).")
    terms = f"with a probability of {level:.0%} (two-sided test at alpha {alpha:g})"
    if difference is not None:
        needed = required_items(difference, design, level, alpha)
        return f"A {_effect(difference, is_win_rate)} is detected by {_items(needed, design)} {terms}."
    assert items is not None
    if items < 1:
        raise UserError(f"--items must be at least 1, not {items}.")
    effect = minimum_detectable_effect(items, design, level, alpha)
    if effect != effect:
        return f"{_items(items, design)} detect no difference {terms}: there are too few of them."
    return f"{_items(items, design)} detect a {_effect(effect, is_win_rate)}, or a larger one, {terms}."


def _effect(effect: float, is_win_rate: bool) -> str:
    shown = f"true difference of {effect:.4g}"
    return f"{shown} (a win rate of {0.5 + effect:.4g} or {0.5 - effect:.4g})" if is_win_rate else shown


def _items(n: int, design: Design) -> str:
    """``500 items``, and in how many clusters."""
    if design.cluster_size == 1:
        return f"{n:,} items"
    return f"{n:,} items ({n / design.cluster_size:,.1f} clusters of {design.cluster_size:g})"


def _of_run(run: Path, difference: float | None, level: float, alpha: float) -> Iterator[Block]:
    import pandas as pd

    from ..document.document import TextTable
    from ..records.run_data import RunData
    from ..tables.power import power_table

    columns = ("language", "n", "clusters", "se", "detects", *([f"items for {difference:g}"] if difference else []))
    names = ["candidate", "reference", "suite", "metric"]
    found = power_table(RunData(run), None, difference, level, alpha)
    for (candidate, reference, suite, metric), rows in found.groupby(names, sort=False):
        lines = []
        for x in rows.itertuples():
            numbers = [f"{y:.4f}" if y == y else "-" for y in (x.se, x.mde)]
            needed = ["-" if pd.isna(x.items_needed) else f"{x.items_needed:,}"] if difference else []
            lines.append((str(x.language), f"{x.n:,}", f"{x.clusters:,}", *numbers, *needed))
        yield TextTable(f"{suite}, {metric}: {candidate} against {reference}", columns, tuple(lines))
    yield (
        f"detects: the true difference that is found with a probability of {level:.0%} (two-sided test at alpha "
        f"{alpha:g}, uncorrected); -: too few items differ to say."
    )
