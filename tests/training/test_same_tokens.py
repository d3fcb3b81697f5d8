"""One conversation, in every place that shows it to a model: the same tokens, and none of them special by its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import GenerationRequest, LikelihoodRequest
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.backends.hf_rewards import HfRewardModel
from croco_eval.harness.backends.vllm_generate import VllmBackend
from croco_eval.harness.backends.vllm_rewards import VllmRewardModel
from croco_eval.harness.calls.ledger import Ledger
from croco_eval.harness.calls.messages import ChatRequest
from croco_eval.harness.calls.offline import VllmEngine
from croco_eval.harness.models.sources import find_model
from croco_eval.harness.text.encoding import encode, render
from croco_eval.training.scorers.likelihood import CausalModel, CausalOptions
from croco_eval.training.scorers.typicality import TypicalityScorer
from croco_eval.training.trainers.drift import _encode as drift_tokens
from helpers.stub_vllm import install
from helpers.tokenizers import ADDS, KINDS, TEMPLATE, make_tokenizer, special_strings
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

TEMPLATES = {"with BOS": "{{ bos_token }}" + TEMPLATE, "without BOS": TEMPLATE}
PLAIN = [("Tell me about Oslo", "It is a city."), ("Why ", " Because")]


@pytest.fixture(params=[(k, a, t) for k, a in zip(KINDS, [*ADDS, *ADDS], strict=False) for t in TEMPLATES])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A causal model, and in ``reward`` a reward model, with a tokenizer of some kind."""
    kind, adds, template = request.param
    tokenizer = make_tokenizer(kind, adds, TEMPLATES[template])
    size = {"hidden_size": 32, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    named = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(0)
    config = {"vocab_size": len(tokenizer), "max_position_embeddings": 512, **size, **named}
    LlamaForCausalLM(LlamaConfig(**config)).save_pretrained(tmp_path)
    LlamaForSequenceClassification(LlamaConfig(num_labels=1, **config)).save_pretrained(tmp_path / "reward")
    tokenizer.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path / "reward")
    return tmp_path


class Seen:
    """The ids that a model is shown, one row at a time, one after the other."""

    def __init__(self, model: Any) -> None:
        self._ids: list[int] = []
        model.get_input_embeddings().register_forward_pre_hook(lambda _, args: self._ids.extend(args[0][0].tolist()))

    def take(self) -> list[int]:
        taken, self._ids = self._ids[:], []
        return taken


def asked(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def talk(prompt: str, answer: str) -> list[dict[str, str]]:
    return [*asked(prompt), {"role": "assistant", "content": answer}]


def by_transformers(tokenizer: Any, messages: list[dict[str, str]], ask: bool) -> list[int]:
    return tokenizer.apply_chat_template(messages, add_generation_prompt=ask, tokenize=True, return_dict=False)


def conversations(tokenizer: Any) -> list[tuple[str, str]]:
    return [*PLAIN, *((f"a {x} b", f"{x}c{x}") for x in special_strings(tokenizer))]


def test_every_path_of_transformers_reads_the_same_tokens(folder: Path):
    backend = HfBackend(ModelSpec(str(folder)), log=print)
    tokenizer, engine = backend.tokenizer, backend.engine(None)
    reward = HfRewardModel(ModelSpec(str(folder / "reward")))
    options = {"model": str(folder), "batch_tokens": 8192}
    causal = CausalModel(find_model(str(folder)), CausalOptions(model=str(folder)))
    typicality = TypicalityScorer(**options, head={"typicality": 1.0, "end": 1.0})
    with causal.active() as scored, typicality._model.active() as typical, backend.active(None) as model:
        seen, scoring, feeling = Seen(model), Seen(scored), Seen(typical)
    causal.likelihoods([("a", " b")])  # a model is tried out before its first answer
    typicality.statistics([("a", " b")])
    scoring.take()
    feeling.take()
    rewarding = Seen(reward._model)
    for i, (prompt, answer) in enumerate(conversations(tokenizer)):
        question, whole = render(tokenizer, asked(prompt)), render(tokenizer, talk(prompt, answer), ask=False)
        head, ids = encode(tokenizer, question), encode(tokenizer, whole)
        if i < len(PLAIN):
            assert head == by_transformers(tokenizer, asked(prompt), True)
            assert ids == by_transformers(tokenizer, talk(prompt, answer), False)
        list(engine.generate([GenerationRequest("x", 0, engine.chat(asked(prompt)), 1)], frozenset()))
        assert seen.take() == head
        chat = engine.chat(asked(prompt))
        list(engine.loglikelihoods([LikelihoodRequest("x", 0, chat, answer)], frozenset()))
        said = encode(tokenizer, chat + answer)
        assert seen.take() == said[:-1]
        reward.rewards([talk(prompt, answer)])
        assert rewarding.take() == ids
        turn = causal.turn(prompt, answer, ended=True)
        assert turn is not None
        causal.likelihoods([turn])
        assert scoring.take() == ids[:-1]
        typicality.statistics([(prompt, answer)])
        assert feeling.take() == said
        assert drift_tokens(tokenizer, prompt, answer) == (ids, len(head))


def test_every_path_of_vllm_is_given_the_same_tokens(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = HfBackend(ModelSpec(str(folder)), log=print)
    stub = install(monkeypatch, made.tokenizer)
    engine = VllmBackend(ModelSpec(str(folder)), log=print).engine(None)
    reward = VllmRewardModel(ModelSpec(str(folder / "reward")), {})
    ledger = Ledger(tmp_path / "ledger.jsonl", "judge", None, None)
    judge = VllmEngine("m", {}, ledger, lambda key, reply: None)
    for prompt, answer in conversations(made.tokenizer):
        chat = render(made.tokenizer, asked(prompt))
        list(engine.generate([GenerationRequest("x", 0, engine.chat(asked(prompt)), 1)], frozenset()))
        list(engine.loglikelihoods([LikelihoodRequest("x", 0, chat, answer)], frozenset()))
        reward.rewards([talk(prompt, answer)])
        judge.submit([ChatRequest("m", (("user", prompt),))])
        judge.gather()
        head = encode(made.tokenizer, chat)
        whole = encode(made.tokenizer, render(made.tokenizer, talk(prompt, answer), ask=False))
        assert list(map(list, stub.seen)) == [head, encode(made.tokenizer, chat + answer), whole, head]
        stub.seen.clear()
