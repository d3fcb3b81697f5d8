"""``croco-eval train``: the stages of CroCo, from prompts to tuned adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from .pair_files import PairFilesCommand, pair_files

app = typer.Typer(help="CroCo: from prompts to tuned adapters.", no_args_is_help=True)


@app.callback()
def _train() -> None:
    """CroCo: from prompts to tuned adapters."""


def _run(
    config: Path, stages: Sequence[str], arms: Sequence[str] = (), accelerate: str | None = None, dry_run: bool = False
) -> None:
    from ..config import read_train_config
    from ..run import run

    settings = read_train_config(config)
    if dry_run:
        from ..estimate import show_plan

        show_plan(settings, stages, arms, typer.echo)
        return
    from ...harness.run.progress import RunProgress, Unseen

    if stages == ["pair"]:  # is quick, and needs none of what draws progress
        run(settings, stages, typer.echo, Unseen(), arms)
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    progress = RunProgress(console, len(stages), "stage")
    with progress.shown():
        run(settings, stages, lambda x: console.print(x, markup=False), progress.lane(0), arms, accelerate)


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


_OF_FILES = (
    "--scored", "--prompts", "--out", "--layout", "--reject-target", "--pool", "--prompt-source", "--seed",
)  # fmt: skip


class _PairCommand(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Names the command of the study's own files if one of its options is given."""
        if given := [name for x in args if (name := x.partition("=")[0]) in _OF_FILES]:
            from ...harness.errors import UserError

            raise UserError(
                f"{given[0]} is for the study's own files: croco-eval train pair-files; in a training config the rule "
                "is the section `pair`."
            )
        return super().parse_args(ctx, args)


@app.command(cls=_PairCommand)
def pair(config: Config, arm: Arms = None, dry_run: DryRun = False) -> None:
    """Chosen and rejected candidates from scored ones, by the study's rule."""
    _run(config, ["pair"], arm or (), dry_run=dry_run)


app.command("pair-files", cls=PairFilesCommand)(pair_files)
