"""Scorer ``translation``: how well an answer translates into the English answer to the same prompt.

MAPO (She et al. 2024, arXiv 2401.06838) rewards an answer y by the likelihood P(y_en | y) of an English answer y_en
under a translation model that reads y, averaged over several English answers; its code takes the reciprocal of the mean
token loss of an encoder-decoder. Here the translator is a causal language model that is asked for the translation, and
the reward is the mean over the English answers of the log-likelihood per token: with one English answer, the default,
both order answers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, field_validator

from ...harness.config.strict import parse_options
from ...harness.errors import DataError, ModelError
from ...harness.models.sources import find_model
from ...harness.text.languages import LANGUAGES
from ...harness.text.templates import fill
from .base import Outcome, Outcomes, Rated
from .implicit import EMPTY
from .likelihood import AT_ONCE, CausalModel, CausalOptions, Text
from .reward_model import TOO_LONG

VERSION = "1"
TEMPLATE = (
    "Translate the text below from {language} into English. Write nothing but the translation.\n\nText:\n\n{text}"
)


class TranslationOptions(CausalOptions):
    """``template`` is what the translator is asked, with ``{text}`` and, if wanted, ``{language}`` (its English name)
    and ``{code}``. ``answers`` is the number of English answers, ``chat_template`` whether the model has a template."""

    template: str = TEMPLATE
    chat_template: bool = True
    answers: int = Field(1, ge=1)

    @field_validator("template")
    @classmethod
    def _has_a_text(cls, value: str) -> str:
        if "{text}" not in value:
            raise ValueError("must hold {text}, where the answer goes")
        return value


class TranslationScorer:
    """Mean log-likelihood per token of the English answers, given the translator's reading of the answer.

    The English answers of a source prompt are its gold answer, if it has one, and then its English candidates in the
    order in which they were sampled, those that were cut off last; equal texts count once. English candidates are what
    the others are measured by and have no reward.
    """

    def __init__(self, **options: Any) -> None:
        self._options = parse_options(TranslationOptions, options, "scorer 'translation'")
        self._model = CausalModel(find_model(self._options.model, self._options.revision), self._options)

    @property
    def identity(self) -> dict[str, Any]:
        kept = self._options.model_dump(include={"template", "chat_template", "answers", "dtype"})
        return {"scorer": "translation", "version": VERSION, "model": self._model.source.digest, **kept}

    def score(self, rows: Sequence[Rated], done: int = 0) -> Outcomes:
        """The alignment of each answer with the English ones. Raises DataError if there are none, ModelError."""
        english = _english_answers(rows, self._options.answers)
        if rows and not english:
            raise DataError(
                "scorer 'translation' compares with English answers, and there are none: add en to languages."
            )
        step = max(1, AT_ONCE // self._options.answers)
        for start in range(done, len(rows), step):
            yield self._score(rows[start : start + step], english)

    def close(self) -> None:
        """Frees the model's memory."""
        self._model.close()

    def _score(self, rows: Sequence[Rated], english: dict[str, list[str]]) -> list[Outcome]:
        outcomes: list[Outcome] = [(None, _why_not(x, english)) for x in rows]
        owners: list[int] = []
        texts: list[Text] = []
        for i, row in enumerate(rows):
            if outcomes[i][1] is None:
                context = self._context(row)
                known = english[row.prompt.source_id]
                owners += [i] * len(known)
                texts += [(context, x) for x in known]
        sums: dict[int, list[float]] = {}
        for i, response in zip(owners, self._model.likelihoods(texts), strict=True):
            if response is None or response.logprob is None:
                outcomes[i] = (None, TOO_LONG)
            else:
                sums.setdefault(i, []).append(response.logprob / response.n_tokens)
        for i, found in sums.items():
            if outcomes[i][1] is None:
                outcomes[i] = (sum(found) / len(found), None)
        return outcomes

    def _context(self, row: Rated) -> str:
        language = LANGUAGES[row.candidate.language]
        asked = fill(self._options.template, language=language.name, code=language.code, text=row.candidate.answer)
        if not self._options.chat_template:
            return f"{asked}\n\n"
        try:
            return self._model.question(asked)
        except ModelError as error:
            raise ModelError(f"prompt {row.prompt.prompt_id!r}: {error}") from error


def _why_not(row: Rated, english: dict[str, list[str]]) -> str | None:
    if row.candidate.language == "en":
        return "English answers are what the others are measured by"
    if not row.candidate.answer:
        return EMPTY
    return None if row.prompt.source_id in english else "no English answer to the same prompt"


def _english_answers(rows: Sequence[Rated], number: int) -> dict[str, list[str]]:
    """The first English answers of each source prompt: gold, then whole ones, then those that were cut off."""
    own = [x.candidate for x in rows if x.candidate.language == "en" and x.candidate.answer]
    own.sort(key=lambda x: (x.kind != "gold", x.finish_reason == "length", x.sample))
    found: dict[str, list[str]] = {}
    for x in own:
        known = found.setdefault(x.source_id, [])
        if len(known) < number and x.answer not in known:
            known.append(x.answer)
    return found
