"""``croco-eval train pair CONFIG`` for a config that was checked before: straight to the pairs.

To check a config takes longer than to select pairs among 200,000 candidates. So what a checked config asks for is kept
in the folder that it names (``pair-jobs.json``), and used as long as neither the file nor the code that checks it
has changed.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...harness.store.files import read_json, write_json
from ...harness.store.version import package_version
from ..records import Prompt
from .pair import PairJob, pair_jobs, run_pair_jobs

if TYPE_CHECKING:
    from ..config import TrainConfig

_CHECKED_BY = (
    "../config.py", "../arms.py", "pair.py", "../../harness/config.py", "../../harness/options.py",
    "../../harness/strict_yaml.py",
)  # fmt: skip


def remember_jobs(file: Path, config: TrainConfig) -> None:
    """Keeps which pairs a config asks for that was read from this file."""
    from ..arms import resolve_arms

    out = Path(config.out or ".")
    jobs = pair_jobs(config, resolve_arms(config, out))
    write_json(out / "pair-jobs.json", {"checked": _checked(file), "jobs": [asdict(x) for x in jobs]})


def pair_again(arguments: Sequence[str]) -> bool:
    """Makes the pairs of the config that is the only argument; False, and nothing done, if it must be checked first."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        return False
    jobs = _known_jobs(Path(arguments[0]))
    if jobs is None or not all((x.sources[0].path / "prompts.parquet").exists() for x in jobs):
        return False
    run_pair_jobs(jobs, _no_prompts, lambda message: print(message, file=sys.stdout))
    return True


def _known_jobs(config: Path) -> list[PairJob] | None:
    import yaml

    try:
        text = config.read_bytes()
        asked: Any = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        out = config.resolve().parent / (asked.get("out") or f"train/{asked['name']}")
        if not (out / "pair-jobs.json").exists():
            return None
        known = read_json(out / "pair-jobs.json")
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError):  # the checking says what is wrong with it
        return None
    return [PairJob(**x) for x in known["jobs"]] if known["checked"] == _checked(config) else None


def _checked(config: Path) -> str:
    """Identifies a config, where it lies, and the code that checks it."""
    here = Path(__file__).parent
    code = [(x, (here / x).stat().st_mtime_ns) for x in _CHECKED_BY]
    state = hashlib.sha256(config.read_bytes())
    state.update(repr((str(config.resolve()), package_version(), code)).encode())
    return state.hexdigest()


def _no_prompts() -> Sequence[Prompt]:
    raise RuntimeError("the prompts are beside the candidates")
