"""The command line in this process: what it does and prints, without starting Python and its libraries again."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import traceback
from pathlib import Path
from unittest import mock

from croco_eval.harness.cli.main import main

COMMAND = str(Path(sys.executable).with_name("croco-eval"))
"""The installed command, for tests of which a second process is the point."""


def run_command(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs ``croco-eval ARGUMENTS`` in a folder and gives its exit code and what it printed, as a process would.

    An exception that would end the process is printed as its traceback, with exit code 1. The environment and the
    current folder are put back.
    """
    command = [COMMAND, *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ),
        mock.patch.object(sys, "argv", command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _exit_code(err)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def _exit_code(err: io.StringIO) -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc(file=err)
        return 1
    return 0
