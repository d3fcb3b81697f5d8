"""Checks of what comes in: item values with gaps, pairs, labels, levels. Each refusal names what was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
Values: TypeAlias = Sequence[float | None] | Array
"""One value per item; None and NaN are unscored."""
Labels: TypeAlias = Sequence[object] | Array
"""One label per item."""
Kind: TypeAlias = Literal["binary", "bounded", "continuous"]
"""A metric's declared type: 0 or 1; in [0, 1]; any number."""


def float_values(values: Values, name: str = "item values", kind: Kind = "continuous") -> Array:
    """The values as floats, NaN where unscored. Raises ValueError for infinite values and values the kind forbids."""
    x = np.array(values, dtype=float)
    if x.ndim != 1:
        raise ValueError(f"{name} must be one value per item, not an array of {x.ndim} dimensions")
    return check_kind(x, name, kind)


def check_kind(x: Array, name: str, kind: Kind) -> Array:
    """The array unchanged, or a ValueError for infinite values and values the kind forbids; NaN passes."""
    if np.isinf(x).any():
        raise ValueError(f"{name} must be finite")
    if kind not in ("binary", "bounded", "continuous"):
        raise ValueError(f"kind must be binary, bounded or continuous, not {kind!r}")
    if kind != "continuous" and ((x < 0) | (x > 1)).any():
        raise ValueError(f"{kind} {name} must lie in [0, 1]")
    if kind == "binary" and not ((x == 0) | (x == 1) | np.isnan(x)).all():
        raise ValueError(f"binary {name} must be 0 or 1")
    return x


def paired_differences(candidate: Values, reference: Values, kind: Kind = "continuous") -> Array:
    """candidate - reference per item, NaN where either side is unscored."""
    ours, theirs = float_values(candidate, "candidate values", kind), float_values(reference, "reference values", kind)
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} candidate values but {len(theirs)} reference values")
    return ours - theirs


def check_level(level: float, name: str = "level") -> None:
    if not 0 < level < 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {level}")


def check_resamples(n_resamples: int) -> None:
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, not {n_resamples}")


def label_codes(labels: Labels | None, n: int, name: str) -> Array:
    """0, 1, ... per distinct label, in order of appearance; without labels each item is alone.

    Raises ValueError for another number of labels than items, and for a label that is None or NaN.
    """
    if labels is None:
        return np.arange(n)
    if len(labels) != n:
        raise ValueError(f"{n} values but {len(labels)} {name} labels")
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iu":
        _, first, codes_by_value = np.unique(labels, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[codes_by_value]
    codes: dict[object, int] = {}
    found = np.array([codes.setdefault(x, len(codes)) for x in labels], dtype=np.intp)
    if any(x is None or x != x for x in codes):
        raise ValueError(f"a {name} label is missing (None or NaN)")
    return found


def sorted_codes(labels: Labels) -> Array:
    """0, 1, ... per distinct label, in the labels' order: numbers by size, others by their names."""
    if not (isinstance(labels, np.ndarray) and labels.dtype.kind in "iu"):
        labels = np.array([str(x) for x in labels])
    return np.unique(labels, return_inverse=True)[1]
