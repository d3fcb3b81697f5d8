"""The house rules: what may load what, where packages are named, how long a file and a function may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from croco_eval.harness.extras import EXTRA_OF

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


MAY_USE = {
    "harness": (),
    "harness/backends": ("run",),
    "harness/text/encoding.py": ("run",),
    "harness/backends/vllm_generate.py": ("run", "vllm"),
    "harness/vllm_load.py": ("vllm",),
    "harness/backends/vllm_rewards.py": ("vllm",),
    "harness/calls/offline.py": ("vllm",),
    "harness/models": ("run",),
    "harness/run": ("run",),
    "judges": (),
    "reports": (),
    "tasks": ("run",),
    "training": ("run", "train"),
    "training/nano/packed.py": ("run",),
    "training/nano/shipped.py": ("run",),
}
"""Folder or file -> the extras whose libraries it may import; the longest path counts. All may use the core's."""


def _declared() -> dict[str, set[str]]:
    """Group of dependencies (``core``, or an extra without the extras it includes) -> normalised distributions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    return {
        group: {_normal(re.split(r"[\[<>=, ]", x)[0]) for x in wanted if not x.startswith("croco-eval[")}
        for group, wanted in groups.items()
    }


def _normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-")


def _distribution(module: str) -> str:
    """The distribution that a top-level module belongs to; one that isn't installed is taken to have its name."""
    return _normal(_distributions().get(module, [module])[0])


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


@cache
def _imports() -> dict[str, set[str]]:
    """Source file -> distributions that it imports anywhere, in functions too."""
    found: dict[str, set[str]] = {}
    for file in SOURCES:
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        modules |= {x.module for x in nodes if isinstance(x, ast.ImportFrom) and x.level == 0 and x.module}
        tops = {x.partition(".")[0] for x in modules} - sys.stdlib_module_names - {"croco_eval"}
        found[file.relative_to(ROOT).as_posix()] = {_distribution(x) for x in tops}
    return found


def _undeclared(imports: dict[str, set[str]], declared: dict[str, set[str]]) -> dict[str, set[str]]:
    """Source file -> what it imports although neither the core nor an extra it may use declares it."""
    lost = {}
    for file, used in imports.items():
        extras = MAY_USE[max((x for x in MAY_USE if f"{file}/".startswith(f"{x}/")), key=len)]
        if missing := used.difference(declared["core"], *(declared[x] for x in extras)):
            lost[file] = missing
    return lost


def test_every_imported_distribution_is_declared_where_it_is_used():
    assert not _undeclared(_imports(), _declared())


@pytest.mark.parametrize(
    ("group", "distribution", "file"),
    [
        ("core", "pyarrow", "harness/store/parquet.py"),
        ("run", "safetensors", "training/nano/packed.py"),
        ("run", "scikit-learn", "tasks/published/euroeval/yaml/metrics.py"),
        ("train", "trl", "training/trainers/dpo.py"),
        ("vllm", "vllm", "harness/vllm_load.py"),
    ],
)
def test_a_distribution_that_is_not_declared_is_found(group: str, distribution: str, file: str):
    declared = _declared()
    declared[group].remove(distribution)
    assert distribution in _undeclared(_imports(), declared)[file]


def test_every_declared_distribution_is_used():
    used = set().union(*_imports().values())
    assert not set().union(*(_declared()[x] for x in ("core", "run", "train", "vllm"))) - used


def test_every_library_of_an_extra_can_be_told_from_its_name():
    declared = _declared()
    known = {
        extra: {_distribution(x) for x, of in EXTRA_OF.items() if of == extra} for extra in ("run", "train", "vllm")
    }
    assert known == {extra: declared[extra] for extra in known}


NAMED_FILE = re.compile(rf"`((?:{'|'.join((*PACKAGES, 'tests', 'docs', 'configs', 'benchmarks'))})/[\w./-]*)`")


@pytest.mark.parametrize("document", ["docs/design.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_names_is_there(document: str):
    named = NAMED_FILE.findall((ROOT / document).read_text(encoding="utf-8"))
    assert len(named) > 5
    assert not [x for x in named if not (ROOT / x).exists()]


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
