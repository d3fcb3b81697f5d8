"""Pairing: chosen and rejected of each pool, from candidates and one of their rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...harness.store.fingerprint import digest
from ..pairing.select import PairSummary
from ..records import Pair, Prompt
from .folder import Say, Stage, TrainingDirectory

if TYPE_CHECKING:
    from ..arms import Arm
    from ..config import TrainConfig


def pair(config: TrainConfig, arm: Arm, say: Say) -> None:
    """Makes the pairs that an arm learns from and says what came out; what is done is not done again.

    Raises UserError if there are no candidates or rewards, DataError, StoreError.
    """
    at = TrainingDirectory.of(config)
    stage, sampled, scored = at.pairs(arm), at.sample(arm), at.score(arm, arm.config.reward_name)
    made_from: dict[str, Any] = {x.name: x.require()["fingerprint"] for x in (sampled, scored)}
    if arm.config.languages != config.languages:
        made_from["languages"] = arm.config.languages
    settings = arm.config.pair.model_dump(mode="json")
    if not stage.enter({**settings, "seed": config.seed, "made_from": digest(made_from)}):
        _make_pairs(config, arm, stage, sampled, scored)
    label, info = at.label(stage.path), stage.seal_info()
    for reason, n in info["skips"].items():
        say(f"{label}: {n:,} x {reason}")
    for x in info["summary"]:
        say(f"{label} {x['language']}: {x['pairs']:,} pairs, {PairSummary(**x)}")


def _make_pairs(config: TrainConfig, arm: Arm, stage: Stage, sampled: Stage, scored: Stage) -> None:
    from ..pairing.candidates import read_candidates
    from ..pairing.select import select_pairs

    prompts = [x for x in _prompts(config, sampled) if x.language in arm.config.languages]
    candidates = read_candidates(sampled.data, scored.data, arm.config.languages)
    pairs = select_pairs(arm.config.pair, prompts, candidates, config.seed)
    stage.write(Pair, pairs.tables())
    summary = [asdict(x) for x in pairs.summary()]
    stage.conclude(sum(x["pairs"] for x in summary), {"skips": dict(pairs.skips), "summary": summary})


def _prompts(config: TrainConfig, sampled: Stage) -> Sequence[Prompt]:
    """The prompts that were answered, without gold answers and metadata where they were kept."""
    import pyarrow.parquet as pq

    path = sampled.path / "prompts.parquet"
    if not path.exists():
        from .prompts import load_prompts

        return load_prompts(config)
    with pq.ParquetFile(path) as file:
        columns = file.read(columns=["prompt_id", "source_id", "language", "prompt"], use_threads=False)
    return [Prompt(*x) for x in zip(*(column.to_pylist() for column in columns.columns), strict=True)]
