"""Arms: what a training config tunes, each with its own sections, and whose candidates and pairs it uses.

What two arms have in common is made once: an arm that changes nothing of sampling uses the config's own candidates,
one that changes nothing of pairing uses its pairs. A scorer may ask for the adapter of an arm (``adapter: {arm: NAME}``
among its options): arms that are rewarded by it are made after that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ..harness.config.strict import parse_options
from ..harness.errors import UserError
from ..harness.registry import did_you_mean
from .config import SECTIONS, ArmConfig, ScorerConfig, TrainConfig, TrainerName, TunerSettings

ONLINE = ("online-dpo", "grpo")
"""Trainers that sample while they tune, and score what they sampled."""


@dataclass(frozen=True)
class Arm:
    """One tuning. ``family`` is its name in the config, ``seed`` tells the tunings of a family apart (None where it has
    one). ``config`` holds the arm's own sections.

    ``sampled_in``, ``paired_in`` and ``folder`` say below which folder of the training run its candidates, its pairs
    and its adapter lie: the run's own (empty) or the arm's.
    """

    family: str
    trainer: TrainerName
    config: TrainConfig
    seed: int | None = None
    sampled_in: str = ""
    paired_in: str = ""
    folder: str = ""

    @property
    def name(self) -> str:
        """``mono``, or with a seed ``mono/seed-42``."""
        return self.family if self.seed is None else f"{self.family}/seed-{self.seed}"

    @property
    def settings(self) -> TunerSettings:
        """The trainer's settings."""
        return getattr(self.config, SECTIONS[self.trainer])

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
    def is_online(self) -> bool:
        """Whether it learns from answers that are sampled while it is tuned."""
        return self.trainer in ONLINE

    @property
    def needs_candidates(self) -> bool:
        """Online trainers sample for themselves, and gold answers come with the prompts."""
        return self.trainer == "dpo" or (self.trainer == "sft" and self.config.sft.answers != "gold")


def resolve_arms(config: TrainConfig) -> list[Arm]:
    """The arms in the order of the config, one per seed. Without ``arms`` there are two: ``sft`` and ``dpo``.

    Raises UserError for a section that does not fit.
    """
    if not config.arms:
        return [Arm("sft", "sft", config), Arm("dpo", "dpo", config)]
    return [arm for name, section in config.arms.items() for arm in _resolve(name, section, config)]


def choose_arms(arms: Sequence[Arm], names: Sequence[str]) -> list[Arm]:
    """The arms of these names, all by default; ``mono`` means every seed of it. Raises UserError."""
    known = {x.name for x in arms} | {x.family for x in arms}
    for name in names:
        if name not in known:
            near = did_you_mean(name, sorted(known)) or f"; known: {', '.join(x.name for x in arms)}."
            raise UserError(f"no arm {name!r}{near}")
    return [x for x in arms if not names or x.name in names or x.family in names]


def teacher_name(scorer: ScorerConfig) -> str | None:
    """The name of the arm whose adapter a scorer asks for, if it asks for one. Raises UserError."""
    adapter = scorer.options.get("adapter")
    if not isinstance(adapter, Mapping):
        return None
    if set(adapter) != {"arm"}:
        raise UserError(f"scorer {scorer.name!r}: adapter is a folder, a packaged name, or {{arm: NAME}}.")
    return str(adapter["arm"])


def teacher_of(scorer: ScorerConfig, arms: Sequence[Arm]) -> Arm | None:
    """The arm whose adapter a scorer asks for, if it asks for one.

    Raises UserError for an arm that isn't there, or that has several seeds of which none is named.
    """
    name = teacher_name(scorer)
    if name is None:
        return None
    found = choose_arms(arms, [name])
    if len(found) > 1:
        raise UserError(f"scorer {scorer.name!r}: arm {name!r} has several seeds; name one: {found[0].name!r}.")
    return found[0]


def scorers_for(place: Arm, arms: Sequence[Arm]) -> list[ScorerConfig]:
    """What scores the candidates that ``place`` uses: all scorers for the run's own; for an arm's, and where a scorer
    asks for an arm's adapter, only those that ``arms`` learn from."""
    wanted = {x.config.reward_name for x in arms if x.sampled_in == place.sampled_in}
    own = not place.sampled_in
    return [x for x in place.config.scorers if x.name in wanted or (own and teacher_name(x) is None)]


def _resolve(name: str, arm: ArmConfig, config: TrainConfig) -> list[Arm]:
    own = f"arms/{name}"
    sample = _merged(config.sample, arm.sample, f"arms.{name}.sample")
    pair = _merged(config.pair, arm.pair, f"arms.{name}.pair")
    languages = arm.languages or config.languages
    if unknown := [x for x in languages if x not in config.languages]:
        raise UserError(f"arms.{name}.languages: {unknown[0]!r} is not one of the config's languages.")
    section = SECTIONS[arm.trainer]
    sampled_in = "" if sample == config.sample else own
    shares_pairs = not sampled_in and pair == config.pair and languages == config.languages
    update = {"sample": sample, "pair": pair, "languages": languages, "arms": {}}
    found: list[Arm] = []
    for seed in arm.seeds or [None]:
        settings = arm.settings if seed is None else {**arm.settings, "seed": seed}
        tuner = _merged(getattr(config, section), settings, f"arms.{name}.settings")
        tuned = config.model_copy(update={**update, section: tuner})
        folder = own if seed is None else f"{own}/seed-{seed}"
        found.append(Arm(name, arm.trainer, tuned, seed, sampled_in, "" if shares_pairs else own, folder))
    return found


def _merged(section: BaseModel, changes: dict[str, Any], where: str) -> Any:
    """A section with some of its fields changed, checked like the section itself."""
    merged = {**section.model_dump(exclude_unset=True), **changes}
    if "lora" in changes:
        merged["lora"] = {**section.model_dump()["lora"], **changes["lora"]}
    return parse_options(type(section), merged, where)
