"""Fingerprints: hashes of everything that could change a result, and seeds made from them.

A cell's fingerprint holds everything by default; a setting that is known to be neutral is named in ``NEUTRAL``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

NEUTRAL = frozenset({"batch_tokens", "workers", "data_root"})
"""Settings that cannot change a result, beyond the last bits of floating point; data are hashed wherever they lie."""

NEUTRAL_SECTIONS = ("statistics", "arms")
"""Sections of the config that say how results are compared, not how they come about."""

_BLOCK = 1 << 20


def digest(value: Any) -> str:
    """SHA-256 (first 16 hex digits) of a JSON-able value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def seed_for(*parts: Any) -> int:
    """A seed in [0, 2^63) from JSON-able parts: the same parts always give the same one."""
    return int(digest(parts), 16) % 2**63


def folder_digest(folder: Path) -> str:
    """Digest of the names and contents of all files below a folder, without hidden ones and a trainer's checkpoints."""
    parts = []
    for path in sorted(x for x in folder.rglob("*") if x.is_file()):
        name = path.relative_to(folder)
        if not any(x.startswith((".", "checkpoint-")) for x in name.parts):
            parts.append((str(name), file_digest(path)))
    return digest(parts)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content. A hub cache names its large files by their hash: then the name is enough."""
    target = path.resolve()
    if target.parent.name == "blobs" and len(target.name) == 64:
        return target.name
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def differing(old: Mapping[str, Any], new: Mapping[str, Any], neutral: Iterable[str] = ()) -> list[str]:
    """Fields whose values differ, as ``field: old -> new``, neutral ones left out.

    ``neutral`` names further fields, with all that lies below them, that can't change a result.
    """
    below = tuple(f"{x}." for x in neutral)
    fields = [
        x for x in dict.fromkeys((*old, *new)) if x.rsplit(".", 1)[-1] not in NEUTRAL and not f"{x}.".startswith(below)
    ]
    missing = "(nothing)"
    return [
        f"{x}: {old.get(x, missing)} -> {new.get(x, missing)}"
        for x in fields
        if old.get(x, missing) != new.get(x, missing)
    ]
