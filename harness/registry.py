"""Finds suites, judges, backends, models, commands and more by name, through entry points.

A third party adds one by installing a package with an entry point in the group ``croco_eval.KIND``. Nothing is
imported before it is asked for. The installed packages' ``entry_points.txt`` are read here, because
``importlib.metadata`` takes longer to import than all of them take to read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path
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


@dataclass(frozen=True)
class EntryPoint:
    """A registered object: ``value`` says where it is defined, as ``module:object``."""

    name: str
    value: str
    package: str

    def load(self) -> Any:
        """The object itself; imports its module."""
        module, _, attribute = self.value.partition(":")
        found = import_module(module)
        return attrgetter(attribute)(found) if attribute else found


@cache
def _installed() -> dict[str, list[EntryPoint]]:
    """Kind -> the entry points of all installed packages."""
    found: dict[str, list[EntryPoint]] = {x: [] for x in KINDS}
    seen: set[str] = set()
    for folder in _metadata_folders():
        package = folder.name.partition("-")[0].removesuffix(".egg").replace("_", "-")
        if package.lower() in seen:
            continue  # the first one on the path is the one that is imported
        seen.add(package.lower())
        try:
            text = (folder / "entry_points.txt").read_text(encoding="utf-8")
        except OSError:
            continue
        if "croco_eval." not in text:
            continue
        parser = ConfigParser(delimiters="=", interpolation=None)
        parser.optionxform = str  # type: ignore[assignment]
        parser.read_string(text)
        for kind, entries in found.items():
            if parser.has_section(group := f"croco_eval.{kind}"):
                entries += [EntryPoint(k, v.partition("[")[0].strip(), package) for k, v in parser.items(group)]
    return found


def _metadata_folders() -> Iterator[Path]:
    """The folders with the metadata of installed packages, in the order of the import path."""
    for place in sys.path:
        try:
            yield from sorted(x for x in Path(place).iterdir() if x.suffix in (".dist-info", ".egg-info"))
        except OSError:
            continue


@cache
def _entries(kind: str) -> dict[str, EntryPoint]:
    if kind not in KINDS:
        raise ValueError(f"nothing is registered as {kind!r}; the kinds are {', '.join(KINDS)}")
    found: dict[str, EntryPoint] = {}
    for entry in _installed()[kind]:
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
            f"{KINDS[kind]} {name!r} of {found.package} can't be imported ({found.value}): {error}."
        ) from error


def did_you_mean(word: str, known: Any) -> str:
    """`` - did you mean 'X'?`` for the nearest known words, or an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), [str(x) for x in known], n=2, cutoff=0.55)
    return f" - did you mean {' or '.join(repr(x) for x in close)}?" if close else ""
