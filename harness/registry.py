"""Finds suites, judges, backends, engines, models and commands by name, through entry points.

A third party adds one by installing a package with an entry point in the group ``croco_eval.KIND``. Nothing is
imported before it is asked for.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import UserError
from .extras import missing_extra

SINGULAR = {
    "suites": "suite",
    "judges": "judge",
    "backends": "backend",
    "engines": "engine",
    "models": "packaged model",
    "corpora": "corpus",
    "commands": "command",
    "shortcuts": "shortcut",
    "reports": "report",
}


@cache
def _entries(kind: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"croco_eval.{kind}"):
        other = found.get(entry.name)
        if other is not None and other.value != entry.value:
            raise UserError(
                f"two installed packages register the {SINGULAR[kind]} {entry.name!r} "
                f"({other.value} and {entry.value}); uninstall one of them."
            )
        found[entry.name] = entry
    return dict(sorted(found.items()))


def names(kind: str) -> tuple[str, ...]:
    """Registered names of a kind (``suites``, ``judges``, ``backends``, ...), sorted."""
    return tuple(_entries(kind))


def load(kind: str, name: str) -> Any:
    """The object registered under this name. Raises UserError with the near names for an unknown one."""
    check(kind, name)
    entry = _entries(kind)[name]
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        if missing := missing_extra(error, f"{SINGULAR[kind]} {name!r}", name):
            raise missing from error
        package = entry.dist.name if entry.dist else "an unknown package"
        raise UserError(
            f"{SINGULAR[kind]} {name!r} of {package} can't be imported ({entry.value}): {error}."
        ) from error


def check(kind: str, name: str) -> None:
    """Raises UserError, with the near names, for a name that isn't registered; imports nothing."""
    entries = _entries(kind)
    if name not in entries:
        raise UserError(
            f"unknown {SINGULAR[kind]} {name!r}{did_you_mean(name, entries)}; known: {', '.join(entries) or 'none'}."
        )


def did_you_mean(word: str, known: Any) -> str:
    """`` - did you mean 'X'?`` for the nearest known words, or an empty string."""
    close = get_close_matches(str(word), [str(x) for x in known], n=2, cutoff=0.55)
    return f" - did you mean {' or '.join(repr(x) for x in close)}?" if close else ""
