"""Few-shot examples as EuroEval picks them: one set for all items, labels in turn or short contexts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, cycle
from random import Random
from typing import Any

from lm_eval.api.samplers import ContextSampler

SEED = 4242
_SHORT_CONTEXT = 512


class EuroEvalSampler(ContextSampler):
    """Labels are cycled through, one example per label in turn, texts distinct; for questions about a text, contexts
    shorter than 512 characters (then 1,024, ...), distinct; shuffled at the end. The seed is EuroEval's for its first
    iteration. Every item sees the same examples."""

    def sample(self, n: int, eval_doc: Any = None, df: Any = None, **_: Any) -> Sequence[dict[str, Any]]:
        rows = list(self.df if df is None else df)
        Random(SEED).shuffle(rows)
        picks = _by_label(rows) if rows and "label" in rows[0] else _short_contexts(rows)
        chosen = [x for x, _ in zip(picks, range(n), strict=False)]
        Random(SEED).shuffle(chosen)
        return chosen


def _by_label(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    labels = sorted({str(x["label"]) for x in rows})
    waiting = {label: iter([x for x in rows if str(x["label"]) == label]) for label in labels}
    seen: set[str] = set()
    exhausted: set[str] = set()
    for label in cycle(labels):
        fresh = next((x for x in waiting[label] if x["text"] not in seen), None)
        if fresh is None:
            exhausted.add(label)
            if len(exhausted) == len(labels):
                return
            continue
        seen.add(fresh["text"])
        yield fresh


def _short_contexts(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    longest = max((len(x["context"]) for x in rows), default=0)
    for power in count():
        limit = _SHORT_CONTEXT * 2**power
        for row in rows:
            if len(row["context"]) < limit and row["context"] not in seen:
                seen.add(row["context"])
                yield row
        if limit > longest:
            return
