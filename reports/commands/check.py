"""``croco-eval check``: the gate for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

EXIT_CODES = {"GO": 0, "NO-GO": 1, "INCONCLUSIVE": 3}
"""2 is for a check that could not be made: a wrong command line, policy, run or baseline."""


def check(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="YAML file; see docs/gate.md. Without one, its defaults.")
    ] = None,
    candidate: Annotated[str | None, typer.Option("--candidate", help="System that is checked.")] = None,
    reference: Annotated[str | None, typer.Option("--reference", help="System it must not fall behind.")] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="Take the reference from another run, or an exported CSV."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for gate.json, gate.xml and gate.md; RUN by default.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the candidate's item values for --baseline, and stop.")
    ] = None,
) -> None:
    """Check a system against a policy: exit code 0 GO, 1 NO-GO, 3 INCONCLUSIVE (2: it could not be checked)."""
    from rich.console import Console

    from ...harness.errors import CrocoError, UserError

    console = Console()
    try:
        if export is not None:
            _export(run, candidate, export, console)
            return
        verdict = _check(run, policy, candidate, reference, baseline, out or run, console)
    except CrocoError as error:
        raise UserError(str(error)) from error
    raise typer.Exit(EXIT_CODES[verdict])


def _check(
    run: Path,
    policy: Path | None,
    candidate: str | None,
    reference: str | None,
    baseline: Path | None,
    out: Path,
    console: Console,
) -> str:
    from ..document.terminal import show
    from ..gate.check import check_run
    from ..gate.files import FILES, brief, write_gate
    from ..gate.policy import read_policy
    from ..records.run_data import RunData

    result = check_run(RunData(run), read_policy(policy), candidate, reference, baseline)
    write_gate(out, result)
    show([*brief(result), *(str(out / x) for x in FILES)], console)
    return result.verdict


def _export(run: Path, candidate: str | None, export: Path, console: Console) -> None:
    from ..document.terminal import show
    from ..gate.baseline import default_candidate
    from ..gate.export import system_items, write_items
    from ..gate.pair import check_name
    from ..records.run_data import RunData

    data = RunData(run)
    name = candidate or default_candidate(data)
    check_name(name, data.systems, run)
    items = system_items(data, name)
    write_items(export, items)
    show([f"{export}: {len(items)} values of {name}"], console)
