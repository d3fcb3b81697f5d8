"""``manifest.json``: versions, hardware, seeds and identities that a run was made with."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..store.run_directory import SCHEMA_VERSION, RunDirectory
from ..store.version import git_commit, package_version
from .plan import Plan, System

_REPORTED_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "lm_eval",
    "trl",
    "datasets",
    "babel",
    "py3langid",
    "numpy",
    "scipy",
    "pandas",
)


def make_manifest(plan: Plan, run: RunDirectory) -> dict[str, Any]:
    """What made this run: versions, hardware, seeds, and the identity of each system, task and judge."""
    return {
        "schema_version": SCHEMA_VERSION,
        "croco_eval": package_version(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": dict(_package_versions()),
        "hardware": _hardware(),
        "seed": plan.config.seed,
        "reference": plan.config.reference_name,
        "languages": plan.config.languages,
        "suites": {name: {"kind": suite.kind} for name, suite in plan.suites.items()},
        "systems": {x.name: _system(x) for x in plan.systems},
        "tasks": dict(_tasks(plan, run)),
        "judges": {**_added_judges(run), **{name: judge.identity for name, judge in plan.judges.items()}},
    }


def _system(system: System) -> dict[str, Any]:
    """Identity of a system, and how its adapter was tuned where that is recorded."""
    tuning = system.tuning
    return {**system.identity, **({"tuning": asdict(tuning)} if tuning else {})}


def _tasks(plan: Plan, run: RunDirectory) -> Iterator[tuple[str, dict[str, Any]]]:
    """Identity of each task that some sealed cell answered, as recorded there."""
    for cell in plan.cells:
        folder = run.cell(cell.system.name, cell.suite, cell.language)
        if folder.is_sealed:
            fields = folder.seal_info()["fingerprint"]
            identity = {k.removeprefix("task."): v for k, v in fields.items() if k.startswith("task.")}
            yield f"{cell.suite}/{cell.language}", identity


def _added_judges(run: RunDirectory) -> dict[str, Any]:
    """Judges that have judged this run before, be it on another command."""
    return run.manifest().get("judges", {}) if (run.path / "manifest.json").exists() else {}


def _package_versions() -> Iterator[tuple[str, str]]:
    for name in _REPORTED_PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _hardware() -> dict[str, Any]:
    return {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "gpus": _gpus()}


def _gpus() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
