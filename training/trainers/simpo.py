"""SimPO: config -> TRL's ``CPOTrainer`` with ``loss_type="simpo"``. The gateway to that trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trl.experimental.cpo import CPOConfig, CPOTrainer

from ...harness.text.encoding import RenderedChat, common_length, encode
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
    return tune(AsRendered, base, rows, arguments, settings, out, probe)


class AsRendered(CPOTrainer):
    """TRL's trainer, which puts BOS and EOS around a chat whose template writes none; here a chat is learnt as the
    template wrote it. Too long an answer loses its end, as with TRL."""

    def tokenize_row(self, feature: dict[str, str], model: Any = None) -> dict[str, list[int]]:
        """The columns of a rendered row."""
        head = self._ids(feature["prompt"])
        row = {"prompt_input_ids": head, "prompt_attention_mask": [1] * len(head)}
        for name in ("chosen", "rejected"):
            whole = self._ids(feature["prompt"] + feature[name])
            begins = common_length(head, whole)
            ids = whole[: max(begins, self.max_length)]
            row[f"{name}_input_ids"] = ids
            row[f"{name}_attention_mask"] = [1] * len(ids)
            row[f"{name}_labels"] = [-100] * begins + ids[begins:]
        return row

    def _ids(self, rendered: str) -> list[int]:
        return encode(self.processing_class, RenderedChat(rendered))
