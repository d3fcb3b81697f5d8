"""What supervised fine-tuning learns from: the best of the candidates, or the gold answers of the prompts."""

from __future__ import annotations

from collections.abc import Sequence

from ...harness.errors import DataError
from ..pairing.rule import best_candidates
from ..records import Answered, Candidate, Prompt, Reward


def best_answers(
    prompts: Sequence[Prompt], candidates: Sequence[Candidate], rewards: Sequence[Reward], pool: str
) -> list[Answered]:
    """The generation with the highest reward of each pool (``language`` or ``all``), in the order in which pools first
    appear. Raises DataError if there is none."""
    texts = {x.prompt_id: x.prompt for x in prompts}
    names: dict[tuple[str, ...], int] = {}
    keys = [
        names.setdefault((x.source_id,) if pool == "all" else (x.source_id, x.language), len(names)) for x in candidates
    ]
    usable = [
        x.reward if x.reward is not None and y.kind == "generation" and y.answer else float("nan")
        for x, y in zip(rewards, candidates, strict=True)
    ]
    _, rows = best_candidates(usable, keys)
    if not len(rows):
        raise DataError("no candidate has a reward, so there is no best answer to learn from.")
    return [Answered(texts[candidates[i].prompt_id], candidates[i].answer) for i in rows.tolist()]


def gold_answers(prompts: Sequence[Prompt]) -> list[Answered]:
    """The gold answers of the prompts that have one. Raises DataError if none has."""
    found = [Answered(x.prompt, x.gold) for x in prompts if x.gold]
    if not found:
        raise DataError("sft.answers is gold, but no prompt has a gold answer.")
    return found
