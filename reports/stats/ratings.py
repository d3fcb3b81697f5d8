"""Who is strongest among many? Bradley-Terry and Elo ratings through evalica, with intervals by clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from .bootstrap import resample_counts
from .inputs import Array, Labels, Values, check_level, check_resamples, float_values, label_codes
from .results import Estimate

POINTS = 400 / math.log(10)
CENTRE = 1000.0
PASSES = 100


def bradley_terry(
    first: Sequence[str] | Array,
    second: Sequence[str] | Array,
    preferences: Values,
    clusters: Labels | None = None,
    anchor: str | None = None,
    prior: float = 0.5,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Bradley-Terry ratings of all systems compared, the strongest first.

    ``first``, ``second``: the systems of each comparison; ``preferences``: in [0, 1] for the first, a tie being 0.5
    and any value p counting as p of a win and 1 - p of a loss; None and NaN are unscored. ``clusters``: comparisons
    with the same label (all about one source item) are drawn together; without them each is drawn alone.

    The fit is evalica's, on Elo's scale: 400 points are odds of ten to one. The systems' mean is 1000, or ``anchor``
    is. ``prior`` won and lost comparisons are added to each pair of systems that met: with the default, one tie. That
    keeps the rating of a system that always won finite, and moves others little; with ``prior=0`` the ratings are the
    maximum likelihood ones. The interval is the percentile bootstrap's over clusters, ``se`` its standard deviation.
    ``n`` counts a system's comparisons. One cluster: NaN ends. Nothing scored: an empty dictionary. The same seed
    gives the same result for any order of rows and any order within a pair.

    Raises ValueError for lengths that differ, preferences outside [0, 1], a system compared with itself, an unknown
    anchor, systems that were never compared even through others, and with ``prior=0`` for systems that only won or
    only lost against the rest (their ratings are infinite; if that happens in a resample, the ends are NaN).
    """
    check_level(level)
    check_resamples(n_resamples)
    if not prior >= 0:
        raise ValueError(f"prior must not be negative, but is {prior}")
    games = _Games.of(first, second, preferences, clusters, anchor)
    if not games.names:
        return {}
    met = games.met()
    _check_connected(games.names, met > 0, directed=False)
    wins = games.wins_per_cluster()
    total = np.asarray(wins.sum(axis=0)).reshape(met.shape) + prior * (met > 0)
    _check_connected(games.names, total > 0, directed=True)
    drawn = (
        counts @ wins
        for _, counts in resample_counts(np.array([games.count]), n_resamples, np.random.default_rng(seed))
    )
    resampled = [x.reshape(met.shape) + prior * (met > 0) for chunk in drawn for x in chunk]
    values = games.centred(_log_strengths(total) * POINTS)
    spread = np.array([games.centred(_log_strengths(x) * POINTS) for x in resampled])
    return games.estimates(values, spread, level, "bradley-terry")


def elo(
    first: Sequence[str] | Array,
    second: Sequence[str] | Array,
    preferences: Values,
    clusters: Labels | None = None,
    anchor: str | None = None,
    k: float = 4.0,
    n_resamples: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Elo ratings of all systems compared, the strongest first.

    Arguments and results as for ``bradley_terry``. Elo depends on the order of play, so the rating is the mean of
    evalica's over 100 random orders, each played forwards and backwards. A resample of the bootstrap has one such
    order; the spread that the order alone gives, known from the 100, is taken out of the interval and ``se``. A
    preference between loss, tie and win is played as one of its two neighbours, drawn anew for each order so that the
    mean is kept. Ratings start at 1000 and move by at most ``k`` a game: after few games they lie nearer to 1000 than
    Bradley-Terry's. Raises ValueError as ``bradley_terry`` does (but needs no connection between systems), and for k
    that is not positive.
    """
    check_level(level)
    check_resamples(n_resamples)
    if not k > 0:
        raise ValueError(f"k must be positive, not {k}")
    games = _Games.of(first, second, preferences, clusters, anchor)
    if not games.names:
        return {}
    rng = np.random.default_rng(seed)
    every = np.arange(len(games.y))
    orders = np.array([games.centred(games.played(every, k, rng)) for _ in range(PASSES)])
    spread = np.array(
        [
            games.centred(games.played(np.repeat(every, row[games.cluster].astype(int)), k, rng))
            for _, counts in resample_counts(np.array([games.count]), n_resamples, rng)
            for row in counts
        ]
    )
    return games.estimates(orders.mean(axis=0), _without_noise(spread, orders), level, "elo")


def _without_noise(spread: Array, noise: Array) -> Array:
    """Resampled ratings drawn towards their mean, so that their variance is less by that of the noise."""
    if len(spread) < 2:
        return spread
    middle, total = spread.mean(axis=0), spread.var(axis=0, ddof=1)
    share = np.divide(noise.var(axis=0, ddof=1), total, out=np.zeros(len(total)), where=total > 0)
    return middle + (spread - middle) * np.sqrt(np.maximum(1 - share, 0))


@dataclass(frozen=True)
class _Games:
    """Scored comparisons in an order of their own; ``i`` < ``j`` index ``names``, ``y`` is the preference for i."""

    names: list[str]
    i: Array
    j: Array
    y: Array
    cluster: Array
    n_unscored: Array
    anchor: int | None

    @classmethod
    def of(
        cls, first: Sequence[str] | Array, second: Sequence[str] | Array, preferences: Values, clusters, anchor
    ) -> _Games:
        y = float_values(preferences, "preferences", "bounded")
        if not len(first) == len(second) == len(y):
            raise ValueError(f"{len(y)} preferences but {len(first)} first and {len(second)} second systems")
        codes = label_codes(clusters, len(y), "cluster")
        names = sorted({str(x) for x in first} | {str(x) for x in second})
        number = {x: k for k, x in enumerate(names)}
        a = np.array([number[str(x)] for x in first], dtype=np.intp)
        b = np.array([number[str(x)] for x in second], dtype=np.intp)
        if (a == b).any():
            raise ValueError(f"{names[int(a[a == b][0])]!r} is compared with itself")
        if anchor is not None and anchor not in number:
            raise ValueError(f"the anchor {anchor!r} is none of the systems: {', '.join(names)}")
        y, a, b = np.where(a < b, y, 1 - y), np.minimum(a, b), np.maximum(a, b)
        scored = ~np.isnan(y)
        unscored = np.bincount(np.concatenate([a[~scored], b[~scored]]), minlength=len(names))
        if not scored.any():
            names = []
        order = np.lexsort((y[scored], b[scored], a[scored], codes[scored]))
        a, b, y, codes = a[scored][order], b[scored][order], y[scored][order], codes[scored][order]
        order, codes = _by_content(a, b, y, codes)
        return cls(names, a[order], b[order], y[order], codes, unscored, None if anchor is None else number[anchor])

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.cluster[-1]) + 1

    def met(self) -> Array:
        """How often each two systems met, shape (systems, systems)."""
        k = len(self.names)
        once = np.bincount(self.i * k + self.j, minlength=k * k).reshape(k, k)
        return once + once.T

    def wins_per_cluster(self) -> csr_array:
        """Wins of system over system in each cluster, shape (clusters, systems * systems)."""
        k = len(self.names)
        pairs = np.concatenate([self.i * k + self.j, self.j * k + self.i])
        won, rows = np.concatenate([self.y, 1 - self.y]), np.concatenate([self.cluster, self.cluster])
        return csr_array((won, (rows, pairs)), shape=(self.count, k * k))

    def played(self, rows: Array, k: float, rng: np.random.Generator) -> Array:
        """evalica's Elo ratings after these comparisons in a random order: the mean of playing it both ways round."""
        import evalica
        import pandas as pd

        rows = rng.permutation(rows)
        outcomes = np.floor(2 * self.y[rows] + rng.random(len(rows))).astype(int)
        winners = np.array([int(evalica.Winner.Y), int(evalica.Winner.Draw), int(evalica.Winner.X)])[outcomes]
        i, j, index = self.i[rows], self.j[rows], pd.RangeIndex(len(self.names))
        found = [
            evalica.elo(i[way], j[way], winners[way].tolist(), index=index, k=k, initial=CENTRE)  # pyright: ignore[reportArgumentType]
            for way in (slice(None), slice(None, None, -1))
        ]
        return (_in_order(found[0].scores) + _in_order(found[1].scores)) / 2

    def centred(self, ratings: Array) -> Array:
        return ratings - (ratings.mean() if self.anchor is None else ratings[self.anchor]) + CENTRE

    def estimates(self, values: Array, spread: Array, level: float, method: str) -> dict[str, Estimate]:
        tail = (1 - level) / 2
        low, high = np.quantile(spread, [tail, 1 - tail], axis=0)
        se = spread.std(axis=0, ddof=1) if len(spread) > 1 else np.full(len(values), np.nan)
        if self.count < 2:
            low, high, se = np.full((3, len(values)), np.nan)
        n = self.met().sum(axis=1)
        return {
            self.names[x]: Estimate(
                float(values[x]),
                float(low[x]),
                float(high[x]),
                float(se[x]),
                int(n[x]),
                int(self.n_unscored[x]),
                method,
            )
            for x in np.lexsort((np.arange(len(values)), -values))
        }


def _by_content(a: Array, b: Array, y: Array, codes: Array) -> tuple[Array, Array]:
    """Rows that are sorted within clusters, reordered so that clusters follow their content: (order, new codes)."""
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    table = np.column_stack([a, b, y])
    blocks = np.split(np.arange(len(a)), starts[1:])
    blocks.sort(key=lambda rows: (len(rows), table[rows].tolist()))
    sizes = [len(x) for x in blocks]
    return np.concatenate(blocks), np.repeat(np.arange(len(blocks)), sizes)


def _check_connected(names: list[str], links: Array, directed: bool) -> None:
    count, part = connected_components(links, directed=directed, connection="strong")
    if count == 1:
        return
    apart = ", ".join(x for x, group in zip(names, part, strict=True) if group != part[0])
    if directed:
        raise ValueError(
            f"no finite ratings: {apart} only won or only lost against {names[0]} and the rest; give prior > 0"
        )
    raise ValueError(f"{apart} were never compared with {names[0]}, not even through others")


def _log_strengths(wins: Array) -> Array:
    """Natural logarithms of the Bradley-Terry strengths; NaN where they are infinite."""
    import evalica
    import pandas as pd

    i, j = np.nonzero(wins)
    each_pair_won_both_ways = (wins.T[i, j] > 0).all()
    if not each_pair_won_both_ways and connected_components(wins > 0, directed=True, connection="strong")[0] > 1:
        return np.full(len(wins), np.nan)
    found = evalica.bradley_terry(
        i, j, [evalica.Winner.X] * len(i), index=pd.RangeIndex(len(wins)), weights=wins[i, j].tolist(),
        tolerance=1e-12, limit=100_000,
    )  # fmt: skip
    return np.log(_in_order(found.scores))


def _in_order(scores: Any) -> Array:
    """evalica's scores, sorted by strength, in the order of the systems' numbers."""
    found = np.empty(len(scores))
    found[scores.index] = scores.to_numpy()
    return found
