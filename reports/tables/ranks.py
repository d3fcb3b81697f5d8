"""Who is first, how sure is that, and who can't be told apart? Over all systems of a leaderboard at once.

``mean_ranks`` draws sources again with replacement, the same for all systems. ``told_apart`` tests every pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

from ..stats.clusters import Grouping
from ..stats.inputs import Array
from ..stats.max_t import max_t

CHUNK = 2**22
MOST_LETTERS = 52


@dataclass(frozen=True)
class Board:
    """Item values of all systems on one metric, shape (systems, items), NaN where unscored.

    ``clusters``: the items' sources; ``strata``: their languages; both as numbers. ``columns``: what is ranked: for
    each leaderboard column its items and, as numbers, the systems that stand in it.
    """

    values: Array
    clusters: Array
    strata: Array
    columns: Sequence[tuple[Array, Array]]


def mean_ranks(boards: Sequence[Board], n_systems: int, n_resamples: int, level: float, seed: int) -> Array:
    """Mean over all columns of each system's rank among those that stand there, and its interval: shape (systems, 3).

    Rank 1 is the highest mean, equals share their mean rank. The interval takes percentiles of the mean ranks over
    resampled sources: whole sources are drawn within each language (languages that share sources are one stratum), the
    same for every system. NaN for a system that stands nowhere.
    """
    total, drawn = np.zeros((1, n_systems)), np.zeros((n_resamples, n_systems))
    count = np.zeros(n_systems)
    for board in boards:
        grouping = Grouping.of(board.values.shape[1], board.clusters, board.strata)
        sums = [_cluster_sums(board.values[x][:, items], grouping, items) for items, x in board.columns]
        once = np.ones((1, len(grouping.strata)))
        for (_, systems), of_column in zip(board.columns, sums, strict=True):
            total[:, systems] += _ranks(once, *of_column)
            count[systems] += 1
        for rows, counts in _counts(grouping.strata, n_resamples, np.random.default_rng(seed)):
            for (_, systems), of_column in zip(board.columns, sums, strict=True):
                drawn[rows, systems] += _ranks(counts, *of_column)
    known = count > 0
    result = np.full((n_systems, 3), np.nan)
    result[known, 0] = total[0, known] / count[known]
    tails = [(1 - level) / 2, (1 + level) / 2]
    if known.any():
        result[known, 1:] = np.quantile(drawn[:, known] / count[known], tails, axis=0).T
    return result


def _cluster_sums(values: Array, grouping: Grouping, items: Array) -> tuple[Array, Array]:
    """Per cluster and system the sum and the number of scored values: shapes (clusters, systems)."""
    n = len(items)
    member = csr_array((np.ones(n), (grouping.clusters[items], np.arange(n))), shape=(len(grouping.strata), n))
    return member @ np.nan_to_num(values).T, member @ (~np.isnan(values)).T.astype(float)


def _counts(strata: Array, n_resamples: int, rng: np.random.Generator) -> Iterator[tuple[slice, Array]]:
    """How often each cluster is drawn, in chunks of resamples: (rows, shape (resamples, clusters))."""
    step = max(1, CHUNK // max(1, len(strata)))
    members = [np.flatnonzero(strata == x) for x in np.unique(strata)]
    for begin in range(0, n_resamples, step):
        rows = min(step, n_resamples - begin)
        drawn = [x[rng.integers(0, len(x), (rows, len(x)))] + np.arange(rows)[:, None] * len(strata) for x in members]
        flat = np.concatenate([x.ravel() for x in drawn]) if drawn else np.empty(0, dtype=np.intp)
        counts = np.bincount(flat, minlength=rows * len(strata)).reshape(rows, len(strata))
        yield slice(begin, begin + rows), counts.astype(float)


def _ranks(counts: Array, sums: Array, sizes: Array) -> Array:
    """Ranks in each resample, shape (resamples, systems); a system without a single item there is last."""
    total, n = counts @ sums, counts @ sizes
    means = np.divide(total, n, out=np.full_like(total, -math.inf), where=n > 0)
    return rankdata(-np.round(means, 12), axis=1)


def told_apart(boards: Sequence[Board], systems: Sequence[Array], n_systems: int, n_resamples: int, seed: int) -> Array:
    """Adjusted p-values that two systems differ on at least one board: shape (systems, systems), 1 on the diagonal.

    ``systems``: for each board the numbers of those compared on all its items. All pairs on all boards are one family,
    corrected by ``max_t``.
    """
    blocks = [_pair_sums(board, chosen) for board, chosen in zip(boards, systems, strict=True)]
    p_values = np.ones((n_systems, n_systems))
    for chosen, found in zip(systems, max_t(blocks, n_resamples, seed), strict=True):
        first, second = (chosen[x] for x in np.triu_indices(len(chosen), 1))
        p_values[first, second] = p_values[second, first] = np.minimum(p_values[first, second], found)
    return p_values


def _pair_sums(board: Board, chosen: Array) -> Array:
    """Per pair and cluster the summed differences over the items both have: shape (pairs, clusters)."""
    values = board.values[chosen]
    scored, filled = ~np.isnan(values), np.nan_to_num(values)
    n = values.shape[1]
    grouping = Grouping.of(n, board.clusters)
    member = csr_array((np.ones(n), (np.arange(n), grouping.clusters)), shape=(n, len(grouping.strata)))
    rows = [((filled[i] - filled[i + 1 :]) * (scored[i] & scored[i + 1 :])) @ member for i in range(len(chosen) - 1)]
    return np.concatenate(rows) if rows else np.empty((0, len(grouping.strata)))


def letters(p_values: Array, order: Sequence[int], alpha: float) -> dict[int, str]:
    """Compact letter display: systems that share a letter can't be told apart. ``order``: the systems, best first.

    A letter is a largest set of systems of which no two differ at alpha. More than 52 of them say nothing to a reader:
    then letters are sets linked by pairs that don't differ, so that systems without a common letter do differ.
    """
    alike = {i: {j for j in order if j != i and p_values[i, j] >= alpha} for i in order}
    groups: list[set[int]] = []
    for group in _cliques(set(), list(order), set(), alike):
        groups.append(group)
        if len(groups) > MOST_LETTERS:
            groups = _components(order, alike)
            break
    place = {x: i for i, x in enumerate(order)}
    groups.sort(key=lambda x: sorted(place[i] for i in x))
    return {i: "".join(_letter(k) for k, group in enumerate(groups) if i in group) for i in order}


def _cliques(chosen: set[int], open_: list[int], done: set[int], alike: dict[int, set[int]]) -> Iterator[set[int]]:
    """Largest sets of systems that are all alike (Bron and Kerbosch 1973, with a pivot)."""
    if not open_ and not done:
        yield chosen
        return
    pivot = max((*open_, *sorted(done)), key=lambda x: len(alike[x] & set(open_)))
    for x in [i for i in open_ if i not in alike[pivot]]:
        yield from _cliques(chosen | {x}, [i for i in open_ if i in alike[x]], done & alike[x], alike)
        open_ = [i for i in open_ if i != x]
        done = done | {x}


def _components(order: Sequence[int], alike: dict[int, set[int]]) -> list[set[int]]:
    linked = np.array([[j in alike[i] for j in order] for i in order])
    labels: Array = connected_components(csr_array(linked), directed=False)[1]
    return [{order[int(i)] for i in np.flatnonzero(labels == x)} for x in np.unique(labels)]


def _letter(k: int) -> str:
    return chr(ord("a") + k) if k < 26 else chr(ord("A") + k - 26)
