"""``croco-eval run``: runs a config, or resumes a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    config: Annotated[Path | None, typer.Argument(help="Config file; without one, the packaged quickstart.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run directory [default: runs/NAME].")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run, instead of the config's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, and stop.")] = False,
) -> None:
    """Run a configuration, or finish a run that was interrupted."""
    from importlib.resources import files

    from rich.console import Console

    from ..config.run_config import parse_config, read_config

    console = Console()
    if config is None:
        text = (files("croco_eval.configs") / "quickstart.yaml").read_text(encoding="utf-8")
        settings = parse_config(text, "quickstart.yaml", Path.cwd())
    else:
        settings = read_config(config)
    if name:
        settings = settings.model_copy(update={"name": name})
    folder = out or Path("runs") / settings.name
    if dry_run:
        _show_plan(settings, console)
        return
    from ..run.execute import execute

    execute(settings, folder, console).raise_if_incomplete()


def _show_plan(settings, console) -> None:
    from ..run.plan import make_plan

    plan = make_plan(settings)
    console.print(f"systems: {', '.join(x.name for x in plan.systems)} (reference: {settings.reference_name})")
    console.print(f"suites: {', '.join(plan.suites)}; judges: {', '.join(plan.judges) or 'none'}")
    console.print(f"languages: {' '.join(settings.languages)}")
    console.print(f"{len(plan.cells)} cells")
    languages: dict[tuple[str, str], list[str]] = {}
    for gap in plan.gaps:
        languages.setdefault((gap.suite, gap.reason), []).append(gap.language)
    for (suite, reason), missing in languages.items():
        console.print(f"gap: {suite}, {' '.join(missing)}: {reason}", style="yellow", soft_wrap=True)
