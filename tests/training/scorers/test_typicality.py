"""Scorer ``typicality``: its statistics, its head, and how it ranks where it saw no preferences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from croco_eval.harness.errors import UserError
from croco_eval.harness.models.sources import find_model
from croco_eval.tasks.locale.corpus import LocaleCorpus
from croco_eval.training.records import Candidate, Prompt
from croco_eval.training.scorers.base import Rated
from croco_eval.training.scorers.typicality import TypicalityScorer, fit_head
from transformers import AutoModelForCausalLM, AutoTokenizer

ROWS = [
    ("Which currency is used in Japan?", "They pay with this currency there: Japanese yen."),
    ("Was ist die Hauptsprache?", "Deutsch."),
    ("Tell me about this country: Peru.", "The country or territory is called Peru. Official language: Spanish."),
]


@pytest.fixture(scope="module")
def scorer() -> TypicalityScorer:
    return TypicalityScorer(model="croco-nano", dtype="float32", head={"typicality": 2.0, "end": 0.5})


def _rated(prompt: str, answer: str) -> Rated:
    return Rated(
        Prompt("p/en", "p", "en", prompt, None, "{}"),
        Candidate("p/en", "p", "en", 0, answer, None, "generation", "policy"),
    )


def test_statistics_are_those_of_the_definitions_and_the_reward_their_weighted_sum(scorer: TypicalityScorer):
    path = find_model("croco-nano").path
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32),
        AutoTokenizer.from_pretrained(path),
    )
    found = scorer.statistics(ROWS)
    rewards = [x for batch in scorer.score([_rated(*x) for x in ROWS]) for x, _ in batch]
    for (prompt, answer), value, reward in zip(ROWS, found, rewards, strict=True):
        head = tokenizer(f"<|user|>{prompt}<|end|><|assistant|>", add_special_tokens=False)["input_ids"]
        ids = head + tokenizer(answer, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logs = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        each = [
            float(logs[i - 1, ids[i]] - (logs[i - 1].exp() * logs[i - 1]).sum()) for i in range(len(head), len(ids))
        ]
        expected = (sum(each) / len(each), float(logs[-1, tokenizer.eos_token_id]))
        assert value == pytest.approx(expected, abs=1e-3)
        assert reward == pytest.approx(2.0 * expected[0] + 0.5 * expected[1], abs=1e-2)


def test_empty_and_too_long_answers_are_unscored_and_rows_done_are_skipped(scorer: TypicalityScorer):
    rows = [_rated("Hi", ""), _rated("Hi", "word " * 2000), _rated("Hi", "Hello.")]
    (found,) = scorer.score(rows)
    assert [x[0] is None for x in found] == [True, True, False]
    assert found[0][1] == "empty answer"
    assert found[1][1] == "longer than the model's window"
    (rest,) = scorer.score(rows, done=2)
    assert rest[0][0] == pytest.approx(found[2][0], abs=1e-4)


def test_a_head_fitted_on_english_ranks_partial_answers_below_good_ones_in_other_languages(scorer: TypicalityScorer):
    margins = {}
    for language, split in (("en", "tuning"), ("de", "evaluation"), ("gl", "evaluation")):
        pairs = list(LocaleCorpus().preferences(language, 7, split=split, flaws=("partial",)))[::6][:24]
        values = scorer.statistics([(x.prompt, y) for x in pairs for y in (x.chosen, x.rejected)])
        margins[language] = np.array(values)
    head = fit_head(margins["en"][::2], margins["en"][1::2])
    for language in ("de", "gl"):
        rewards = margins[language] @ np.array([head.typicality, head.end])
        assert (rewards[::2] > rewards[1::2]).mean() > 0.7, language


def test_a_statistic_that_preferences_agree_with_gets_a_positive_weight():
    rng = np.random.default_rng(0)
    chosen, rejected = rng.normal(size=(50, 2)) + np.array([1.0, 0.0]), rng.normal(size=(50, 2))
    head = fit_head(chosen, rejected)
    assert head.typicality > abs(head.end)


def test_identity_changes_with_the_head_and_options_are_checked(scorer: TypicalityScorer):
    other = TypicalityScorer(model="croco-nano", dtype="float32", head={"typicality": 2.0, "end": 0.6})
    assert other.identity != scorer.identity
    with pytest.raises(UserError, match="head"):
        TypicalityScorer(model="croco-nano")
