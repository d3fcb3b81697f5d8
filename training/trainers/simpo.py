"""SimPO: config -> TRL's ``CPOTrainer`` with ``loss_type="simpo"``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl.experimental.cpo import CPOConfig, CPOTrainer

from ..config import DpoSettings
from ..records import Pair
from .common import common_arguments, tune
from .dpo import preference_rows


def train_simpo(
    base: Path, pairs: Sequence[Pair], out: Path, settings: DpoSettings, probe: Sequence[tuple[str, str]] = ()
) -> list[dict[str, Any]]:
    """Tunes an adapter on pairs without a reference model (arXiv 2405.14734); saves it, gives the trainer's log.

    Raises ModelError for a run that diverges.
    """
    rows = preference_rows([(x.prompt, x.chosen, x.rejected) for x in pairs])
    arguments = CPOConfig(
        **common_arguments(settings, out, len(rows)),
        loss_type="simpo",
        beta=settings.beta,
        simpo_gamma=settings.simpo_gamma,
        cpo_alpha=0.0,  # SimPO as published has no likelihood term
        label_smoothing=settings.label_smoothing,
        max_length=settings.max_length,
        remove_unused_columns=False,
    )
    return tune(CPOTrainer, base, rows, arguments, settings, out, probe)
