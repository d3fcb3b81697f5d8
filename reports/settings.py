"""How a run's results are to be compared: what its config says, or else the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..harness.config import RunConfig, StatisticsConfig, parse_config
from ..harness.languages import GROUPS
from ..harness.store import RunDirectory
from .comparisons import ComparisonRules


@dataclass(frozen=True)
class ReportSettings:
    """``tuned``: languages the candidates were tuned on; ``arms``: way of tuning -> the system that stands for it."""

    rules: ComparisonRules = field(default_factory=ComparisonRules)
    tuned: tuple[str, ...] = GROUPS["high"]
    arms: dict[str, str] = field(default_factory=dict)


def report_settings(folder: Path) -> ReportSettings:
    """From the run's ``config.yaml``. Raises UserError if it is wrong, StoreError if it can't be read."""
    text = RunDirectory(folder).config_text()
    if text is None:
        return ReportSettings()
    config = parse_config(text, str(folder / "config.yaml"), folder)
    return ReportSettings(_rules(config, config.statistics), tuple(config.statistics.tuned), config.arms.systems)


def _rules(config: RunConfig, x: StatisticsConfig) -> ComparisonRules:
    return ComparisonRules(x.alpha, x.correction, x.margin, x.margins, n_resamples=x.n_resamples, seed=config.seed)
