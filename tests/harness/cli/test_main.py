"""The command line loads what was asked for, and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    code = (
        "import sys\n"
        "from croco_eval.harness.cli.main import main\n"
        f"sys.argv = ['croco-eval', *{list(arguments)!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return set(done.stderr.split())


def test_only_the_invoked_command_is_loaded():
    loaded = loaded_by("ls", "judges")
    assert "croco_eval.harness.cli.ls" in loaded
    assert not {"croco_eval.training.commands.train", "croco_eval.reports.commands.report", "torch", "pandas"} & loaded


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["train", "pair", "--help"], ["nano", "--help"]])
def test_help_loads_nothing_that_is_slow(words):
    loaded = loaded_by(*words)
    assert not {"pydantic", "numpy", "pandas", "torch"} & loaded


def test_the_help_names_every_command_and_an_unknown_one_is_told_its_neighbour(cli):
    shown = cli("--help").stdout
    for name in (
        "check",
        "compare",
        "judge",
        "judge-audit",
        "leaderboard",
        "ls",
        "nano",
        "power",
        "report",
        "run",
        "train",
    ):
        assert f"│ {name} " in shown
    done = cli("trian")
    assert done.returncode == 2
    assert "Did you mean 'train'?" in done.stderr
    assert "install-completion" not in cli("train", "--help").stdout


def test_the_version_is_told_without_loading_any_command():
    loaded = loaded_by("--version")
    assert not [
        x for x in loaded if x.startswith(("croco_eval.reports", "croco_eval.training.commands.train", "pandas"))
    ]
