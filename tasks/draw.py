"""Draws the items of a published data set that a ``limit`` keeps."""

from __future__ import annotations

from collections.abc import Sequence

from ..harness.store.fingerprint import digest


def draw(sources: Sequence[str], limit: int | None) -> list[int]:
    """Places of the items that the limit keeps, in ascending order; all places without a limit.

    ``sources``: what the translations of each item share. They are drawn by its hash: a random sample, the same items
    in every language, and a larger limit holds the smaller one. Data sets are often sorted by label, so the first
    ones would not do.
    """
    if limit is None or limit >= len(sources):
        return list(range(len(sources)))
    drawn = sorted(range(len(sources)), key=lambda place: (digest(sources[place]), place))
    return sorted(drawn[:limit])
