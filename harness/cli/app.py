"""The commands as one application. They are entry points (``croco_eval.commands``); only the invoked one is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import registry
from .main import VERBOSE


def _version(wanted: bool) -> None:
    if wanted:
        from ..store.version import package_version

        typer.echo(f"croco-eval {package_version()}")
        raise typer.Exit


def _options(
    verbose: Annotated[bool, typer.Option(*VERBOSE, help="Show tracebacks and what the libraries say.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Did this tuning make my model better, in which languages, and what did it forget?"""


class _Commands(Mapping[str, Any]):
    """The registered commands by name; one is loaded when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in registry.names("commands"):
            raise KeyError(name)
        command = registry.load("commands", name)
        app = typer.Typer(add_completion=False)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
        return typer.main.get_group(app).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(registry.names("commands"))

    def __len__(self) -> int:
        return len(registry.names("commands"))


class _LazyGroup(TyperGroup):
    """The commands that are installed, of which only the invoked one is loaded; ``--help`` loads all of them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _Commands()})

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)


def build_app() -> typer.Typer:
    """The application with every registered command."""
    app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_options)
    return app
