"""The command line. Commands are entry points (``croco_eval.commands``); each imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from . import registry
from .errors import CrocoError

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # more threads fight each other on a busy machine; two processes are faster
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


_VERBOSE = ("-v", "--verbose")
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore",  # for worker processes
}


def _version(wanted: bool) -> None:
    if wanted:
        from .plan import package_version

        typer.echo(f"croco-eval {package_version()}")
        raise typer.Exit


def _options(
    verbose: Annotated[bool, typer.Option(*_VERBOSE, help="Show tracebacks and what the libraries say.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Did this tuning make my model better, in which languages, and what did it forget?"""


def build_app() -> typer.Typer:
    """The application with every registered command."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_options)
    for name in registry.names("commands"):
        command = registry.load("commands", name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def main() -> None:
    """Entry point. A CrocoError is one sentence on stderr and its exit code; ``-v``, anywhere, adds the traceback."""
    arguments = [x for x in sys.argv[1:] if x not in _VERBOSE]
    verbose = len(arguments) < len(sys.argv) - 1
    if not verbose:
        warnings.simplefilter("ignore")
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
    try:
        build_app()(args=arguments)
    except CrocoError as error:
        if verbose:
            raise
        sys.stderr.write(f"croco-eval: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("croco-eval: interrupted; the same command goes on from here.\n")
        sys.exit(130)
