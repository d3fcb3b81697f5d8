"""Shared fixtures. One torch thread: more of them fight each other on a busy machine."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TQDM_DISABLE", "1")

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from helpers.command import COMMAND, run_command
from helpers.hub.fixtures import hub as hub
from helpers.paths import SHARED
from helpers.served import serve_transformers

SHARED_DATA = SHARED / "data"

Cli = Callable[..., subprocess.CompletedProcess]


_LONG = (
    "training/test_arms.py",
    "training/study/test_run_study.py",
    "harness/run/test_run.py",
    "tasks/published/test_runs.py",
    "training/nano/test_build.py",
    "harness/run/test_resumed_adapters.py",
    "tasks/lm_eval/test_adapter.py",
    "test_wheel.py",
)
"""Files that take longest. They go first, so that no process is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order of all others stays."""
    root = Path(__file__).parent
    places = {root / x: i for i, x in enumerate(_LONG)}
    items.sort(key=lambda x: places.get(x.path, len(_LONG)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Published data sets for validation; a clone of its own has none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder with published data sets (../shared/data) is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def nano() -> Path:
    """Folder of the packaged tiny model."""
    from croco_eval.training.nano.shipped import base_folder

    return base_folder()


@pytest.fixture(scope="session")
def nano_sft() -> Path:
    """Folder of the packaged SFT adapter."""
    from croco_eval.training.nano.shipped import sft_folder

    return sft_folder()


@pytest.fixture(scope="session")
def served(nano: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of `transformers serve` with croco-nano, whose name there is its folder."""
    with serve_transformers(nano, tmp_path_factory.mktemp("serve") / "log.txt") as address:
        yield address


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs the command line in ``tmp_path``, in this process: what a user sees, without starting Python again."""
    return partial(run_command, tmp_path)


@pytest.fixture
def process(tmp_path: Path) -> Cli:
    """Runs the installed command in ``tmp_path`` as a second process, where that is the point."""

    def run(*arguments: object, timeout: float = 300) -> subprocess.CompletedProcess:
        command = [COMMAND, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, check=False)

    return run


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small config (packaged model and adapter, few items) with some keys replaced."""

    def write(name: str = "config.yaml", **changes: object) -> Path:
        settings: dict[str, object] = {
            "name": "trial",
            "languages": ["en", "mt"],
            "systems": [
                {"name": "base", "model": "croco-nano", "generation": {"max_new_tokens": 24}},
                {
                    "name": "sft",
                    "model": "croco-nano",
                    "adapter": "croco-nano-sft",
                    "generation": {"max_new_tokens": 24},
                },
            ],
            "suites": [{"name": "locale", "limit": 3}, {"name": "locale-open", "limit": 2}],
            "judges": ["reference"],
        }
        settings.update(changes)
        path = tmp_path / name
        path.write_text(yaml.safe_dump({k: v for k, v in settings.items() if v is not None}), encoding="utf-8")
        return path

    return write
