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
    part: Annotated[str, typer.Option("--part", help="all, base or sft (needs the base in --out).")] = "all",
) -> None:
    """Build croco-nano from seeds: tokenizer, base and SFT adapter (about an hour on one core)."""
    from ...harness.errors import UserError
    from .build import build_base, build_sft, read_recipe

    if part not in ("all", "base", "sft"):
        raise UserError(f"--part {part!r}: it is all, base or sft.")
    settings = read_recipe(recipe)
    if part in ("all", "base"):
        build_base(settings, out / "croco-nano", typer.echo)
    if part in ("all", "sft"):
        build_sft(settings, out / "croco-nano", out / "croco-nano-sft", typer.echo)
