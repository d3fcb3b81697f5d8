"""``croco-eval ls``: what there is to name in a config."""

from __future__ import annotations

from typing import Annotated

import typer

KINDS = ("languages", "suites", "judges", "backends", "models")


def ls(kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(KINDS)}.")]) -> None:
    """List languages, suites, judges, backends or packaged models."""
    from rich.console import Console
    from rich.table import Table

    from .. import registry
    from ..errors import UserError

    if kind not in KINDS:
        raise UserError(f"unknown kind {kind!r}{registry.did_you_mean(kind, KINDS)}; one of: {', '.join(KINDS)}.")
    columns, rows = _languages() if kind == "languages" else _registered(kind)
    table = Table(*columns, header_style="bold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _languages() -> tuple[list[str], list[list[str]]]:
    from ..text.languages import GROUPS, LANGUAGES

    rows = []
    for x in LANGUAGES.values():
        groups = ", ".join(name for name, codes in GROUPS.items() if x.code in codes)
        rows.append([x.code, x.name, x.native_name, x.group, groups, x.flores, x.euroeval or "-"])
    return ["code", "name", "native name", "resources", "in groups", "FLORES", "EuroEval"], rows


def _registered(kind: str) -> tuple[list[str], list[list[str]]]:
    from rich.markup import escape

    from .. import registry
    from ..errors import UserError

    rows = []
    for name in registry.names(kind):
        try:
            found = registry.load(kind, name)
            text = getattr(found, "description", None) or (getattr(found, "__doc__", None) or "").strip()
        except UserError as error:  # an extra that isn't installed, or somebody's broken plug-in
            text = str(error)
        rows.append([name, escape(text.splitlines()[0] if text else "")])
    return ["name", "what it is"], rows
