"""What a training run would take, before anything runs: stages, rows, tokens, and GPU hours by a simple formula.

Operations per token and parameter: 2 for reading or generating, 6 for a LoRA step with gradient checkpointing (two
passes forward, one backward through activations). DPO reads each pair with the reference too. Hours are operations
over the GPU's peak times the part of it that such work reaches; the assumptions are in the config's section
``estimate``, and are shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..harness.errors import CrocoError
from ..harness.models.sources import find_model
from .arms import Arm
from .config import ScorerConfig, TrainConfig
from .plan import Step, steps
from .stages.folder import Say, TrainingDirectory
from .stages.prompts import load_prompts, read_preference_pairs

_READ, _TUNE = 2, 6


@dataclass(frozen=True)
class Estimate:
    """What one step takes. ``tokens`` are read or written, each at ``per_token`` operations per parameter; the number
    of ``parameters`` is None where it is not known."""

    rows: int
    unit: str
    tokens: float = 0
    per_token: int = 0
    parameters: float | None = 0
    generates: bool = False


def show_plan(config: TrainConfig, stages: Sequence[str], arms: Sequence[str], say: Say) -> None:
    """Says what the stages would do and take. Raises UserError for unknown arms and sections that don't fit."""
    e, at, estimator = config.estimate, TrainingDirectory.of(config), Estimator(config)
    total = 0.0
    for step in steps(config, arms, stages):
        x = estimator.of(step)
        rate = e.gpu_flops * (e.decode_utilisation if x.generates else e.utilisation)
        hours = None if x.parameters is None else x.tokens * x.per_token * x.parameters / rate / 3600
        total += hours or 0
        folder = step.writes if step.scorer is None else step.writes.parent
        name = at.label(folder) if step.scorer is None else f"{at.label(folder)} {step.scorer.name}"
        say(f"{name}: {x.rows:,} {x.unit}, {_short(x.tokens)} tokens, {_hours(hours)}")
    say(
        f"in all {_hours(total)}, at {e.prompt_tokens:,} tokens per prompt, {e.answer_tokens:,} per "
        f"answer and {e.gpu_flops:.2g} operations/s per GPU, of which {e.utilisation:.0%} are reached (generating: "
        f"{e.decode_utilisation:.0%}). Nothing was run."
    )


class Estimator:
    """Estimates the steps of a config."""

    def __init__(self, config: TrainConfig) -> None:
        self._config, self._settings = config, config.estimate
        self._whole = config.estimate.prompt_tokens + config.estimate.answer_tokens

    def of(self, step: Step) -> Estimate:
        """What a step takes, by its stage."""
        if step.arm is None:
            return self._translate() if step.stage == "translate" else self._reward()
        if step.stage in ("sample", "score"):
            return self._candidates(step, step.arm)
        if step.stage == "pair":
            return Estimate(self._pools(step.arm), "pools")
        return self._tune(step.arm)

    def _translate(self) -> Estimate:
        e, config = self._settings, self._config
        rows = self._prompts * (len(config.languages) - ("en" in config.languages))
        model = config.translate.translator.model if config.translate else ""
        size = _parameters(model, e.translator_parameters)
        return Estimate(rows, "prompts", rows * 2 * e.prompt_tokens, _READ, size, generates=True)

    def _candidates(self, step: Step, arm: Arm) -> Estimate:
        rows = self._prompts * len(self._config.languages) * arm.config.sample.n
        if step.scorer is not None:
            return Estimate(rows, "answers", rows * self._whole, _READ, self._size_of(step.scorer))
        other = arm.config.sample.policy
        size = self._policy if other is None else _parameters(other.model, self._settings.parameters)
        return Estimate(rows, "answers", rows * self._settings.answer_tokens, _READ, size, generates=True)

    def _tune(self, arm: Arm) -> Estimate:
        epochs = arm.settings.num_train_epochs
        if arm.trainer == "dpo":
            rows = self._pools(arm)
            return Estimate(rows, "pairs at most", rows * epochs * 2 * self._whole, _TUNE + _READ, self._policy)
        if arm.trainer == "sft":
            pooled = arm.config.sft.answers == "max-reward" and arm.config.sft.pool == "all"
            rows = self._prompts * (1 if pooled else len(arm.config.languages))
            return Estimate(rows, "answers at most", rows * epochs * self._whole, _TUNE, self._policy)
        rows = self._prompts * len(arm.config.languages)
        answers = 2 if arm.trainer == "online-dpo" else arm.config.grpo.num_generations
        tokens = rows * epochs * answers * self._whole
        return Estimate(rows, "prompts", tokens, _TUNE + 2 * _READ, self._policy, generates=True)

    def _reward(self) -> Estimate:
        settings = self._config.reward
        rows = len(read_preference_pairs(settings.preferences, settings.seed))
        size = _parameters(settings.model or self._config.policy.model, self._settings.reward_parameters)
        tokens = rows * settings.num_train_epochs * 2 * self._whole
        return Estimate(rows, "preferences", tokens, _READ if settings.backbone == "frozen" else _TUNE, size)

    def _pools(self, arm: Arm) -> int:
        return self._prompts * (1 if arm.config.pair.pool == "all" else len(arm.config.languages))

    @cached_property
    def _prompts(self) -> int:
        """The number of prompts of a language: as found, or as the config says where they are not here."""
        if self._settings.prompts is not None:
            return self._settings.prompts
        return -(-len(load_prompts(self._config)) // len(self._config.languages))

    @cached_property
    def _policy(self) -> float | None:
        return _parameters(self._config.policy.model, self._settings.parameters)

    def _size_of(self, scorer: ScorerConfig) -> float | None:
        model = scorer.options.get("model")
        return 0.0 if model is None else _parameters(str(model), self._settings.reward_parameters)


def _parameters(model: str, given: float | None) -> float | None:
    """The number of a model's parameters: as given, or as its files on this machine say; None where neither does."""
    if given is not None:
        return given
    try:
        path = Path(find_model(model).path)
    except CrocoError:
        return None
    files = list(path.glob("*.safetensors")) if path.is_dir() else []
    return sum(map(_count, files)) or None


def _count(file: Path) -> float:
    """Parameters in a safetensors file, from its header."""
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return float(sum(math.prod(x["shape"]) for name, x in header.items() if name != "__metadata__"))


def _hours(hours: float | None) -> str:
    if hours is None:
        return "GPU hours unknown (set estimate.parameters)"
    return f"{hours:,.2f} GPU hours" if hours >= 0.005 or not hours else "less than 0.01 GPU hours"


def _short(tokens: float) -> str:
    for limit, unit in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if tokens >= limit:
            return f"{tokens / limit:,.1f} {unit}"
    return f"{tokens:,.0f}"
