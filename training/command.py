"""``croco-eval train``: the stages of CroCo, from prompts to tuned adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="CroCo: from scored candidates to preference pairs.", no_args_is_help=True)


@app.callback()
def _train() -> None:
    """CroCo: from scored candidates to preference pairs."""


def _run(config: Path, stages: list[str]) -> None:
    from rich.console import Console

    from ..harness.progress import RunProgress
    from .config import read_train_config
    from .pipeline import Pipeline

    console = Console(highlight=False, soft_wrap=True)

    def say(message: str) -> None:
        console.print(message, markup=False)

    settings = read_train_config(config)
    progress = RunProgress(console, len(stages), "stage")
    with progress.shown():
        Pipeline(settings, say, progress.lane(0)).run(stages)


Config = Annotated[Path, typer.Argument(help="Training config.")]


@app.command("all")
def everything(config: Config) -> None:
    """All stages: sample, score, pair, sft, dpo. What is done is not done again."""
    _run(config, ["sample", "score", "pair", "sft", "dpo"])


@app.command()
def sample(config: Config) -> None:
    """N answers per prompt and language."""
    _run(config, ["sample"])


@app.command()
def score(config: Config) -> None:
    """A reward per answer, from every scorer of the config."""
    _run(config, ["score"])


@app.command()
def sft(config: Config) -> None:
    """Fine-tune an adapter on the answers with the highest reward."""
    _run(config, ["sft"])


@app.command()
def dpo(config: Config) -> None:
    """Tune an adapter on the pairs."""
    _run(config, ["dpo"])


@app.command()
def pair(
    config: Annotated[Path | None, typer.Argument(help="Training config; or give scored files.")] = None,
    scored: Annotated[list[Path] | None, typer.Option(help="Scored generations, one JSONL file per language.")] = None,
    prompts: Annotated[list[Path] | None, typer.Option(help="Parallel prompts, one JSONL file per language.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the training files.")] = None,
    layout: Annotated[str, typer.Option(help="Layout of the files: study.")] = "study",
    reject_target: Annotated[
        str, typer.Option(help="Where rejected should lie: mean_minus_2sigma, q1, min, ...")
    ] = "mean_minus_2sigma",
    prompt_source: Annotated[
        str, typer.Option(help="Language of the prompt in pools of all languages: chosen, rejected or random.")
    ] = "chosen",
    seed: Annotated[int, typer.Option(help="For prompt-source random.")] = 42,
) -> None:
    """Chosen and rejected candidates from scored ones, by the study's rule."""
    from rich.console import Console

    from ..harness.errors import UserError
    from ..harness.registry import did_you_mean
    from .pairs.rule import TARGETS
    from .pairs.study_files import check_files, write_study_files

    for option, value, known in (
        ("layout", layout, ["study"]),
        ("reject-target", reject_target, list(TARGETS)),
        ("prompt-source", prompt_source, ["chosen", "rejected", "random"]),
    ):
        if value not in known:
            raise UserError(f"--{option} {value!r} is none of {', '.join(known)}{did_you_mean(value, known)}.")
    if config is not None:
        if scored or prompts or out:
            raise UserError("give either a training config or --scored, --prompts and --out, not both.")
        _run(config, ["pair"])
        return
    if out is None:
        raise UserError("--out is missing: the folder for the training files.")
    scored, prompts = scored or [], prompts or []
    check_files(scored, "scored")
    check_files(prompts, "prompt")
    made = write_study_files(scored, prompts, out, reject_target, prompt_source, seed)  # pyright: ignore[reportArgumentType]
    console = Console(highlight=False, soft_wrap=True)
    for (language, reason), n in made.scored.problems.items():
        where = made.scored.examples[language, reason]
        console.print(f"{language}: {n} rows {reason} and are left out (first: {where})", style="yellow", markup=False)
    for (pool, reason), n in made.skips.items():
        console.print(f"pools of {pool}: {n} without a pair: {reason}", style="yellow", markup=False)
    for x in made.pairs:
        gaps = f"reward gap {x.reward_gap:.3f}, length gap {x.length_gap:+.0f} characters" if x.pairs else "no pairs"
        console.print(f"{x.language:<4} {x.pairs:>8,} pairs  {gaps}", markup=False)
    console.print(f"{sum(made.records.values()):,} records in {len(made.records)} files in {out}", markup=False)
