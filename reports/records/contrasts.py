"""Which systems stand for which ways of tuning: as the config says, or else as their adapters' records say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

from ...harness.config.run_config import CONTRASTS
from ...harness.models.tuning import Tuning, parse_tuning

_IS: dict[str, Callable[[Tuning], bool]] = {
    "on_policy": lambda x: x.trainer == "dpo" and x.data == "on-policy",
    "off_policy": lambda x: x.trainer == "dpo" and x.data == "off-policy",
    "online": lambda x: x.trainer == "online-dpo",
    "offline": lambda x: x.trainer == "dpo" and x.data == "on-policy",
    "dpo": lambda x: x.trainer == "dpo" and x.data == "on-policy",
    "sft": lambda x: x.trainer == "sft",
    "multi": lambda x: x.trainer == "dpo" and x.pool == "all",
    "mono": lambda x: x.trainer == "dpo" and x.pool == "language",
}
_ALIKE: dict[str, tuple[str, ...]] = {
    "on_policy": ("languages", "pool", "reward"),
    "online": ("languages", "reward"),
    "dpo": ("languages",),
    "multi": ("languages", "data", "sampled_from", "reward"),
}
"""First arm of a contrast -> what both arms must have in common."""


def tunings_of(manifest: Mapping[str, Any], left_out: frozenset[str] = frozenset()) -> dict[str, Tuning]:
    """System -> how its adapter was tuned, of those whose adapter says so. Raises StoreError for a damaged record."""
    return {
        name: parse_tuning(identity["tuning"], f"manifest.json, system {name}")
        for name, identity in manifest.get("systems", {}).items()
        if name not in left_out and "tuning" in identity
    }


def arms_of(named: Mapping[str, str], tunings: Mapping[str, Tuning]) -> dict[str, str]:
    """Way of tuning -> the system that stands for it.

    ``named`` are the config's arms. What a contrast lacks is taken from the records: the first two systems, in the
    run's order, that differ in what the contrast is about and agree in the rest; two of the same seed before others.
    """
    found = dict(named)
    for first, second in CONTRASTS:
        fitting = [
            (a, b)
            for a, b in product(_candidates(first, named, tunings), _candidates(second, named, tunings))
            if a != b and _agree(tunings[a], tunings[b], _ALIKE[first])
        ]
        fitting.sort(key=lambda x: tunings[x[0]].seed != tunings[x[1]].seed)
        if fitting and not (first in named and second in named):
            found[first], found[second] = fitting[0]
    return found


def _candidates(arm: str, named: Mapping[str, str], tunings: Mapping[str, Tuning]) -> list[str]:
    if arm in named:
        return [named[arm]] if named[arm] in tunings else []
    return [name for name, x in tunings.items() if _IS[arm](x)]


def _agree(a: Tuning, b: Tuning, names: tuple[str, ...]) -> bool:
    return all(_plain(getattr(a, x)) == _plain(getattr(b, x)) for x in names)


def _plain(value: Any) -> Any:
    return frozenset(value) if isinstance(value, tuple) else value
