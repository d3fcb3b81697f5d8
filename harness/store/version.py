"""The version of croco-eval, and the git commit of its source."""

from __future__ import annotations

import subprocess
from pathlib import Path


def package_version() -> str:
    """Version of croco-eval."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("croco-eval")
    except PackageNotFoundError:
        return "unknown"


def git_commit(folder: Path) -> str | None:
    """The commit of the repository a folder stands in, or None outside one."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None
