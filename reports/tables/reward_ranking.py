"""Does a reward model put the better answer first? Rewards against known scores, prompt by prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..stats.bootstrap import bootstrap_intervals
from ..stats.clusters import Grouping
from ..stats.inputs import Array, Labels, Values, float_values, label_codes
from ..stats.results import Estimate


@dataclass(frozen=True)
class RankingQuality:
    """Means over prompts: ``accuracy`` of pairs (0.5 is chance) and Kendall's ``tau`` (0 is chance)."""

    accuracy: Estimate
    tau: Estimate


def ranking_quality(
    rewards: Values,
    truths: Values,
    groups: Labels,
    clusters: Labels | None = None,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> RankingQuality:
    """How well rewards rank the candidates of each prompt by their known scores.

    ``rewards``, ``truths``: one per candidate, None and NaN unscored. ``groups``: the candidate's prompt; only
    candidates of one prompt are compared. ``clusters``: one label per candidate, the same for all of a prompt; prompts
    that share it (translations of one source prompt) are drawn together.

    Per prompt: the share of pairs with different scores whose rewards are in the same order, equal rewards counting
    one half; and tau-b (as ``scipy.stats.kendalltau``), 0 if all rewards are equal. Means over prompts, each
    counting the same, with cluster bootstrap intervals as ``paired_bootstrap`` has them. ``n`` counts prompts; those
    without two different known scores are unscored. Raises ValueError for lengths that differ, infinite values and
    missing labels.
    """
    reward, truth = float_values(rewards, "rewards"), float_values(truths, "known scores")
    if len(reward) != len(truth):
        raise ValueError(f"{len(reward)} rewards but {len(truth)} known scores")
    prompts = label_codes(groups, len(reward), "group")
    cluster = prompts if clusters is None else label_codes(clusters, len(reward), "cluster")
    members = _members(prompts)
    values = np.array([_of_prompt(reward[x], truth[x]) for x in members]).reshape(-1, 2)
    grouping = Grouping.of(len(members), cluster[[x[0] for x in members]] if members else [])
    sums = [grouping.sums(x) for x in values.T]
    unscored = [int(np.isnan(x).sum()) for x in values.T]
    pairs, taus = (
        bootstrap_intervals([x], [missing], n_resamples, level, seed, scale)[0]
        for x, missing, scale in zip(sums, unscored, ((0.0, 1.0), (-1.0, 1.0)), strict=True)
    )
    return RankingQuality(pairs, taus)


def _members(prompts: Array) -> list[Array]:
    """Row numbers of each prompt's candidates."""
    order = np.argsort(prompts, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(prompts[order])) + 1) if len(order) else []


def _of_prompt(reward: Array, truth: Array) -> tuple[float, float]:
    """(share of pairs in the right order, tau-b); NaN without two different known scores."""
    known = ~(np.isnan(reward) | np.isnan(truth))
    first, second = np.triu_indices(int(known.sum()), 1)
    r = np.sign(reward[known][first] - reward[known][second])
    t = np.sign(truth[known][first] - truth[known][second])
    comparable = int(np.count_nonzero(t))
    if not comparable:
        return math.nan, math.nan
    surplus = float((r * t).sum())
    ranked = int(np.count_nonzero(r))
    return 0.5 + surplus / comparable / 2, surplus / math.sqrt(comparable * ranked) if ranked else 0.0
