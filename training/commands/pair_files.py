"""``croco-eval train pair-files``: the study's training files from its own scored files, without a config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

_SEVERAL = ("--scored", "--prompts")


class PairFilesCommand(TyperCommand):
    """Takes several paths after ``--scored`` and ``--prompts``, as a shell's pattern gives them: ``--scored *.jsonl``;
    both may also be given again."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Each of several paths gets the option's name before it."""
        return super().parse_args(ctx, list(_named(args)))


def _named(words: Sequence[str]) -> Iterator[str]:
    option, has_value = None, True
    for word in words:
        if word.startswith("-"):
            option, has_value = (word, False) if word in _SEVERAL else (None, True)
        elif option and has_value:
            yield option
        else:
            has_value = True
        yield word


def pair_files(
    scored: Annotated[
        list[Path] | None, typer.Option(help="Scored generations, JSONL files, one per language.")
    ] = None,
    prompts: Annotated[list[Path] | None, typer.Option(help="Parallel prompts, JSONL files, one per language.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the training files.")] = None,
    layout: Annotated[str, typer.Option(help="Layout of the files.")] = "study",
    reject_target: Annotated[
        str, typer.Option(help="Where rejected should lie: mean_minus_2sigma, q1, min, ...")
    ] = "mean_minus_2sigma",
    pool: Annotated[
        str | None, typer.Option(help="Pools of each language or of all: language or all; both by default.")
    ] = None,
    prompt_source: Annotated[
        str, typer.Option(help="Language of the prompt in pools of all: chosen, rejected or random.")
    ] = "chosen",
    seed: Annotated[int, typer.Option(help="For --prompt-source random.")] = 42,
) -> None:
    """Chosen and rejected candidates from the study's own scored files, in its record layout."""
    from ...harness.errors import UserError
    from ..croco_files.write_files import check_files, write_training_files
    from ..pairing.rule import POOLS, PROMPT_SOURCES, TARGETS

    _check_known("layout", layout, ["study"])
    target = _check_known("reject-target", reject_target, TARGETS)
    source = _check_known("prompt-source", prompt_source, PROMPT_SOURCES)
    pools = POOLS if pool is None else [_check_known("pool", pool, POOLS)]
    if out is None:
        raise UserError("--out is missing: the folder for the training files.")
    check_files(scored or [], "scored")
    check_files(prompts or [], "prompt")
    made = write_training_files(scored or [], prompts or [], out, target, source, seed, pools)
    _show(made, out)


def _check_known(option: str, value: str, known: Sequence[Any]) -> Any:
    from ...harness.errors import UserError
    from ...harness.registry import did_you_mean

    if value not in known:
        raise UserError(f"--{option} {value!r} is none of {', '.join(known)}{did_you_mean(value, known) or '.'}")
    return value


def _show(made: Any, out: Path) -> None:
    """Tells of rows that are left out, rows that repeat others, pools without a pair, and what was written."""
    from ..croco_files.scored_files import REPEATED

    for (language, reason), n in made.scored.problems.items():
        where = made.scored.examples[language, reason]
        typer.secho(f"{language}: {n} rows {reason} and are left out (first: {where})", fg="yellow")
    for language, n in made.scored.repeats.items():
        where = made.scored.examples[language, REPEATED]
        typer.secho(f"{language}: {n} rows {REPEATED} and count all the same (first: {where})", fg="yellow")
    for (pool, reason), n in made.skips.items():
        typer.secho(f"pools of {pool}: {n} without a pair: {reason}", fg="yellow")
    for x in made.pairs:
        typer.echo(f"{x.language:<4} {x.pairs:>8,} pairs  {x}")
    typer.echo(f"{sum(made.records.values()):,} records in {len(made.records)} files in {out}")
