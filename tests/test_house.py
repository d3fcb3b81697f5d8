"""The house rules: what may load what, where packages are named, how long a file and a function may be."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("harness", "tasks", "judges", "training", "reports")
SOURCES = sorted(x for package in PACKAGES for x in (ROOT / package).rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 500, 70


def _names(files):
    return [str(x.relative_to(ROOT)) for x in files]


def test_every_package_has_sources():
    assert {x.relative_to(ROOT).parts[0] for x in SOURCES} == set(PACKAGES)


@pytest.mark.parametrize("module", ["croco_eval.reports.tables.all", "croco_eval.reports.report.summary"])
def test_importing_reports_loads_no_model_library_and_no_client(module):
    code = f"import sys, {module}; print(*sorted({{x.split('.')[0] for x in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    loaded = set(done.stdout.split())
    assert "croco_eval" in loaded
    assert "pandas" in loaded
    assert not loaded & {"torch", "transformers", "lm_eval", "openai", "trl", "peft", "datasets"}


def test_import_rule_holds():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_folder_is_listed_for_installation():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {x.parent.relative_to(ROOT) for x in SOURCES if x.name == "__init__.py"}
    assert set(map(Path, PACKAGES)) <= folders
    missing = {".".join(("croco_eval", *x.parts)) for x in folders} - set(settings["packages"])
    assert not missing
    assert {f"croco_eval.{x}": x for x in PACKAGES}.items() <= settings["package-dir"].items()


def test_every_listed_package_has_its_folder():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for name in settings["packages"]:
        assert (ROOT.joinpath(*name.split(".")[1:]) / "__init__.py").is_file(), name


def test_every_folder_with_sources_is_a_package():
    assert not _names({x.parent for x in SOURCES if not (x.parent / "__init__.py").is_file()})


@pytest.mark.parametrize("file", SOURCES, ids=_names(SOURCES))
def test_file_and_its_functions_are_short(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    functions = [x for x in ast.walk(ast.parse(text)) if isinstance(x, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {x.name: x.end_lineno - x.lineno + 1 for x in functions if x.end_lineno - x.lineno >= LONGEST_FUNCTION}
    assert not long


def _tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / x for x in done.stdout.split("\0") if x]


def test_no_tracked_file_names_a_folder_of_the_machine_it_was_written_on():
    forbidden = [f"/{x}/" for x in ("work", "root")] + [f"{ROOT}/"]
    found = {}
    for file in (x for x in _tracked() if x.is_file()):
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        if hits := [i for i, line in enumerate(lines, 1) if any(x in line for x in forbidden)]:
            found[str(file.relative_to(ROOT))] = hits
    assert not found
