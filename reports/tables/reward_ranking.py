"""Does a reward model put the better answer first? Rewards against known scores, prompt by prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...harness.errors import DataError
from ...harness.text.languages import LANGUAGES
from ..items.scopes import scopes
from ..records.run_data import Frame
from ..stats.bootstrap import bootstrap_intervals
from ..stats.clusters import Grouping
from ..stats.inputs import Array, Labels, Values, float_values, label_codes
from ..stats.results import Estimate

RANKING_COLUMNS = (*("measure", "scope", "language", "n", "n_unscored", "value", "ci_low", "ci_high", "method"),)


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


def ranking_table(candidates: Frame, reward: str = "reward", truth: str = "score") -> Frame:
    """``ranking_quality`` per language, language group and over all (``RANKING_COLUMNS``).

    ``candidates``: a table with the columns ``language``, ``prompt_id`` (shared by the translations of a prompt), and
    those named by ``reward`` and ``truth``. Candidates are compared within their language. Raises DataError for a
    column that isn't there and for a language that isn't known.
    """
    for name in ("language", "prompt_id", reward, truth):
        if name not in candidates:
            raise DataError(f"the candidates have no column {name!r}; they have {', '.join(map(str, candidates))}.")
    if unknown := set(candidates["language"]) - set(LANGUAGES):
        raise DataError(f"the candidates hold an unknown language, {sorted(map(str, unknown))[0]!r}.")
    languages = [x for x in LANGUAGES if x in set(candidates["language"])]
    rows = []
    for scope in scopes(languages):
        part = candidates[candidates["language"].isin(scope.languages)]
        prompts = pd.MultiIndex.from_frame(part[["language", "prompt_id"]]).factorize()[0]
        found = ranking_quality(part[reward], part[truth], prompts, part["prompt_id"].tolist())
        for measure, x in (("pairwise_accuracy", found.accuracy), ("kendall_tau", found.tau)):
            rows.append((measure, scope.kind, scope.name, x.n, x.n_unscored, x.value, x.ci_low, x.ci_high, x.method))
    table = pd.DataFrame(rows, columns=RANKING_COLUMNS)
    return table.sort_values("measure", ascending=False, kind="stable").reset_index(drop=True)


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
