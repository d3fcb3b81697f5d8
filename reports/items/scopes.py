"""Which languages stand together: each alone, the resource groups of the registry, all of them."""

from __future__ import annotations

from collections.abc import Sequence
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
