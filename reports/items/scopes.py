"""Which languages stand together: each alone, the resource groups of the registry, all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ...harness.text.languages import group_of

WHOLE = "all"
"""Name of the task in rows that pool a suite's tasks, and of the language in rows that pool all languages."""


@dataclass(frozen=True)
class Scope:
    """Languages that one row is about. ``name`` is what stands in the column ``language``."""

    kind: Literal["language", "group", "all", "tuning"]
    name: str
    languages: tuple[str, ...]


def scopes(languages: Sequence[str]) -> list[Scope]:
    """Each language; then, of several, the groups with more than one of them, if there are several groups; then all."""
    alone = [Scope("language", x, (x,)) for x in languages]
    return [*alone, *(x for x in pooled_scopes(languages) if len(x.languages) > 1)]


def pooled_scopes(languages: Sequence[str]) -> list[Scope]:
    """The groups of the languages, and all of them. A group of one language, and a single one, stand for themselves."""
    if len(languages) == 1:
        return [Scope("language", languages[0], tuple(languages))]
    by_group: dict[str, list[str]] = {}
    for language in languages:
        by_group.setdefault(group_of(language), []).append(language)
    groups = [
        Scope("group", name, tuple(members)) if len(members) > 1 else Scope("language", members[0], tuple(members))
        for name, members in by_group.items()
    ]
    return [*(groups if len(groups) > 1 else []), Scope("all", WHOLE, tuple(languages))]


def tuning_scopes(languages: Sequence[str], tuned: Sequence[str]) -> list[Scope]:
    """The languages that were tuned, and those that never were."""
    parts = {"tuned": [x for x in languages if x in tuned], "never_tuned": [x for x in languages if x not in tuned]}
    return [Scope("tuning", name, tuple(members)) for name, members in parts.items() if members]


def joint_signature(signatures: Iterable[str]) -> str:
    """The signature, or for several (one per language) what they share, with ``*`` where they differ."""
    distinct = list(dict.fromkeys(signatures))
    if len(distinct) <= 1:
        return distinct[0] if distinct else ""
    parts = [signature_fields(x) for x in distinct]
    shared = {k: v if all(p.get(k) == v for p in parts) else "*" for k, v in parts[0].items()}
    return "|".join(f"{k}:{v}" for k, v in shared.items())


def signature_fields(signature: str) -> dict[str, str]:
    """``a:1|b:2`` as a mapping."""
    return {k: v for k, _, v in (x.partition(":") for x in signature.split("|"))}


def signature_conflict(ours: str, theirs: str) -> str | None:
    """Where two signatures differ, as ``chat (no, yes)``; None if they are the same."""
    if ours == theirs:
        return None
    a, b = signature_fields(ours), signature_fields(theirs)
    names = [x for x in dict.fromkeys((*a, *b)) if a.get(x) != b.get(x)]
    return ", ".join(f"{x} ({a.get(x, 'nothing')}, {b.get(x, 'nothing')})" for x in names)
