"""The command line: environment, errors as one sentence, exit codes."""

from __future__ import annotations

import gc
import os
import sys
import warnings

from .. import registry
from ..errors import CrocoError
from ..extras import error_of_command

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # more threads fight each other on a busy machine; two processes are faster
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


VERBOSE = ("-v", "--verbose")
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "PYTHONWARNINGS": "ignore",  # for worker processes
}


def _took_shortcut(arguments: list[str]) -> bool:
    """Some commands have a short way (``croco_eval.shortcuts``) for what needs no check; it says whether it went."""
    name = "-".join(arguments[:2])
    return name in registry.names("shortcuts") and registry.load("shortcuts", name)(arguments[2:])


def main() -> None:
    """Entry point. A CrocoError is one sentence on stderr and its exit code; ``-v``, anywhere, adds the traceback."""
    gc.set_threshold(50_000)  # imports and datasets make many objects that stay: looking for garbage among them is idle
    arguments = [x for x in sys.argv[1:] if x not in VERBOSE]
    verbose = len(arguments) < len(sys.argv) - 1
    if not verbose:
        warnings.simplefilter("ignore")
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
    try:
        if not _took_shortcut(arguments):
            from .app import build_app

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
