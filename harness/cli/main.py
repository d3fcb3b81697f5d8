"""The command line: its commands, errors as one sentence, exit codes.

Commands are entry points (``croco_eval.commands``). Only the invoked one is imported; the list of commands imports them
all, which is cheap because a command imports what it runs when it runs.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import registry
from ..errors import CrocoError
from ..extras import error_of_command

# More threads fight each other on a busy machine; two processes are faster.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_VERBOSE = ("-v", "--verbose")
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore",  # for worker processes
}


def main() -> None:
    """Entry point. A CrocoError is one sentence on stderr and its exit code; ``-v``, anywhere, adds the traceback."""
    gc.set_threshold(50_000)  # imports and datasets make many objects that stay: looking for garbage among them is idle
    arguments = [x for x in sys.argv[1:] if x not in _VERBOSE]
    verbose = len(arguments) < len(sys.argv) - 1
    if not verbose:
        warnings.simplefilter("ignore")
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
    try:
        build_app()(args=arguments)
    except (CrocoError, ModuleNotFoundError) as error:
        command = next((x for x in arguments if not x.startswith("-")), "")
        shown = error_of_command(error, command)
        if verbose or shown is None:
            raise
        sys.stderr.write(f"croco-eval: {shown}\n")
        sys.exit(shown.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("croco-eval: interrupted; the same command goes on from here.\n")
        sys.exit(130)


def build_app() -> typer.Typer:
    """The application with every registered command."""
    app = typer.Typer(cls=_Installed, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_options)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from ..store.version import package_version

        typer.echo(f"croco-eval {package_version()}")
        raise typer.Exit


def _options(
    verbose: Annotated[bool, typer.Option(*_VERBOSE, help="Show tracebacks and what the libraries say.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Did this tuning make my model better, in which languages, and what did it forget?"""


class _Group(TyperGroup):
    """Commands whose ``--help`` has a default: without one, typer imports pydantic to find that it was not given."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option, if there is one."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option


class _Commands(Mapping[str, Any]):
    """The registered commands by name; one is loaded when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        command = registry.load("commands", name)
        app = typer.Typer(add_completion=False)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, cls=_Group)
        else:
            app.command(name)(command)
        return typer.main.get_group(app).commands[name]

    def __contains__(self, name: object) -> bool:
        return name in registry.names("commands")

    def __iter__(self) -> Iterator[str]:
        return iter(registry.names("commands"))

    def __len__(self) -> int:
        return len(registry.names("commands"))


class _Installed(_Group):
    """The commands that are installed, of which only the invoked one is loaded."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _Commands()})
