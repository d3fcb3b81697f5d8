"""Scorer ``typicality``: how an answer reads to a frozen base model, by two statistics and a linear head on them.

``typicality`` is the mean over the answer's tokens of log-likelihood plus the entropy of the prediction, in nats: near
0 for what the model would say itself, below for what surprises it (local typicality, arXiv 2202.00666). ``end`` is the
log-likelihood that the turn ends after the answer. Nothing is trained but the two weights of the head, on preferences
in one language; the statistics are the base's own in every language.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize

from ...harness.backends import ModelSpec
from ...harness.backends.hf_load import find_window, load_model
from ...harness.backends.text import render_chat
from ...harness.errors import ModelError
from ...harness.models import find_model
from ...harness.options import parse_options
from ..stages.score import Outcomes, Rated
from .likelihood import AT_ONCE, CausalOptions
from .reward_model import TOO_LONG

VERSION = "1"
EMPTY = "empty answer"


class Head(BaseModel):
    """Weights of the two statistics, per nat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    typicality: float
    end: float


class TypicalityOptions(CausalOptions):
    """``head``: see ``fit_head``. The model's chat template shows it prompt and answer."""

    head: Head


class TypicalityScorer:
    """The head's sum of an answer's statistics. The model stays loaded until ``close``."""

    def __init__(self, **options: Any) -> None:
        self._options = parse_options(TypicalityOptions, options, "scorer 'typicality'")
        self._source = find_model(self._options.model, self._options.revision)

    @property
    def identity(self) -> dict[str, Any]:
        o = self._options
        head = o.head.model_dump()
        return {
            "scorer": "typicality",
            "version": VERSION,
            "model": self._source.digest,
            "head": head,
            "dtype": o.dtype,
        }

    def score(self, rows: Sequence[Rated], done: int = 0) -> Outcomes:
        """The reward of each answer; empty and too long ones are unscored. Raises ModelError."""
        head = self._options.head
        for start in range(done, len(rows), AT_ONCE):
            some = [(x.prompt.prompt, x.candidate.answer) for x in rows[start : start + AT_ONCE]]
            found = self.statistics(some)
            yield [
                (head.typicality * x[0] + head.end * x[1], None) if x else (None, TOO_LONG if y else EMPTY)
                for x, (_, y) in zip(found, some, strict=True)
            ]

    def statistics(self, rows: Sequence[tuple[str, str]]) -> list[tuple[float, float] | None]:
        """Typicality and end of each (prompt, answer); None for an empty answer and for more than the window."""
        model, tokenizer, window = self._loaded
        heads = [render_chat(tokenizer, [{"role": "user", "content": x}], False, self._source.path) for x, _ in rows]
        contexts = [tokenizer(x, add_special_tokens=False)["input_ids"] for x in heads]
        answers = [tokenizer(x, add_special_tokens=False)["input_ids"] for _, x in rows]
        lengths = {i: len(c) + len(a) for i, (c, a) in enumerate(zip(contexts, answers, strict=True)) if a}
        found: list[tuple[float, float] | None] = [None] * len(rows)
        batch: list[int] = []
        for place in [*sorted((x for x in lengths if lengths[x] < window), key=lambda x: -lengths[x]), None]:
            full = batch and (place is None or lengths[batch[0]] * (len(batch) + 1) > self._options.batch_tokens)
            if full:
                values = self._measure(model, [(contexts[x], answers[x]) for x in batch], tokenizer.eos_token_id)
                for x, value in zip(batch, values, strict=True):
                    found[x] = value
                batch = []
            if place is not None:
                batch.append(place)
        return found

    def close(self) -> None:
        """Frees the model's memory."""
        self.__dict__.pop("_loaded", None)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, int]:
        o = self._options
        spec = ModelSpec(self._source.path, self._source.revision, o.dtype, o.device, o.batch_tokens)
        model, tokenizer = load_model(spec)
        if tokenizer.eos_token_id is None:
            raise ModelError(f"model {self._source.path!r} has no token that ends a turn.")
        return model, tokenizer, find_window(model, tokenizer)

    @staticmethod
    @torch.inference_mode()
    def _measure(model: Any, rows: Sequence[tuple[list[int], list[int]]], end: int) -> list[tuple[float, float]]:
        width = max(len(c) + len(a) for c, a in rows)
        ids = torch.tensor([c + a + [end] * (width - len(c) - len(a)) for c, a in rows], device=model.device)
        mask = torch.tensor([[1] * (len(c) + len(a)) + [0] * (width - len(c) - len(a)) for c, a in rows])
        states = model(
            input_ids=ids, attention_mask=mask.to(model.device), output_hidden_states=True, logits_to_keep=1
        ).hidden_states[-1]
        found: list[tuple[float, float]] = []
        for row, (context, answer) in enumerate(rows):
            first, last = len(context), len(context) + len(answer)
            logs = model.get_output_embeddings()(states[row, first - 1 : last]).float().log_softmax(-1)
            said = logs[:-1].gather(1, ids[row, first:last, None])[:, 0]
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
