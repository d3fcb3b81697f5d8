"""Arms: what a training config tunes, each with its own sections, and in which folder its stages lie.

What two arms have in common is made once: an arm that changes nothing of sampling uses the config's own candidates,
one that changes nothing of pairing uses its pairs. A scorer may ask for the adapter of an arm (``adapter: {arm: NAME}``
among its options): arms that are rewarded by it are made after that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..harness.config.strict import parse_options
from ..harness.errors import UserError
from ..harness.registry import did_you_mean
from .config import SECTIONS, ArmConfig, ScorerConfig, TrainConfig, TrainerName, TunerSettings


@dataclass(frozen=True)
class Arm:
    """One tuning. ``config`` holds the arm's own sections; the folders say where its stages lie."""

    name: str
    trainer: TrainerName
    config: TrainConfig
    sampled_in: Path
    paired_in: Path
    folder: Path

    @property
    def settings(self) -> TunerSettings:
        """The trainer's settings."""
        return getattr(self.config, SECTIONS[self.trainer])

    @property
    def adapter(self) -> Path:
        """The folder of the adapter that it tunes."""
        return self.folder / self.trainer / "adapter"

    @property
    def scorer(self) -> ScorerConfig:
        """The scorer whose rewards it learns from. Raises UserError if the config has none of this name."""
        known = {x.name: x for x in self.config.scorers}
        name = self.config.reward_name
        if name not in known:
            near = did_you_mean(name, known) or f" ({', '.join(known)})."
            raise UserError(f"arms.{self.name}.pair.reward: {name!r} is not one of the scorers{near}")
        return known[name]

    @property
    def needs_candidates(self) -> bool:
        """Online trainers sample for themselves, and gold answers come with the prompts."""
        return self.trainer == "dpo" or (self.trainer == "sft" and self.config.sft.answers != "gold")


def resolve_arms(config: TrainConfig, root: Path) -> list[Arm]:
    """The arms in the order of the config, one per seed. Without ``arms`` there are two: ``sft`` and ``dpo``.

    Raises UserError for a section that does not fit.
    """
    if not config.arms:
        return [Arm(x, x, config, root, root, root) for x in ("sft", "dpo")]
    return [arm for name, section in config.arms.items() for arm in _resolve(name, section, config, root)]


def choose_arms(arms: Sequence[Arm], names: Sequence[str]) -> list[Arm]:
    """The arms of these names, all by default; ``mono`` means every seed of it. Raises UserError."""
    known = {x.name: x for x in arms}
    families = {x.name.rpartition("/seed-")[0] or x.name for x in arms}
    for name in names:
        if name not in known and name not in families:
            near = did_you_mean(name, sorted({*known, *families})) or f"; known: {', '.join(known)}."
            raise UserError(f"no arm {name!r}{near}")
    return [x for x in arms if not names or x.name in names or x.name.rpartition("/seed-")[0] in names]


def teacher_of(scorer: ScorerConfig) -> str | None:
    """The name of the arm whose adapter a scorer asks for, if it asks for one. Raises UserError."""
    adapter = scorer.options.get("adapter")
    if not isinstance(adapter, Mapping):
        return None
    if set(adapter) != {"arm"}:
        raise UserError(f"scorer {scorer.name!r}: adapter is a folder, a packaged name, or {{arm: NAME}}.")
    return str(adapter["arm"])


def scorers_for(place: Arm, arms: Sequence[Arm], root: Path) -> list[ScorerConfig]:
    """What scores the candidates that lie where ``place``'s do: all scorers for the run's own; for an arm's, and where
    a scorer asks for an arm's adapter, only those that ``arms`` learn from."""
    wanted = {x.config.reward_name for x in arms if x.sampled_in == place.sampled_in}
    own = place.sampled_in == root
    return [x for x in place.config.scorers if x.name in wanted or (own and teacher_of(x) is None)]


def with_adapter(scorer: ScorerConfig, arms: Sequence[Arm]) -> ScorerConfig:
    """The scorer with the folder of the adapter that it asks for, made or not.

    Raises UserError for an arm that isn't there, or that has several seeds of which none is named.
    """
    teacher = teacher_of(scorer)
    if teacher is None:
        return scorer
    found = choose_arms(arms, [teacher])
    if len(found) > 1:
        raise UserError(f"scorer {scorer.name!r}: arm {teacher!r} has several seeds; name one: {found[0].name!r}.")
    return scorer.model_copy(update={"options": {**scorer.options, "adapter": str(found[0].adapter)}})


def in_waves(arms: Sequence[Arm]) -> list[list[Arm]]:
    """The arms so that each comes in a later list than the one whose adapter rewards it, if that is among them.

    Raises UserError if some wait for each other.
    """
    teachers = {x.name: teacher_of(x.scorer) if x.trainer != "sft" or x.needs_candidates else None for x in arms}
    waves: list[list[Arm]] = []
    left = list(arms)
    while left:
        waiting = {x.name for x in left} | {x.name.rpartition("/seed-")[0] for x in left}
        ready = [x for x in left if teachers[x.name] not in waiting]
        if not ready:
            raise UserError(f"these arms wait for each other's adapters: {', '.join(x.name for x in left)}.")
        waves.append(ready)
        left = [x for x in left if x not in ready]
    return waves


def _resolve(name: str, arm: ArmConfig, config: TrainConfig, root: Path) -> list[Arm]:
    own = root / "arms" / name
    sample = _merged(config.sample, arm.sample, f"arms.{name}.sample")
    pair = _merged(config.pair, arm.pair, f"arms.{name}.pair")
    languages = arm.languages or config.languages
    if unknown := [x for x in languages if x not in config.languages]:
        raise UserError(f"arms.{name}.languages: {unknown[0]!r} is not one of the config's languages.")
    section = SECTIONS[arm.trainer]
    sampled_in = root if sample == config.sample else own
    shares_pairs = sampled_in == root and pair == config.pair and languages == config.languages
    paired_in = root if shares_pairs else own
    update = {"sample": sample, "pair": pair, "languages": languages, "arms": {}}
    found: list[Arm] = []
    for seed in arm.seeds or [None]:
        settings = arm.settings if seed is None else {**arm.settings, "seed": seed}
        tuner = _merged(getattr(config, section), settings, f"arms.{name}.settings")
        at = name if seed is None else f"{name}/seed-{seed}"
        tuned = config.model_copy(update={**update, section: tuner})
        found.append(Arm(at, arm.trainer, tuned, sampled_in, paired_in, root / "arms" / at))
    return found


def _merged(section: BaseModel, changes: dict[str, Any], where: str) -> Any:
    """A section with some of its fields changed, checked like the section itself."""
    merged = {**section.model_dump(exclude_unset=True), **changes}
    if "lora" in changes:
        merged["lora"] = {**section.model_dump()["lora"], **changes["lora"]}
    return parse_options(type(section), merged, where)
