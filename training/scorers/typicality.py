"""Scorer ``typicality``: how an answer reads to a frozen base model, by two statistics and a linear head on them.

``typicality`` is the mean over the answer's tokens of log-likelihood plus the entropy of the prediction, in nats: near
0 for what the model would say itself, below for what surprises it (local typicality, arXiv 2202.00666). ``end`` is the
log-likelihood that the turn ends after the answer. Nothing is trained but the two weights of the head, on preferences
in one language; the statistics are the base's own in every language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize

from ...harness.backends.text import encode_pairs, token_batches
from ...harness.config.strict import Strict, parse_options
from ...harness.errors import ModelError
from ...harness.models.sources import find_model
from .base import Outcomes, Rated
from .likelihood import AT_ONCE, CausalModel, CausalOptions
from .reward_model import TOO_LONG

VERSION = "1"
EMPTY = "empty answer"


class Head(Strict):
    """Weights of the two statistics, per nat."""

    typicality: float
    end: float


class TypicalityOptions(CausalOptions):
    """``head``: see ``fit_head``. The model's chat template shows it prompt and answer."""

    head: Head


class TypicalityScorer:
    """The head's sum of an answer's statistics. The model stays loaded until ``close``."""

    def __init__(self, **options: Any) -> None:
        self._options = parse_options(TypicalityOptions, options, "scorer 'typicality'")
        self._model = CausalModel(find_model(self._options.model, self._options.revision), self._options)

    @property
    def identity(self) -> dict[str, Any]:
        """How the model runs is no part of it, but for its number type."""
        o = self._options
        named = {"scorer": "typicality", "version": VERSION, "model": self._model.source.digest, "dtype": o.dtype}
        return {**named, "head": o.head.model_dump()}

    def score(self, rows: Sequence[Rated], done: int = 0) -> Outcomes:
        """The reward of each answer; empty and too long ones are unscored. Raises ModelError."""
        head = self._options.head
        for start in range(done, len(rows), AT_ONCE):
            some = [(x.prompt.prompt, x.candidate.answer) for x in rows[start : start + AT_ONCE]]
            yield [
                (head.typicality * x[0] + head.end * x[1], None) if x else (None, TOO_LONG if answer else EMPTY)
                for x, (_, answer) in zip(self.statistics(some), some, strict=True)
            ]

    def statistics(self, rows: Sequence[tuple[str, str]]) -> list[tuple[float, float] | None]:
        """Typicality and end of each (prompt, answer); None for an empty answer and for more than the window."""
        texts = [(self._model.question(prompt), answer) for prompt, answer in rows]
        encoded = list(encode_pairs(self._model.tokenizer, texts, 1 << 30))
        lengths = {i: len(context) + len(answer) for i, (context, answer) in enumerate(encoded) if answer}
        window = self._model.window
        fitting = {i: x for i, x in lengths.items() if x < window}
        found: list[tuple[float, float] | None] = [None] * len(rows)
        for batch in token_batches(fitting, self._options.batch_tokens):
            for place, value in zip(batch, self._measure([encoded[x] for x in batch]), strict=True):
                found[place] = value
        return found

    def close(self) -> None:
        """Frees the model's memory."""
        self._model.close()

    def _measure(self, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[tuple[float, float]]:
        """Typicality and end of each (context, answer), as token ids, in one batch."""
        end = self._model.tokenizer.eos_token_id
        if end is None:
            raise ModelError(f"model {self._model.source.path!r} has no token that ends a turn.")
        width = max(len(context) + len(answer) for context, answer in rows)
        found: list[tuple[float, float]] = []
        with self._model.active() as model:
            ids = torch.full((len(rows), width), end, device=model.device)
            mask = torch.zeros_like(ids)
            for i, (context, answer) in enumerate(rows):
                ids[i, : len(context) + len(answer)] = torch.tensor([*context, *answer])
                mask[i, : len(context) + len(answer)] = 1
            states = model(
                input_ids=ids, attention_mask=mask, output_hidden_states=True, logits_to_keep=1
            ).hidden_states[-1]
            for i, (context, answer) in enumerate(rows):
                first, last = len(context), len(context) + len(answer)
                logs = model.get_output_embeddings()(states[i, first - 1 : last]).float().log_softmax(-1)
                said = logs[:-1].gather(1, ids[i, first:last, None])[:, 0]
                entropy = -(logs[:-1].exp() * logs[:-1]).sum(-1)
                found.append(((said + entropy).mean().item(), logs[-1, end].item()))
        return found


def fit_head(chosen: np.ndarray, rejected: np.ndarray, penalty: float = 0.005) -> Head:
    """Weights by Bradley-Terry with an L2 penalty on standardised statistics.

    ``chosen`` and ``rejected``: statistics of the answers of each preference, (preference, 2), in nats.
    """
    spread = np.concatenate([chosen, rejected]).std(0)
    margins = (chosen - rejected) / spread

    def loss(weights: np.ndarray) -> float:
        return float(np.logaddexp(0.0, -margins @ weights).mean() + penalty * (weights**2).sum())

    weights = minimize(loss, np.zeros(2)).x / spread
    return Head(typicality=round(float(weights[0]), 4), end=round(float(weights[1]), 4))
