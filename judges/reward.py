"""Judge ``reward``: a reward model scores each answer on its own; the answer with the higher reward is preferred.

A reward is the raw logit of a sequence classifier for the conversation (prompt, answer). A difference of at most
``tie_band`` is a tie; ``graded`` gives the Bradley-Terry probability instead, sigmoid(reward difference), which is how
such models are trained (Ouyang et al. 2022, arXiv 2203.02155, eq. 1).
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import Any

from pydantic import Field, model_validator

from ..harness.api.backend import RewardModel
from ..harness.api.judge import Case, Judge, Ruling, Rulings
from ..harness.api.records import AnswerPair, Judgment, Order, Verdict
from ..harness.config.strict import parse_options
from ..harness.models.reward import RewardModelOptions
from ..harness.models.sources import ModelSource
from ..harness.store.run_directory import RunDirectory
from ..harness.text.answers import strip_reasoning

VERSION = "1"
TOO_LONG = "too long for the model"
NOT_FINITE = "reward is not a finite number"
_CASES_AT_ONCE = 64
_REMEMBERED = 100_000
_DECIMALS = 6

Text = tuple[str, str]
"""A prompt and an answer to it."""


class RewardOptions(RewardModelOptions):
    """Which reward model, how it runs, and what counts as a tie. Documented in docs/judges.md."""

    tie_band: float = Field(0.0, ge=0, allow_inf_nan=False)
    graded: bool = False

    @model_validator(mode="after")
    def _fit_together(self) -> RewardOptions:
        if self.graded and self.tie_band:
            raise ValueError("tie_band is for verdicts: a graded preference has no ties, so leave one of them out")
        return self


class RewardJudge(Judge):
    """Judges any item. Options: ``RewardOptions``."""

    description = "a reward model: one scalar per answer, through transformers or vLLM"
    neutral_options = frozenset({"batch_tokens"})

    def __init__(self, /, **options: Any) -> None:
        self._options = parse_options(RewardOptions, options, "judge 'reward'")
        self.all_options = self._options.model_dump(mode="json")

    def check(self) -> None:
        """Also raises ModelError if the model can't be found or gives more than one logit."""
        self._options.check(self._source)

    @property
    def identity(self) -> dict[str, Any]:
        settings = self._options.model_dump(mode="json", exclude={"model", "revision", "batch_tokens"})
        return {"judge": "reward", "version": VERSION, **settings, "model": self._source.digest}

    def orders(self, pair: AnswerPair) -> tuple[Order, ...]:
        """One judgment without an order: no answer is seen beside the other."""
        return ("unordered",)

    def judge(self, cases: Iterable[Case], run: RunDirectory, tell: Callable[[str], None]) -> Rulings:
        rewards = _Rewards(self._load)
        try:
            for chunk in _chunks(cases):
                known = rewards.of([x for case in chunk for x in _texts(case.pair)])
                tell(f"{rewards.n_scored:,} answers scored")
                sides = zip(chunk, known[::2], known[1::2], strict=True)
                yield [Ruling(case, self._judgment(case.pair, own, other)) for case, own, other in sides]
        finally:
            rewards.close()

    def _judgment(self, pair: AnswerPair, candidate: float | None, reference: float | None) -> Judgment:
        sides = {"candidate": candidate, "reference": reference}
        unscored = next((f"{side}: {why}" for side, x in sides.items() if (why := _why_unscored(x))), None)
        verdict: Verdict | None = None
        preference: float | None = None
        if candidate is not None and reference is not None and unscored is None:
            difference = candidate - reference
            tied = abs(difference) <= self._options.tie_band
            verdict = "tie" if tied else "candidate" if difference > 0 else "reference"
            preference = sigmoid(difference) if self._options.graded else None
        kept = {side: None if _why_unscored(x) else x for side, x in sides.items()}
        item = pair.item
        details = json.dumps(kept)
        return Judgment(item.item_id, item.source_id, item.task, "unordered", verdict, unscored, details, preference)

    @cached_property
    def _source(self) -> ModelSource:
        return self._options.find()

    def _load(self) -> RewardModel:
        return self._options.load(self._source)


class _Rewards:
    """Rewards of texts, each scored once as long as it is remembered; those not met for longest are forgotten first.

    Only hashes and numbers are kept. The model is loaded when the first text is to be scored.
    """

    def __init__(self, load: Callable[[], RewardModel]) -> None:
        self._load = load
        self._model: RewardModel | None = None
        self._known: OrderedDict[bytes, float | None] = OrderedDict()
        self.n_scored = 0

    def of(self, texts: Sequence[Text]) -> list[float | None]:
        """The reward of each text, rounded to six decimals; None where it is too long for the model."""
        keys = [sha256(json.dumps(x).encode()).digest()[:16] for x in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._score(list(new.values())), strict=True))
        for key in keys:
            self._known.move_to_end(key)
        found = [self._known[x] for x in keys]
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def close(self) -> None:
        """Frees the model."""
        if self._model is not None:
            self._model.close()

    def _score(self, texts: Sequence[Text]) -> list[float | None]:
        if self._model is None:
            self._model = self._load()
        conversations = [
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}] for prompt, answer in texts
        ]
        self.n_scored += len(texts)
        return [None if x is None else round(x, _DECIMALS) for x in self._model.rewards(conversations)]


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), for any finite x."""
    return 0.5 * (1 + math.tanh(x / 2))


def _texts(pair: AnswerPair) -> tuple[Text, Text]:
    """What is scored: the candidate's answer and the reference's, without the reasoning before them."""
    prompt = pair.item.prompt
    return (prompt, strip_reasoning(pair.candidate)), (prompt, strip_reasoning(pair.reference))


def _why_unscored(reward: float | None) -> str | None:
    if reward is None:
        return TOO_LONG
    return None if math.isfinite(reward) else NOT_FINITE


def _chunks(cases: Iterable[Case]) -> Iterator[list[Case]]:
    source = iter(cases)
    while chunk := list(islice(source, _CASES_AT_ONCE)):
        yield chunk
