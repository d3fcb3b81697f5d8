"""Scorer ``implicit``: the reward that a preference-tuned model holds within itself.

A model tuned by DPO from a reference defines the reward beta * (log p_tuned(y | x) - log p_reference(y | x)), up to a
term of the prompt alone (Rafailov et al. 2023, arXiv 2305.18290, eq. 5). Implicit cross-lingual rewarding (ICR; Yang et
al. 2025, arXiv 2503.04647) takes it from a model tuned on English preferences, with the English prompt and a request
for the answer's language as x: here ``instruction: english``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ...harness.config.strict import parse_options
from ...harness.errors import ModelError
from ...harness.models.sources import check_adapter, find_model
from ...harness.text.languages import LANGUAGES
from .base import Outcome, Outcomes, Rated
from .likelihood import AT_ONCE, CausalModel, CausalOptions, Text
from .reward_model import TOO_LONG

VERSION = "1"
EMPTY = "empty answer"
_ANSWER_IN = "Please answer in {language}.\n"


class ImplicitOptions(CausalOptions):
    """``adapter`` tunes ``model``; the reference is then the model with the adapter off. Without an adapter the model
    itself is the tuned one, and ``reference`` names the one it was tuned from."""

    adapter: str | None = None
    allow_base_mismatch: bool = False
    reference: str | None = None
    reference_revision: str | None = None
    beta: float = Field(0.1, gt=0)
    instruction: Literal["own", "english"] = "own"

    @model_validator(mode="after")
    def _has_two_models(self) -> ImplicitOptions:
        if self.adapter is None and self.reference is None:
            raise ValueError("name an adapter, or the reference that the model was tuned from")
        return self


class ImplicitScorer:
    """beta * (log p_tuned - log p_reference) of an answer, summed over its tokens.

    The end of the turn is one of them unless the answer was cut off: DPO tunes on it too. There is no length
    normalisation and none of the length penalty that arXiv 2503.04647 fits on top.
    """

    def __init__(self, **options: Any) -> None:
        o = self._options = parse_options(ImplicitOptions, options, "scorer 'implicit'")
        base = find_model(o.model, o.revision)
        self._adapter = find_model(o.adapter) if o.adapter else None
        if self._adapter:
            check_adapter(self._adapter, base, o.allow_base_mismatch)
        self._tuned = CausalModel(base, o, [Path(self._adapter.path)] if self._adapter else [])
        self._reference = self._tuned
        if o.reference is not None:
            self._reference = CausalModel(find_model(o.reference, o.reference_revision), o)

    @property
    def identity(self) -> dict[str, Any]:
        o = self._options
        return {
            "scorer": "implicit",
            "version": VERSION,
            "model": self._tuned.source.digest,
            "adapter": self._adapter.digest if self._adapter else None,
            "reference": self._reference.source.digest,
            "beta": o.beta,
            "instruction": o.instruction,
            "dtype": o.dtype,
        }

    def score(self, rows: Sequence[Rated], done: int = 0) -> Outcomes:
        """The log-ratio of each answer; empty and too long ones are unscored, and with ``instruction: english`` those
        to prompts that have no English wording among the rows. Raises ModelError."""
        english = {x.prompt.source_id: x.prompt.prompt for x in rows if x.prompt.language == "en"}
        for start in range(done, len(rows), AT_ONCE):
            yield self._score(rows[start : start + AT_ONCE], english)

    def close(self) -> None:
        """Frees the models' memory."""
        self._tuned.close()
        self._reference.close()

    def _score(self, rows: Sequence[Rated], english: dict[str, str]) -> list[Outcome]:
        outcomes: list[Outcome] = [(None, None)] * len(rows)
        texts: dict[int, Text] = {}
        for i, row in enumerate(rows):
            text = self._text(row, english)
            if isinstance(text, str):
                outcomes[i] = (None, text)
            else:
                texts[i] = text
        asked = list(texts.values())
        tuned = self._tuned.likelihoods(asked, Path(self._adapter.path) if self._adapter else None)
        reference = self._reference.likelihoods(asked)
        for i, ours, theirs in zip(texts, tuned, reference, strict=True):
            if ours is None or theirs is None:
                outcomes[i] = (None, TOO_LONG)
            elif ours.logprob is None or theirs.logprob is None:
                outcomes[i] = (None, ours.finish_reason or theirs.finish_reason)
            else:
                outcomes[i] = (self._options.beta * (ours.logprob - theirs.logprob), None)
        return outcomes

    def _text(self, row: Rated, english: dict[str, str]) -> Text | str:
        """Prompt and answer as the models read them, or why they can't."""
        answer, prompt, language = row.candidate.answer, row.prompt.prompt, row.candidate.language
        if not answer:
            return EMPTY
        if self._options.instruction == "english" and language != "en":
            if row.prompt.source_id not in english:
                return "the prompt has no English wording"
            prompt = _ANSWER_IN.format(language=LANGUAGES[language].name) + english[row.prompt.source_id]
        try:
            text = self._tuned.turn(prompt, answer, ended=row.candidate.finish_reason != "length")
        except ModelError as error:
            raise ModelError(f"prompt {row.prompt.prompt_id!r}: {error}") from error
        return text or "the chat template writes the prompt differently once an answer follows"
