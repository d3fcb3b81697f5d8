"""Which items went from right to wrong, and which the other way? With what guessing gives taken off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..items.item_values import ItemValues, PairedValues
from ..items.scopes import Scope
from ..records.rules import Rules
from ..records.run_data import RunData
from ..stats.bootstrap import bootstrap_intervals
from ..stats.clusters import Grouping
from ..stats.inputs import Array
from ..stats.results import Estimate
from .comparisons import provenance

TRANSITIONS = ("forgotten", "gained", "forgotten_adjusted", "gained_adjusted")
_SCALES = ((0.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, 1.0))

_RESAMPLES = 2_000
"""Enough for the ends of an interval; nothing is tested with them."""


@dataclass(frozen=True)
class _Transitions:
    """Per item of two systems: both sides and what is averaged for each of ``TRANSITIONS``, shape (4, items)."""

    pair: tuple[str, str]
    paired: PairedValues
    values: Array
    is_choice: Array


def transition_rows(
    data: RunData, values: ItemValues, pairs: Sequence[tuple[str, str]], places: Sequence[Scope], rules: Rules
) -> Iterator[dict[str, Any]]:
    """A row for each place, pair and rate, over the suite's right-or-wrong items; none if it has no such items."""
    binary = values.where((values.kinds == 0).all(axis=0))
    if not len(binary.items):
        return
    options = option_counts(data, binary)
    blocks = pd.MultiIndex.from_arrays([binary.languages, binary.tasks, options]).factorize()[0]
    found = [_transitions(binary, x, options, blocks) for x in pairs]
    known: dict[tuple[str, ...], list[Estimate]] = {}
    for place in places:
        here = np.isin(binary.languages, place.languages)
        if place.languages not in known:
            known[place.languages] = list(_estimates(here, found, rules))
        estimates = iter(known[place.languages])
        for x in found:
            facts = _facts(binary.suite, x, here[x.paired.items], place)
            for measure in TRANSITIONS:
                yield {**facts, "measure": measure, **_numbers(measure, next(estimates))}


def _transitions(values: ItemValues, pair: tuple[str, str], options: Array, blocks: Array) -> _Transitions:
    paired = values.paired(*pair, list(values.columns))
    k = options[paired.items]
    moved = transition_values(paired.candidate, paired.reference, k, blocks[paired.items])
    return _Transitions(pair, paired, moved, k > 1)


def transition_values(candidate: Array, reference: Array, options: Array, blocks: Array) -> Array:
    """What is averaged over items for each of ``TRANSITIONS``: shape (4, items), NaN where unscored on either side.

    ``candidate`` and ``reference`` hold 0 or 1 per item. forgotten is 1 where the reference is right and the candidate
    wrong, gained where it is the other way round. The adjusted rates subtract what guessing among k ``options`` gives,
    as in "Mapping post-training forgetting in language models at scale" (Harmon et al., arXiv 2510.17776) and its
    published code: a system that either knows an answer or guesses evenly guesses a share (1 - accuracy) k / (k - 1)
    of the items, so two systems that guess independently show

        (1 - accuracy_reference) (1 - accuracy_candidate) / (k - 1)

    of all items as forgotten by chance, and as many as gained. Accuracies are those of an item's block (a task in a
    language with k options); k = 1 is a free answer, from which nothing is subtracted.

    The chance rate is no mean of item values. It is linearised at the block's accuracies: the mean of what is given
    here is the adjusted rate exactly, and its spread that of the rate to first order (the delta method).
    """
    scored = ~(np.isnan(candidate) | np.isnan(reference))
    c, r = np.where(scored, candidate, 0.0), np.where(scored, reference, 0.0)
    n = np.maximum(np.bincount(blocks, scored), 1)
    wrong_c, wrong_r = (1 - (np.bincount(blocks, x) / n)[blocks] for x in (c, r))
    moved = (1 - c - wrong_c) * wrong_r + wrong_c * (1 - r - wrong_r)
    chance = np.where(options > 1, (wrong_c * wrong_r + moved) / np.maximum(options - 1, 1), 0.0)
    forgotten, gained = r * (1 - c), c * (1 - r)
    return np.where(scored, np.stack([forgotten, gained, forgotten - chance, gained - chance]), np.nan)


def _estimates(here: Array, found: Sequence[_Transitions], rules: Rules) -> Iterator[Estimate]:
    """For each pair the four rates over the items that are ``here``; all pairs are resampled together."""
    groupings: dict[bytes, Grouping] = {}
    groups = []
    for x in found:
        chosen = here[x.paired.items]
        key = x.paired.items[chosen].tobytes()
        if key not in groupings:
            groupings[key] = Grouping.of(int(chosen.sum()), x.paired.clusters[chosen], x.paired.languages[chosen])
        groups.append([groupings[key].sums(v[chosen]) for v in x.values])
    by_scale = {
        scale: iter(
            bootstrap_intervals(
                [y for of_pair in groups for y, z in zip(of_pair, _SCALES, strict=True) if z == scale],
                [0] * 2 * len(groups),
                _RESAMPLES,
                rules.level,
                rules.seed,
                scale,
            )
        )
        for scale in dict.fromkeys(_SCALES)
    }
    for _ in found:
        yield from (next(by_scale[scale]) for scale in _SCALES)


def _facts(suite: str, x: _Transitions, chosen: Array, place: Scope) -> dict[str, Any]:
    """What the rows of one pair in one place share."""
    paired = x.paired
    known = chosen & ~np.isnan(x.values[0])
    n = int(known.sum())
    return {
        "candidate": x.pair[0],
        "reference": x.pair[1],
        "suite": suite,
        "scope": place.kind,
        "language": place.name,
        "n": n,
        "n_choice": int((known & x.is_choice).sum()),
        "unscored_candidate": int(np.isnan(paired.candidate[chosen]).sum()),
        "unscored_reference": int(np.isnan(paired.reference[chosen]).sum()),
        "mean_candidate": paired.candidate[known].mean() if n else np.nan,
        "mean_reference": paired.reference[known].mean() if n else np.nan,
        "p_value": np.nan,
        "signature": str(provenance(paired, place)),
    }


def _numbers(measure: str, rate: Estimate) -> dict[str, Any]:
    linearised = "linearised " if measure.endswith("_adjusted") and rate.n else ""
    ends = {"value": rate.value, "ci_low": rate.ci_low, "ci_high": rate.ci_high}
    return {**{k: min(max(v, 0.0), 1.0) if v == v else v for k, v in ends.items()}, "method": linearised + rate.method}


def option_counts(data: RunData, values: ItemValues) -> Array:
    """How many options each item has: the number of distinct continuations whose likelihoods were compared, or, where
    there is only one, of the distinct contexts before it. 1 for an item that was answered freely.

    Read from one system's records in each language. Raises StoreError for records that can't be read.
    """
    counts = np.ones(len(values.items))
    for language, here in values.columns.items():
        system = next(x for x in values.systems if values.signature(x, language))
        asked = data.requests[system, values.suite, language]
        asked = asked[asked["continuation"].notna()]
        endings = asked.groupby("item_id")["continuation"].nunique()
        contexts = asked[asked["prompt"].ne("")].groupby("item_id")["prompt"].nunique()
        options = endings.where(endings > 1, contexts.reindex(endings.index).fillna(1))
        counts[here] = options.reindex(values.items[here]).fillna(1).to_numpy()
    return counts
