"""``croco-eval train``: the stages of CroCo, from prompts to tuned adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .many_paths import ManyPaths

app = typer.Typer(help="CroCo: from prompts to tuned adapters.", no_args_is_help=True)


@app.callback()
def _train() -> None:
    """CroCo: from prompts to tuned adapters."""


def _run(
    config: Path, stages: Sequence[str], arms: Sequence[str] = (), accelerate: str | None = None, dry_run: bool = False
) -> None:
    from rich.console import Console

    from ..config import read_train_config

    console = Console(highlight=False, soft_wrap=True)

    def say(message: str) -> None:
        console.print(message, markup=False)

    settings = read_train_config(config)
    if dry_run:
        from ..estimate import show_plan

        show_plan(settings, stages, arms, say)
        return
    from ...harness.run.progress import RunProgress
    from ..run import run

    progress = RunProgress(console, len(stages), "stage")
    with progress.shown():
        run(settings, stages, say, progress.lane(0), arms, accelerate)


Config = Annotated[Path, typer.Argument(help="Training config.")]
Arms = Annotated[list[str] | None, typer.Option("--arm", help="Only this arm of the config; may be given again.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show stages, rows, tokens and estimated GPU hours; run nothing.")
]
Accelerate = Annotated[
    str | None, typer.Option(help="Flags of `accelerate launch` for the trainers, such as '--num_processes 8'.")
]


@app.command("all")
def everything(config: Config, arm: Arms = None, accelerate: Accelerate = None, dry_run: DryRun = False) -> None:
    """All stages that the config's arms need, in order. What is done is not done again."""
    from ..plan import ALL

    _run(config, ALL, arm or (), accelerate, dry_run)


@app.command()
def translate(config: Config, dry_run: DryRun = False) -> None:
    """English prompts in the config's languages, each translation checked."""
    _run(config, ["translate"], dry_run=dry_run)


@app.command()
def sample(config: Config, arm: Arms = None, dry_run: DryRun = False) -> None:
    """N answers per prompt and language."""
    _run(config, ["sample"], arm or (), dry_run=dry_run)


@app.command()
def score(config: Config, arm: Arms = None, dry_run: DryRun = False) -> None:
    """A reward per answer, from every scorer of the config."""
    _run(config, ["score"], arm or (), dry_run=dry_run)


@app.command()
def reward(config: Config, accelerate: Accelerate = None, dry_run: DryRun = False) -> None:
    """Train a reward model on preferences in one language."""
    _run(config, ["reward"], accelerate=accelerate, dry_run=dry_run)


@app.command()
def sft(config: Config, arm: Arms = None, accelerate: Accelerate = None, dry_run: DryRun = False) -> None:
    """Fine-tune an adapter on the answers with the highest reward, or on gold answers."""
    _run(config, ["sft"], arm or (), accelerate, dry_run)


@app.command()
def dpo(config: Config, arm: Arms = None, accelerate: Accelerate = None, dry_run: DryRun = False) -> None:
    """Tune an adapter on the pairs."""
    _run(config, ["dpo"], arm or (), accelerate, dry_run)


@app.command("online-dpo")
def online_dpo(config: Config, arm: Arms = None, accelerate: Accelerate = None, dry_run: DryRun = False) -> None:
    """Tune an adapter on pairs that it samples while it is tuned."""
    _run(config, ["online-dpo"], arm or (), accelerate, dry_run)


@app.command()
def grpo(config: Config, arm: Arms = None, accelerate: Accelerate = None, dry_run: DryRun = False) -> None:
    """Tune an adapter on groups of answers that it samples while it is tuned."""
    _run(config, ["grpo"], arm or (), accelerate, dry_run)


class _PairCommand(ManyPaths):
    several = ("--scored", "--prompts")


@app.command(cls=_PairCommand)
def pair(
    config: Annotated[Path | None, typer.Argument(help="Training config; or give scored files.")] = None,
    scored: Annotated[
        list[Path] | None, typer.Option(help="Scored generations, JSONL files, one per language.")
    ] = None,
    prompts: Annotated[list[Path] | None, typer.Option(help="Parallel prompts, JSONL files, one per language.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the training files.")] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the files: study.")] = None,
    reject_target: Annotated[
        str | None, typer.Option(help="Where rejected should lie: mean_minus_2sigma (the default), q1, min, ...")
    ] = None,
    pool: Annotated[
        str | None, typer.Option(help="Pools of each language or of all: language or all; both by default.")
    ] = None,
    prompt_source: Annotated[
        str | None,
        typer.Option(help="Language of the prompt in pools of all: chosen (the default), rejected or random."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="For --prompt-source random (42 by default).")] = None,
    arm: Arms = None,
    dry_run: DryRun = False,
) -> None:
    """Chosen and rejected candidates from scored ones, by the study's rule."""
    from ...harness.errors import UserError
    from ..pairing.rule import POOLS, PROMPT_SOURCES, TARGETS

    rule = {"reject_target": reject_target, "pool": pool, "prompt_source": prompt_source, "seed": seed}
    if config is not None:
        if scored or prompts or out or layout:
            raise UserError("give either a training config or --scored, --prompts, --out and --layout, not both.")
        if named := [x for x, value in rule.items() if value is not None]:
            option = named[0].replace("_", "-")
            key = "seed" if option == "seed" else f"pair.{named[0]}"
            raise UserError(f"--{option} is for --scored files; in a training config it is {key}.")
        _run(config, ["pair"], arm or (), dry_run=dry_run)
        return
    if dry_run or arm:
        raise UserError(f"{'--dry-run' if dry_run else '--arm'} is for a training config.")
    _check_known("layout", layout, ["study"])
    _check_known("reject-target", reject_target, TARGETS)
    _check_known("pool", pool, POOLS)
    _check_known("prompt-source", prompt_source, PROMPT_SOURCES)
    if out is None:
        raise UserError("--out is missing: the folder for the training files.")
    chosen = {k: v for k, v in rule.items() if v is not None and k != "pool"}
    pools = POOLS if pool is None else [x for x in POOLS if x == pool]
    _pair_of_files(scored or [], prompts or [], out, pools=pools, **chosen)


def _check_known(option: str, value: str | None, known: Sequence[str]) -> None:
    from ...harness.errors import UserError
    from ...harness.registry import did_you_mean

    if value is not None and value not in known:
        raise UserError(f"--{option} {value!r} is none of {', '.join(known)}{did_you_mean(value, known) or '.'}")


def _pair_of_files(scored: list[Path], prompts: list[Path], out: Path, **rule: Any) -> None:
    from ..croco_files.scored_files import REPEATED
    from ..croco_files.write_files import check_files, write_study_files
    from ..stages.pair import pairs_in_words

    check_files(scored, "scored")
    check_files(prompts, "prompt")
    made = write_study_files(scored, prompts, out, **rule)
    for (language, reason), n in made.scored.problems.items():
        where = made.scored.examples[language, reason]
        typer.secho(f"{language}: {n} rows {reason} and are left out (first: {where})", fg="yellow")
    for language, n in made.scored.repeats.items():
        where = made.scored.examples[language, REPEATED]
        typer.secho(f"{language}: {n} rows {REPEATED} and count all the same (first: {where})", fg="yellow")
    for (pool, reason), n in made.skips.items():
        typer.secho(f"pools of {pool}: {n} without a pair: {reason}", fg="yellow")
    for x in made.pairs:
        typer.echo(f"{x.language:<4} {x.pairs:>8,} pairs  {pairs_in_words(x)}")
    typer.echo(f"{sum(made.records.values()):,} records in {len(made.records)} files in {out}")
