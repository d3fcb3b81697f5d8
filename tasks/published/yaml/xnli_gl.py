"""How lm-eval joins the two sentences of Galician XNLI (its ``galician_bench/utils.py``)."""

from __future__ import annotations

from typing import Any

from lm_eval.utils import general_detokenize

_LABELS = ("entailment", "neutral", "contradiction")


def joined(rows: Any) -> Any:
    """The premise without its last mark, the hypothesis in the middle of a sentence, the label as its number."""
    return rows.map(_joined)


def _joined(row: dict[str, Any]) -> dict[str, Any]:
    premise = general_detokenize(row["sentence1"]).strip()
    hypothesis = general_detokenize(row["sentence2"]).strip()
    return {
        "sentence1": premise[:-1] if premise.endswith((".", ",", "!", "?")) else premise,
        "sentence2": hypothesis[:1].lower() + hypothesis[1:].removesuffix(".") + ".",
        "gold_label": _LABELS.index(row["gold_label"]),
    }
