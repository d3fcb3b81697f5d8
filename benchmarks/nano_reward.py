"""How well croco-nano's reward model ranks: the tables of docs/croco-nano.md.

    croco-eval train sample benchmarks/nano_reward.yaml
    python benchmarks/nano_reward.py [SAMPLES] [--model croco-nano-reward | --typicality]

Prints, as Markdown, per language: the share of pairs (a good answer, a flawed one) of the evaluation split that the
model ranks rightly, by kind of flaw; and, with SAMPLES (the folder ``samples`` of the first command), how its rewards
rank real samples of the base about the tuning split, against the known facts (judge ``reference``). Intervals
are of 95%, clustered by source. ``--typicality`` ranks by the scorer of that name instead, with croco-nano, and first
fits its head on English preferences and prints it.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Protocol

import numpy as np
from croco_eval.harness.api.backend import Message, ModelSpec
from croco_eval.harness.backends.hf_rewards import HfRewardModel
from croco_eval.harness.models.sources import find_model
from croco_eval.harness.store.parquet import read_records
from croco_eval.judges.reference import assess
from croco_eval.reports.stats import mean_interval
from croco_eval.tasks.locale.corpus import PREFERENCE_FLAWS, LocaleCorpus
from croco_eval.tasks.locale.facts import rng_for
from croco_eval.training.config import CorpusPreferences
from croco_eval.training.records import Candidate
from croco_eval.training.scorers.typicality import TypicalityScorer, fit_head
from croco_eval.training.stages.prompts import read_preferences
from scipy.stats import kendalltau

LANGUAGES = ("en", "da", "de", "es", "fr", "it", "nl", "no", "pt", "sv", "cy", "ga", "gl", "mt")
FLAWS = (*PREFERENCE_FLAWS, "other_language")
SEED = 42
HEAD_PREFERENCES = 800
Cell = tuple[list[float], list[str]]
"""Values and their sources."""


class Ranker(Protocol):
    """Gives rewards of the last messages of conversations."""

    def rewards(self, conversations: Sequence[Sequence[Message]]) -> Sequence[float | None]: ...


class TypicalityRanker:
    """The scorer ``typicality`` with croco-nano; its head is fitted on English preferences about the tuning split."""

    def __init__(self) -> None:
        options = {"model": "croco-nano", "dtype": "float32"}
        self._scorer = TypicalityScorer(**options, head={"typicality": 1.0, "end": 1.0})
        rows = read_preferences(CorpusPreferences(corpus="locale", language="en"), SEED)[:HEAD_PREFERENCES]
        chosen, rejected = (
            np.array(self._scorer.statistics(x))
            for x in ([(x.prompt, x.chosen) for x in rows], [(x.prompt, x.rejected) for x in rows])
        )
        self.head = fit_head(chosen, rejected)

    def rewards(self, conversations: Sequence[Sequence[Message]]) -> list[float | None]:
        """The head's sum of each answer's statistics."""
        found = self._scorer.statistics([(x[0]["content"], x[1]["content"]) for x in conversations])
        return [None if x is None else self.head.typicality * x[0] + self.head.end * x[1] for x in found]


def by_flaw(model: Ranker, pairs: int) -> dict[tuple[str, str], Cell]:
    """Right (1), tied (0.5) or wrong (0) per (language, flaw), on ``pairs`` pairs each."""
    found: dict[tuple[str, str], Cell] = {}
    for language in LANGUAGES:
        kinds = defaultdict(list)
        for pair in LocaleCorpus().preferences(language, SEED, split="evaluation", flaws=FLAWS):
            kinds[pair.flaw].append(pair)
        for flaw, rows in kinds.items():
            drawn = rng_for(SEED, "nano reward", flaw).sample(rows, min(pairs, len(rows)))
            chosen = rewards(model, [(x.prompt, x.chosen) for x in drawn])
            rejected = rewards(model, [(x.prompt, x.rejected) for x in drawn])
            values = [0.5 + 0.5 * float(np.sign(a - b)) for a, b in zip(chosen, rejected, strict=True)]
            found[language, flaw] = values, [x.source_id for x in drawn]
    return found


def on_samples(model: Ranker, folder: Path, prompts: int) -> tuple[dict[str, Cell], dict[str, Cell]]:
    """Per language: right or wrong for each two samples of a prompt whose quality differs, and tau-b of each prompt."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in read_records(folder / "data.parquet", Candidate):
        if row.kind == "generation":
            groups[row.language, row.source_id].append(row.answer)
    order = sorted({source for _, source in groups})
    kept = set(rng_for(SEED, "nano reward").sample(order, min(prompts, len(order))))
    right: dict[str, Cell] = defaultdict(lambda: ([], []))
    taus: dict[str, Cell] = defaultdict(lambda: ([], []))
    for language in LANGUAGES:
        items = {x.source_id: x for x, _ in LocaleCorpus().tuning_prompts(language, SEED)}
        for source in sorted(kept & {x for y, x in groups if y == language}):
            answers = [x for x in groups[language, source] if x.strip()]
            known = json.loads(items[source].metadata)
            quality = [assess(x, known["facts"], bool(known["ordered"]), language).quality for x in answers]
            if len(set(quality)) < 2:
                continue
            scores = rewards(model, [(items[source].prompt, x) for x in answers])
            for (q, a), (r, b) in combinations(zip(quality, scores, strict=True), 2):
                if q != r:
                    right[language][0].append(0.5 + 0.5 * float(np.sign((q - r) * (a - b))))
                    right[language][1].append(source)
            taus[language][0].append(0.0 if len(set(scores)) < 2 else float(kendalltau(quality, scores)[0]))
            taus[language][1].append(source)
    return right, taus


def rewards(model: Ranker, rows: Sequence[tuple[str, str]]) -> list[float]:
    """The model's reward of each (prompt, answer)."""
    talks: list[list[Message]] = [
        [{"role": "user", "content": x}, {"role": "assistant", "content": y}] for x, y in rows
    ]
    return [float("nan") if x is None else x for x in model.rewards(talks)]


def joined(cells: Sequence[Cell]) -> Cell:
    """The cells as one."""
    return [x for values, _ in cells for x in values], [x for _, sources in cells for x in sources]


def shown(cell: Cell, bounded: bool = True) -> str:
    """Mean and interval."""
    if not cell[0]:
        return ""
    found = mean_interval(cell[0], cell[1], kind="bounded" if bounded else "continuous")
    return f"{found.value:.2f} ({found.ci_low:.2f} to {found.ci_high:.2f})"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As Markdown."""
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")
    print()


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", nargs="?", type=Path, help="folder of a sample stage over the tuning prompts")
    parser.add_argument("--model", default="croco-nano-reward")
    parser.add_argument("--typicality", action="store_true", help="rank by the scorer typicality")
    parser.add_argument("--pairs", type=int, default=40, help="pairs per language and flaw")
    parser.add_argument("--prompts", type=int, default=60, help="sampled prompts per language")
    options = parser.parse_args()
    model: Ranker
    if options.typicality:
        model = TypicalityRanker()
        print(f"head: {model.head}\n")
    else:
        model = HfRewardModel(ModelSpec(str(find_model(options.model).path), dtype="float32", batch_tokens=8192))

    found = by_flaw(model, options.pairs)
    groups = {x: (x,) for x in LANGUAGES} | {"all but English": LANGUAGES[1:]}
    rows = [
        [n, *(shown(joined([found[x, f] for x in g if (x, f) in found])) for f in FLAWS)] for n, g in groups.items()
    ]
    print_table(["language", *FLAWS], rows)
    if options.samples is None:
        return
    right, taus = on_samples(model, options.samples, options.prompts)
    rows = []
    for name, members in groups.items():
        pairs, tau = joined([right[x] for x in members]), joined([taus[x] for x in members])
        rows.append([name, str(len(tau[0])), str(len(pairs[0])), shown(pairs), shown(tau, bounded=False)])
    print_table(["language", "prompts", "pairs", "ranked rightly", "tau-b"], rows)


if __name__ == "__main__":
    main()
