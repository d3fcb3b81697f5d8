"""The plan of a training run: which stages the arms need, what each reads and writes, and in which order they go.

The dry run, a run in one process and a run in several all take their steps from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..harness.errors import UserError
from ..harness.registry import did_you_mean
from .arms import ONLINE, Arm, choose_arms, resolve_arms, scorers_for, teacher_of
from .config import SECTIONS, ScorerConfig, TrainConfig
from .stages.folder import TrainingDirectory

STAGES = ("translate", "sample", "score", "pair", "reward", *SECTIONS)
ALL = tuple(x for x in STAGES if x != "reward")
"""What ``train all`` runs, as far as the arms need it."""


@dataclass(frozen=True)
class Step:
    """One stage: what it is called in the command, and the folders that it reads and writes.

    ``arm``: the arm whose sections it follows, the first of those that share it. ``scorer``: of a stage ``score``.
    ``after``: the folders of other steps of the plan that must be there before it.
    """

    stage: str
    writes: Path
    reads: tuple[Path, ...] = ()
    arm: Arm | None = None
    scorer: ScorerConfig | None = None
    after: tuple[Path, ...] = ()


def steps(config: TrainConfig, arms: Sequence[str] = (), stages: Sequence[str] = ALL) -> tuple[Step, ...]:
    """The steps of these stages that the arms of these names (all by default) need, each once.

    Raises UserError for unknown names, sections that don't fit, and arms that wait for each other.
    """
    for name in stages:
        if name not in STAGES:
            near = did_you_mean(name, STAGES) or f"; known: {', '.join(STAGES)}."
            raise UserError(f"unknown stage {name!r}{near}")
    if list(stages) == ["translate"] and config.translate is None:
        raise UserError("the config has no section `translate`: its prompts come as they are.")
    known = resolve_arms(config)
    found = _linked(_steps(config, choose_arms(known, arms), known))
    _rounds(found)
    return _linked(x for x in found if x.stage in stages)


def in_order(plan: Sequence[Step]) -> list[Step]:
    """The steps one after the other: stage by stage, but what needs an adapter of the plan after that adapter."""
    rounds = _rounds(plan)
    return sorted(plan, key=lambda x: (rounds[x.writes], STAGES.index(x.stage)))


def by_urgency(plan: Sequence[Step]) -> list[Step]:
    """The steps for several processes: first those that the most others wait for, one after the other; among equals
    those that take longest, which are the online trainers."""
    heights = dict.fromkeys((x.writes for x in plan), 0)
    for step in reversed(in_order(plan)):
        for earlier in step.after:
            heights[earlier] = max(heights[earlier], heights[step.writes] + 1)
    return sorted(plan, key=lambda x: (-heights[x.writes], x.stage not in ONLINE))


def _steps(config: TrainConfig, arms: Sequence[Arm], known: Sequence[Arm]) -> Iterator[Step]:
    """All steps of these arms: candidates with their scores, pairs, and adapters in the order of the config."""
    at = TrainingDirectory.of(config)
    prompts = () if config.translate is None else (at.translations,)
    if config.translate is not None:
        yield Step("translate", at.translations)
    for arm in {x.sampled_in: x for x in reversed(arms) if x.needs_candidates}.values():
        sampled = at.sample(arm).path
        yield Step("sample", sampled, prompts, arm)
        for scorer in scorers_for(arm, arms):
            reads = (*prompts, sampled, *_adapter_for(scorer, known, at))
            yield Step("score", at.score(arm, scorer.name).path, reads, arm, scorer)
    for arm in {x.paired_in: x for x in reversed(arms) if x.trainer == "dpo"}.values():
        yield Step("pair", at.pairs(arm).path, (at.sample(arm).path, at.score(arm, arm.scorer.name).path), arm)
    for arm in arms:
        yield Step(arm.trainer, at.tuned(arm).path, (*prompts, *_learns_from(arm, known, at)), arm)
    yield Step("reward", at.reward.path)


def _learns_from(arm: Arm, known: Sequence[Arm], at: TrainingDirectory) -> Iterator[Path]:
    """What the trainer of an arm reads; of the run's own candidates it measures the divergence from the base."""
    yield at.sample().path
    if arm.trainer == "dpo":
        yield at.pairs(arm).path
    elif arm.is_online:
        yield from _adapter_for(arm.scorer, known, at)
    elif arm.needs_candidates:
        yield from (at.sample(arm).path, at.score(arm, arm.scorer.name).path)


def _adapter_for(scorer: ScorerConfig, known: Sequence[Arm], at: TrainingDirectory) -> tuple[Path, ...]:
    teacher = teacher_of(scorer, known)
    return () if teacher is None else (at.tuned(teacher).path,)


def _linked(found: Iterable[Step]) -> tuple[Step, ...]:
    """The steps with those of them that each must wait for."""
    plan = tuple(found)
    written = {x.writes for x in plan}
    return tuple(replace(x, after=tuple(y for y in dict.fromkeys(x.reads) if y in written)) for x in plan)


def _rounds(plan: Sequence[Step]) -> dict[Path, int]:
    """How many adapters of the plan must be tuned before each step, one after the other. Raises UserError if some wait
    for each other."""
    adapters = {x.writes for x in plan if x.stage in SECTIONS}
    rounds: dict[Path, int] = {}
    left = list(plan)
    while left:
        ready = [x for x in left if all(y in rounds for y in x.after)]
        if not ready:
            names = [x.arm.name for x in left if x.arm and x.writes in adapters]
            raise UserError(f"these arms wait for each other's adapters: {', '.join(names)}.")
        for x in ready:
            rounds[x.writes] = max((rounds[y] + (y in adapters) for y in x.after), default=0)
        left = [x for x in left if x.writes not in rounds]
    return rounds
