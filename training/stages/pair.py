"""Pairing: chosen and rejected of each pool, from candidates and one of their rewards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...harness.store.fingerprint import digest
from ..records import Pair, Prompt
from .folder import Stage

if TYPE_CHECKING:
    from ..arms import Arm
    from ..config import TrainConfig
    from ..croco_files.write_files import LanguagePairs
    from ..pairing.select import PairSummary

Say = Callable[[str], None]
LoadPrompts = Callable[[], Sequence[Prompt]]


@dataclass(frozen=True)
class PairJob:
    """One set of pairs: in which folders its stages lie, what it is called, and how it is made.

    ``settings`` are those of ``config.PairConfig``; ``some_languages`` is None where all that were sampled count.
    """

    label: str
    folder: str
    sampled_in: str
    reward: str
    languages: list[str]
    some_languages: list[str] | None
    settings: dict[str, Any]
    seed: int

    @property
    def sources(self) -> tuple[Stage, Stage]:
        """The stages that hold candidates and rewards."""
        return Stage(Path(self.sampled_in), "sample"), Stage(Path(self.sampled_in), f"score {self.reward}")


def pair_jobs(config: TrainConfig, arms: Iterable[Arm]) -> list[PairJob]:
    """The sets of pairs that these arms need, each once."""
    root = Path(config.out or ".")
    return [
        PairJob(
            label=str((x.paired_in / "pair").relative_to(root)).removeprefix("arms/"),
            folder=str(x.paired_in),
            sampled_in=str(x.sampled_in),
            reward=x.config.reward_name,
            languages=list(x.config.languages),
            some_languages=None if x.config.languages == config.languages else list(x.config.languages),
            settings=x.config.pair.model_dump(mode="json"),
            seed=config.seed,
        )
        for x in {x.paired_in: x for x in reversed(list(arms)) if x.trainer == "dpo"}.values()
    ]


def run_pair_jobs(jobs: Sequence[PairJob], load_prompts: LoadPrompts, say: Say) -> None:
    """Makes the pairs and says what came out. Raises UserError, DataError, StoreError.

    ``load_prompts`` is for candidates that were sampled without keeping their prompts.
    """
    for job in jobs:
        found = pair(job, load_prompts)
        for reason, n in Stage(Path(job.folder), "pair").seal_info()["skips"].items():
            say(f"{job.label}: {n:,} x {reason}")
        for x in found:
            say(f"{job.label} {x.language}: {x.pairs:,} pairs, {pairs_in_words(x)}")


def pair(job: PairJob, load_prompts: LoadPrompts) -> list[PairSummary]:
    """Writes a set of pairs and gives its summary by language; what is done is not done again."""
    from ..pairing.candidates import read_candidates
    from ..pairing.rule import PairRule
    from ..pairing.select import PairSummary, select_pairs

    stage = Stage(Path(job.folder), "pair")
    made_from: dict[str, Any] = {x.name: x.require()["fingerprint"] for x in job.sources}
    if job.some_languages is not None:
        made_from["languages"] = job.some_languages
    if not stage.enter({**job.settings, "seed": job.seed, "made_from": digest(made_from)}):
        sampled, scored = job.sources
        rule = PairRule(**{k: v for k, v in job.settings.items() if k != "reward"})
        prompts = [x for x in _prompts(sampled, load_prompts) if x.language in job.languages]
        pairs = select_pairs(rule, prompts, read_candidates(sampled.data, scored.data, job.languages), job.seed)
        stage.write(Pair, pairs.tables())
        summary = [asdict(x) for x in pairs.summary()]
        stage.conclude(sum(x["pairs"] for x in summary), {"skips": dict(pairs.skips), "summary": summary})
    return [PairSummary(**x) for x in stage.seal_info()["summary"]]


def _prompts(sampled: Stage, load_prompts: LoadPrompts) -> Sequence[Prompt]:
    """The prompts that were answered, without gold answers and metadata where they were kept."""
    import pyarrow.parquet as pq

    path = sampled.path / "prompts.parquet"
    if not path.exists():
        return load_prompts()
    with pq.ParquetFile(path) as file:
        columns = file.read(columns=["prompt_id", "source_id", "language", "prompt"], use_threads=False)
    return [Prompt(*x) for x in zip(*(column.to_pylist() for column in columns.columns), strict=True)]


def pairs_in_words(x: PairSummary | LanguagePairs) -> str:
    """Gaps and off-target rates."""
    if not x.pairs:
        return "no pairs"
    gap = "no reward gap (unscored gold)" if x.reward_gap is None else f"reward gap {x.reward_gap:.3f}"
    chosen, rejected = _share(x.chosen_off_target, x.chosen_told), _share(x.rejected_off_target, x.rejected_told)
    return f"{gap}, length gap {x.length_gap:+.0f} characters, off target {chosen} chosen and {rejected} rejected"


def _share(rate: float | None, told: int) -> str:
    return "unknown for" if rate is None else f"{rate:.0%} of {told:,}"
