"""``croco-eval judge``: a judge on the answers of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def judge(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    name: Annotated[str, typer.Option("--judge", help="Name of the judge, in the run's config or in --config.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="YAML file with a `judges:` list, instead of the run's own config.")
    ] = None,
) -> None:
    """Let a judge judge the answers of a run; nothing is generated and no system's model is loaded."""
    from rich.console import Console

    from ..config.run_config import read_judges
    from ..run.execute import judge_again

    console = Console()
    judge_again(run, name, read_judges(config) if config else None, console).raise_if_incomplete()
