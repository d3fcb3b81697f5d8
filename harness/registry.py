"""Finds suites, judges, backends, models, commands and more by name, through entry points.

A third party adds one by installing a package with an entry point in the group ``croco_eval.KIND``. Nothing is
imported before it is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import UserError
from .extras import missing_extra

KINDS = {
    "after_run": "step after a run",
    "backends": "backend",
    "commands": "command",
    "corpora": "corpus",
    "judges": "judge",
    "models": "packaged model",
    "scorers": "scorer",
    "suites": "suite",
}
"""What can be registered, and what one of it is called. ``after_run`` holds what is called after a run or a judging,
with its folder and the console: ``(folder: Path, console: Console) -> None``."""


@cache
def _entries(kind: str) -> dict[str, EntryPoint]:
    if kind not in KINDS:
        raise ValueError(f"nothing is registered as {kind!r}; the kinds are {', '.join(KINDS)}")
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"croco_eval.{kind}"):
        other = found.get(entry.name)
        if other is not None and other.value != entry.value:
            raise UserError(
                f"two installed packages register the {KINDS[kind]} {entry.name!r} "
                f"({other.value} and {entry.value}); uninstall one of them."
            )
        found[entry.name] = entry
    return dict(sorted(found.items()))


def names(kind: str) -> tuple[str, ...]:
    """Registered names of a kind (one of ``KINDS``), sorted."""
    return tuple(_entries(kind))


def find(kind: str, name: str) -> EntryPoint:
    """Where the object of this name is defined; imports nothing. Raises UserError with the near names for an unknown
    one."""
    entries = _entries(kind)
    if name not in entries:
        raise UserError(
            f"unknown {KINDS[kind]} {name!r}{did_you_mean(name, entries)}; known: {', '.join(entries) or 'none'}."
        )
    return entries[name]


def load(kind: str, name: str) -> Any:
    """The object registered under this name. Raises UserError with the near names for an unknown one."""
    found = find(kind, name)
    try:
        return found.load()
    except (ImportError, AttributeError) as error:
        if missing := missing_extra(error, f"{KINDS[kind]} {name!r}", name):
            raise missing from error
        raise UserError(
            f"{KINDS[kind]} {name!r} of {found.dist.name if found.dist else 'an unknown package'} can't be imported "
            f"({found.value}): {error}."
        ) from error


def did_you_mean(word: str, known: Any) -> str:
    """`` - did you mean 'X'?`` for the nearest known words, or an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), [str(x) for x in known], n=2, cutoff=0.55)
    return f" - did you mean {' or '.join(repr(x) for x in close)}?" if close else ""
