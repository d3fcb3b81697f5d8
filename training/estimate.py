"""What a training run would take, before anything runs: stages, rows, tokens, and GPU hours by a simple formula.

Operations per token and parameter: 2 for reading or generating, 6 for a LoRA step with gradient checkpointing (two
passes forward, one backward through activations). DPO reads each pair with the reference too. Hours are operations
over the GPU's peak times the part of it that such work reaches; the assumptions are in the config's section
``estimate``, and are shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..harness.errors import CrocoError
from ..harness.models.sources import find_model
from .arms import Arm, choose_arms, resolve_arms, scorers_for
from .config import ScorerConfig, TrainConfig
from .stages.prompts import load_prompts, read_preferences

_READ, _TUNE = 2, 6


@dataclass(frozen=True)
class Step:
    """One stage of the plan. ``tokens`` are read or written; ``operations`` is None where a size is not known."""

    name: str
    rows: int
    unit: str
    tokens: float
    operations: float | None
    generates: bool = False


def show_plan(config: TrainConfig, stages: Sequence[str], arms: Sequence[str], say: Callable[[str], None]) -> None:
    """Says what the stages would do and take. Raises UserError for unknown arms and sections that don't fit."""
    e = config.estimate
    root = Path(config.out or ".")
    chosen = choose_arms(resolve_arms(config, root), arms)
    steps = [x for x in _steps(config, chosen, root) if _stage(x.name) in stages]
    if "reward" in stages:
        steps.append(_reward(config))
    total = 0.0
    for x in steps:
        rate = e.gpu_flops * (e.decode_utilisation if x.generates else e.utilisation)
        hours = None if x.operations is None else x.operations / rate / 3600
        total += hours or 0
        say(f"{x.name}: {x.rows:,} {x.unit}, {_short(x.tokens)} tokens, {_hours(hours)}")
    say(
        f"in all {_hours(total)}, at {e.prompt_tokens:,} tokens per prompt, {e.answer_tokens:,} per "
        f"answer and {e.gpu_flops:.2g} operations/s per GPU, of which {e.utilisation:.0%} are reached (generating: "
        f"{e.decode_utilisation:.0%}). Nothing was run."
    )


def _stage(name: str) -> str:
    return name.rpartition("/")[2].split()[0]


def _steps(config: TrainConfig, arms: Sequence[Arm], root: Path) -> Iterator[Step]:
    e = config.estimate
    per_language = _prompts_per_language(config)
    policy = _parameters(config.policy.model, e.parameters)
    if config.translate is not None:
        rows = per_language * (len(config.languages) - ("en" in config.languages))
        size = _parameters(config.translate.translator.model, e.translator_parameters)
        yield _made("translate", rows, "prompts", rows * 2 * e.prompt_tokens, _READ, size, generates=True)
    pooled = {x.sampled_in: x for x in reversed(arms) if x.needs_candidates}
    for arm in pooled.values():
        label = "" if arm.sampled_in == root else f"{arm.sampled_in.relative_to(root / 'arms')}/"
        n = arm.config.sample.n
        rows = per_language * len(config.languages) * n
        other = arm.config.sample.policy
        size = policy if other is None else _parameters(other.model, e.parameters)
        yield _made(f"{label}sample", rows, "answers", rows * e.answer_tokens, _READ, size, generates=True)
        for scorer in scorers_for(arm, arms, root):
            tokens = rows * (e.prompt_tokens + e.answer_tokens)
            yield _made(f"{label}score {scorer.name}", rows, "answers", tokens, _READ, _scorer_size(scorer, config))
    for arm in {x.paired_in: x for x in reversed(arms) if x.trainer == "dpo"}.values():
        label = "" if arm.paired_in == root else f"{arm.paired_in.relative_to(root / 'arms')}/"
        yield Step(f"{label}pair", _pools(arm, per_language), "pools", 0, 0)
    for arm in arms:
        yield _tuning(arm, per_language, config, policy, root)


def _tuning(arm: Arm, per_language: int, config: TrainConfig, policy: float | None, root: Path) -> Step:
    e = config.estimate
    label = "" if arm.folder == root else f"{arm.folder.relative_to(root / 'arms')}/"
    epochs = arm.settings.num_train_epochs
    whole = e.prompt_tokens + e.answer_tokens
    if arm.trainer == "dpo":
        rows = _pools(arm, per_language)
        return _made(f"{label}dpo", rows, "pairs at most", rows * epochs * 2 * whole, _TUNE + _READ, policy)
    if arm.trainer == "sft":
        pooled = arm.config.sft.answers == "max-reward" and arm.config.sft.pool == "all"
        rows = per_language * (1 if pooled else len(arm.config.languages))
        return _made(f"{label}sft", rows, "answers at most", rows * epochs * whole, _TUNE, policy)
    rows = per_language * len(arm.config.languages)
    answers = 2 if arm.trainer == "online-dpo" else arm.config.grpo.num_generations
    tokens = rows * epochs * answers * whole
    return _made(f"{label}{arm.trainer}", rows, "prompts", tokens, _TUNE + 2 * _READ, policy, generates=True)


def _reward(config: TrainConfig) -> Step:
    e, settings = config.estimate, config.reward
    rows = len(read_preferences(settings.preferences, settings.seed))
    size = _parameters(settings.model or config.policy.model, e.reward_parameters)
    tokens = rows * settings.num_train_epochs * 2 * (e.prompt_tokens + e.answer_tokens)
    return _made("reward", rows, "preferences", tokens, _READ if settings.backbone == "frozen" else _TUNE, size)


def _pools(arm: Arm, per_language: int) -> int:
    return per_language * (1 if arm.config.pair.pool == "all" else len(arm.config.languages))


def _made(
    name: str, rows: int, unit: str, tokens: float, per_token: int, parameters: float | None, generates: bool = False
) -> Step:
    operations = None if parameters is None else tokens * per_token * parameters
    return Step(name, rows, unit, tokens, operations, generates)


def _prompts_per_language(config: TrainConfig) -> int:
    """The number of prompts of a language: as found, or as the config says where they are not here."""
    if config.estimate.prompts is not None:
        return config.estimate.prompts
    return -(-len(load_prompts(config)) // len(config.languages))


def _scorer_size(scorer: ScorerConfig, config: TrainConfig) -> float | None:
    model = scorer.options.get("model")
    return 0.0 if model is None else _parameters(str(model), config.estimate.reward_parameters)


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
    total = 0.0
    for name, tensor in header.items():
        if name != "__metadata__":
            size = 1.0
            for x in tensor["shape"]:
                size *= x
            total += size
    return total


def _hours(hours: float | None) -> str:
    if hours is None:
        return "GPU hours unknown (set estimate.parameters)"
    return f"{hours:,.2f} GPU hours" if hours >= 0.005 or not hours else "less than 0.01 GPU hours"


def _short(tokens: float) -> str:
    for limit, unit in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if tokens >= limit:
            return f"{tokens / limit:,.1f} {unit}"
    return f"{tokens:,.0f}"
