"""``croco-eval prefetch``: downloads what a config needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def prefetch(config: Annotated[Path, typer.Argument(help="Config file.")]) -> None:
    """Download every model and data set a config needs; afterwards it runs without a network (HF_HUB_OFFLINE=1)."""
    from rich.console import Console

    from ..config.run_config import read_config
    from ..errors import DataError
    from ..run.fetch import fetch_all

    console = Console()
    lost = 0
    for x in fetch_all(read_config(config)):
        lost += x.is_lost
        style = "red" if x.is_lost else "yellow" if x.problem else None
        text = f"{x.kind:<8}  {x.name:<28}  {x.problem or x.what}"
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    if lost:
        raise DataError(f"{lost} of the things this config needs could not be fetched; see above.")
