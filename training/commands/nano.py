"""``croco-eval nano``: the packaged tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="croco-nano, the packaged tiny model.")


@app.callback()
def _nano() -> None:
    """croco-nano, the packaged tiny model."""


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", help="Folder for the models.")] = Path("croco-nano-build"),
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Another recipe than the packaged one.")] = None,
    part: Annotated[
        str, typer.Option("--part", help="all, base, or sft or reward (which need the base in --out).")
    ] = "all",
) -> None:
    """Build croco-nano from seeds: tokenizer, base, SFT adapter and reward model (over an hour on one core)."""
    from ...harness.errors import UserError
    from ..nano.build import build_base, build_reward, build_sft, read_recipe

    if part not in ("all", "base", "sft", "reward"):
        raise UserError(f"--part {part!r}: it is all, base, sft or reward.")
    settings = read_recipe(recipe)
    if part in ("all", "base"):
        build_base(settings, out / "croco-nano", typer.echo)
    if part in ("all", "sft"):
        build_sft(settings, out / "croco-nano", out / "croco-nano-sft", typer.echo)
    if part in ("all", "reward"):
        build_reward(settings, out / "croco-nano", out / "croco-nano-reward", typer.echo)


@app.command()
def study(
    out: Annotated[Path, typer.Option("--out", help="Folder for adapters, run and report.")] = Path("nano-study"),
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that tune and answer.")] = 2,
    training: Annotated[
        Path | None, typer.Option("--training", help="Training config with arms, instead of the packaged one.")
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option("--evaluation", help="Run config with the base alone, instead of the packaged one.")
    ] = None,
) -> None:
    """Repeat the study with croco-nano: tune every arm, evaluate it, and say which findings hold."""
    from rich.console import Console

    from ..study.run_study import run_study

    options = (("--out", out), ("--workers", workers), ("--training", training), ("--evaluation", evaluation))
    command = " ".join(["croco-eval nano study", *(f"{x} {y}" for x, y in options if y is not None)])
    run_study(out, workers, Console(), command, training, evaluation)


@app.command()
def pack(
    study: Annotated[Path, typer.Argument(help="Folder of a study that is done.")] = Path("nano-study"),
    out: Annotated[Path, typer.Option("--out", help="Folder for the adapters.")] = Path("croco-nano-build"),
    training: Annotated[
        Path | None, typer.Option("--training", help="The study's training config, if not the packaged one.")
    ] = None,
) -> None:
    """Store the adapters of a study's first seed small, as the package holds them."""
    from ..study.run_study import keep_first_seeds

    for folder in keep_first_seeds(study, out, training):
        typer.echo(str(folder))
