"""How a run's results are to be compared: what its config says, or else the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...harness.config.run_config import RunConfig, parse_config
from ...harness.models.tuning import Tuning
from ...harness.text.languages import GROUPS
from .contrasts import arms_of, tunings_of
from .rules import Rules


@dataclass(frozen=True)
class Training:
    """A training run by its checkpoints: their systems and steps, in the order of the steps."""

    name: str
    systems: tuple[str, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True)
class ReportSettings:
    """``tuned``: languages the candidates were tuned on; ``arms``: way of tuning -> the system that stands for it;
    ``trainings``: training runs of which systems are checkpoints; ``tunings``: system -> how its adapter was tuned;
    ``config``: the whole config, if there is one."""

    rules: Rules = field(default_factory=Rules)
    tuned: tuple[str, ...] = GROUPS["high"]
    arms: dict[str, str] = field(default_factory=dict)
    trainings: tuple[Training, ...] = ()
    tunings: dict[str, Tuning] = field(default_factory=dict)
    config: RunConfig | None = None


def report_settings(text: str | None, manifest: Mapping[str, Any], folder: Path) -> ReportSettings:
    """From the text of the run's ``config.yaml``, and what its adapters' records say of arms that it doesn't name.

    Raises UserError for a wrong config, StoreError for a damaged record.
    """
    if text is None:
        return ReportSettings()
    config = parse_config(text, str(folder / "config.yaml"), folder)
    x = config.statistics
    trainings = _trainings(config)
    tunings = tunings_of(manifest, frozenset(x for training in trainings for x in training.systems))
    return ReportSettings(
        Rules(x.alpha, x.correction, x.margin, x.margins, n_resamples=x.n_resamples, seed=config.seed),
        tuple(x.tuned),
        arms_of(config.arms.systems, tunings),
        trainings,
        tunings,
        config,
    )


def _trainings(config: RunConfig) -> tuple[Training, ...]:
    """Systems that are checkpoints (``checkpoint_of``, ``step``), by training run."""
    steps: dict[str, list[tuple[int, str]]] = {}
    for x in config.systems:
        if x.checkpoint_of is not None and x.step is not None:
            steps.setdefault(x.checkpoint_of, []).append((x.step, x.name))
    return tuple(
        Training(name, tuple(x for _, x in sorted(found)), tuple(x for x, _ in sorted(found)))
        for name, found in steps.items()
    )
