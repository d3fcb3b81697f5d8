"""The command line: its commands, errors as one sentence, exit codes.

Commands are entry points (``croco_eval.commands``). Only the invoked one is imported; the list of commands takes its
texts from their sources.
"""

from __future__ import annotations

import ast
import gc
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

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
    if "--help" in arguments or len(arguments) < 2:
        _import_help_writer()
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
    app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
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


class _Commands(TyperGroup):
    """The commands that are installed. Their list knows names and texts; the invoked one is loaded."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _Listed()})

    def get_help_option(self, ctx: Any) -> Any:
        return _with_default(super().get_help_option(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As the library does it, but with the command itself in place of its entry in the list."""
        name, listed, rest = super().resolve_command(ctx, args)
        command = _load(str(name)) if listed else None
        if isinstance(command, TyperGroup):
            _with_default(command.get_help_option(ctx))
        return name, command, rest


def _with_default(help_option: Any) -> Any:
    """The option ``--help`` with a default; without one, typer imports pydantic to find that it was not given."""
    if help_option is not None:
        help_option.default = False
    return help_option


class _Listed(Mapping[str, TyperCommand]):
    """The registered commands by name, each with its text alone."""

    def __getitem__(self, name: str) -> TyperCommand:
        if name not in registry.names("commands"):
            raise KeyError(name)
        return TyperCommand(name, help=_text_in_source(registry.find("commands", name).value) or _load(name).help)

    def __iter__(self) -> Iterator[str]:
        return iter(registry.names("commands"))

    def __len__(self) -> int:
        return len(registry.names("commands"))


def _load(name: str) -> Any:
    command = registry.load("commands", name)
    app = typer.Typer(add_completion=False)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)
    return typer.main.get_group(app).commands[name]


def _text_in_source(place: str) -> str | None:
    """The help of a command at ``module:object``, read from its source: a function's docstring, or the ``help`` of an
    application. None where it isn't written there."""
    module, _, name = place.partition(":")
    file = _source_of(module)
    for x in ast.parse(file.read_text(encoding="utf-8")).body if file else ():
        if isinstance(x, ast.FunctionDef) and x.name == name:
            return ast.get_docstring(x)
        if isinstance(x, ast.Assign) and ast.unparse(x.targets[0]) == name and isinstance(x.value, ast.Call):
            texts = [y.value for y in x.value.keywords if y.arg == "help"]
            return str(texts[0].value) if texts and isinstance(texts[0], ast.Constant) else None
    return None


def _source_of(module: str) -> Path | None:
    """The file of a module, found without importing the packages it lies in; None if there is none."""
    name, path, spec = "", None, None
    for part in module.split("."):
        name = f"{name}.{part}".removeprefix(".")
        spec = next((x for finder in sys.meta_path if (x := finder.find_spec(name, path))), None)
        path = list(spec.submodule_search_locations or ()) if spec else ()
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _import_help_writer() -> None:
    """Imports what writes help, but not yet the two slow parts of it that are hardly ever used.

    What stands in for them until ``typer.rich_utils`` is imported makes the real thing when it is called.
    """

    def make_later(module: str, name: str) -> Any:
        return lambda _cls, *args, **settings: getattr(import_module(module), name)(*args, **settings)

    slow = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
    slow = {module: name for module, name in slow.items() if module not in sys.modules}
    for module, name in slow.items():
        sys.modules[module] = ModuleType(module)
        setattr(sys.modules[module], name, type(name, (), {"__new__": make_later(module, name)}))
    import_module("typer.rich_utils")
    for module in slow:
        del sys.modules[module]
