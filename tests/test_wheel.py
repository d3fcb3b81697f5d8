"""The wheel: what is in it, and what works where it is installed without any extra."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from helpers.gate_runs import DANISH, chat_run, quiz_run
from helpers.judged_run import make_run
from helpers.paths import ROOT
from helpers.scripted_server import ScriptedServer, longer_wins

PACKAGES = ("harness", "judges", "reports", "tasks", "training")
SHIPPED = ("configs", "pyproject.toml", "README.md", "LICENSE")
TRAINING = {
    "name": "tiny",
    "languages": ["en"],
    "policy": {"name": "base", "model": "croco-nano"},
    "prompts": {"corpus": "locale"},
    "scorers": [{"name": "reference"}],
}

Command = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, made from a copy of its tracked files: a build leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in (
        x for x in listed.split("\0") if x.startswith((*PACKAGES, "configs", "pyproject", "README", "LICENSE"))
    ):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "source" / name)
    _pip(sys.executable, "wheel", "--no-deps", "-w", folder, folder / "source")
    return next(folder.glob("croco_eval-*.whl"))


def _pip(python: str | Path, *arguments: object) -> None:
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=300)


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The installed command in an environment that holds the core dependencies alone."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    _pip(programs / "python", "install", "--no-compile", "-c", ROOT / "constraints.txt", wheel)

    def run(*arguments: object) -> subprocess.CompletedProcess:
        command = [str(programs / "croco-eval"), *map(str, arguments)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    """A finished run over one structured suite."""
    values = {"da": [1.0, 0.0] * 20, "mt": [1.0, 1.0, 0.0, 1.0] * 10}
    return quiz_run(tmp_path / "quiz", values, {k: [0.0, *v[1:]] for k, v in values.items()})


@pytest.fixture
def served() -> Iterator[ScriptedServer]:
    with ScriptedServer(longer_wins) as server:
        yield server


def test_every_package_says_that_it_is_typed(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"croco_eval/{x}/py.typed" for x in PACKAGES} <= set(names)


def test_nothing_of_an_extra_is_installed_with_the_core(bare: Command):
    done = bare("ls", "backends")
    assert (done.returncode, done.stderr) == (0, "")
    said = " ".join(done.stdout.replace("│", " ").split())
    assert "backend 'hf' needs the extra 'run': pip install 'croco-eval[run]'." in said


def test_every_suite_is_described_without_any_extra(bare: Command):
    done = bare("ls", "suites")
    assert (done.returncode, done.stderr) == (0, "")
    assert "extra" not in done.stdout
    assert {"euroeval", "locale", "m-arena-hard", "open"} <= set(done.stdout.split())


@pytest.mark.parametrize("command", ["report", "compare", "power"])
def test_a_run_is_read_without_any_extra(bare: Command, quiz: Path, command: str):
    done = bare(command, quiz)
    assert (done.returncode, done.stderr) == (0, "")
    if command == "report":
        assert (quiz / "report" / "report.md").is_file()
        assert list((quiz / "report" / "figures").glob("*.png"))


def test_runs_are_ranked_without_any_extra(bare: Command, quiz: Path, tmp_path: Path):
    done = bare("leaderboard", quiz, "--out", tmp_path / "all.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "all.csv").is_file()


def test_the_gate_decides_without_any_extra(bare: Command, quiz: Path, tmp_path: Path):
    policy = tmp_path / "gate.yaml"
    policy.write_text(yaml.safe_dump({"margin": 0.9}), encoding="utf-8")
    done = bare("check", quiz, "--policy", policy)
    assert done.returncode in (0, 1, 3), done.stderr
    assert "GO" in done.stdout
    assert (quiz / "gate.json").is_file()


def test_judges_are_audited_without_any_extra(bare: Command, tmp_path: Path):
    texts = [DANISH.format(i) for i in range(4)]
    run = chat_run(tmp_path / "chat", {"base": texts, "tuned": texts}, ["candidate", "tie", None, "reference"])
    done = bare("judge-audit", run)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_server_judges_without_any_extra(bare: Command, tmp_path: Path, served: ScriptedServer):
    options = {"model": "m", "base_url": served.base_url}
    run = make_run(tmp_path / "run", judges=[{"name": "llm", "options": options}])
    done = bare("judge", run.path, "--judge", "llm")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(served.answered) == 16
    assert "win_rate[llm]" in (run.path / "comparisons.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("run",), "run"),
        (("prefetch", "compare.yaml"), "run"),
        (("train", "all", "train.yaml"), "train"),
        (("train", "all", "train.yaml", "--dry-run"), "train"),
        (("nano", "build"), "train"),
    ],
)
def test_a_command_says_which_extra_it_needs(bare: Command, tmp_path: Path, arguments: tuple[str, ...], extra: str):
    (tmp_path / "compare.yaml").write_text((ROOT / "configs" / "quickstart.yaml").read_text(encoding="utf-8"))
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(TRAINING), encoding="utf-8")
    done = bare(*(tmp_path / x if x.endswith(".yaml") else x for x in arguments))
    assert done.returncode == 2
    assert done.stderr.endswith(f" needs the extra {extra!r}: pip install 'croco-eval[{extra}]'.\n")
    assert done.stderr.count("\n") == 1
