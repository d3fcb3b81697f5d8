"""Backend `vllm`, where it is installed: the same answers and likelihoods as transformers gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm")

from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import GenerationRequest, LikelihoodRequest, Response
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.backends.vllm_generate import VllmBackend
from croco_eval.harness.errors import ModelError

ENGINE = {"enforce_eager": True, "max_model_len": 512}
PAIRS = [
    ("The currency of Denmark:", " Danish Krone"),
    ("The currency of Denmark: ", "Euro"),
    ("Die Woche beginnt mit", " Montag"),
    ("", "Euro"),
    ("   ", "Euro"),
    ("word " * 700, "the context loses its beginning"),
]
QUESTIONS = ("Tell me about Denmark.", "Fortæl mig om Danmark.", "Name a currency.")


def answers(chunks: Any) -> list[Response]:
    found = dict(x for chunk in chunks for x in chunk)
    return [found[i] for i in range(len(found))]


@pytest.fixture(scope="module")
def backend(nano: Path, nano_sft: Path) -> Iterator[VllmBackend]:
    made = VllmBackend(ModelSpec(str(nano), dtype="float32", adapters=(nano_sft,), options=ENGINE), log=print)
    yield made
    made.close()


@pytest.fixture(scope="module")
def here(nano: Path) -> HfBackend:
    return HfBackend(ModelSpec(str(nano)), log=print)


@pytest.fixture(params=["base", "adapter"])
def engines(request: pytest.FixtureRequest, backend: VllmBackend, here: HfBackend, nano_sft: Path) -> tuple[Any, Any]:
    adapter = nano_sft if request.param == "adapter" else None
    return backend.engine(adapter), here.engine(adapter)


def test_loglikelihoods_are_those_of_transformers(engines: tuple[Any, Any]):
    requests = [LikelihoodRequest(str(i), 0, *x) for i, x in enumerate(PAIRS)]
    found, expected = (answers(x.loglikelihoods(requests, frozenset())) for x in engines)
    assert [x.logprob for x in found[:-1]] == pytest.approx([x.logprob for x in expected[:-1]], abs=1e-3)
    assert [(x.is_greedy, x.n_tokens) for x in found] == [(x.is_greedy, x.n_tokens) for x in expected]


def test_greedy_answers_are_those_of_transformers(engines: tuple[Any, Any]):
    ours, theirs = engines
    prompts = [ours.chat([{"role": "user", "content": x}]) for x in QUESTIONS]
    assert prompts == [theirs.chat([{"role": "user", "content": x}]) for x in QUESTIONS]
    settings = [{"max_new_tokens": 24}, {"max_new_tokens": 24, "stop": (" is",)}, {"max_new_tokens": 3}]
    requests = [GenerationRequest("x", i, p, **s) for p in prompts for i, s in enumerate(settings)]
    found, expected = (answers(x.generate(requests, frozenset())) for x in engines)
    assert [(x.text, x.finish_reason) for x in found] == [(x.text, x.finish_reason) for x in expected]


def test_a_sample_depends_on_its_seed_and_not_on_the_others(backend: VllmBackend):
    engine = backend.engine(None)
    prompt = engine.chat([{"role": "user", "content": QUESTIONS[0]}])
    requests = [GenerationRequest("x", i, prompt, 20, temperature=1.0, seed=2**62 + i) for i in range(8)]
    together = [x.text for x in answers(engine.generate(requests, frozenset()))]
    assert [x.text for x in answers(engine.generate(requests[5:], frozenset()))] == together[5:]
    assert len(set(together)) > 4


def test_answered_requests_are_not_computed_again(backend: VllmBackend):
    requests = [GenerationRequest("x", i, "Monday", 4) for i in range(3)]
    assert list(backend.engine(None).generate(requests, frozenset(range(3)))) == []


def test_what_does_not_fit_is_refused_in_a_sentence(backend: VllmBackend, nano: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="max_new_tokens=512 does not fit the model's window of 512 tokens"):
        list(backend.engine(None).generate([GenerationRequest("x", 0, "Monday", 512)], frozenset()))
    with pytest.raises(ModelError, match=r"adapter .* can't be read"):
        VllmBackend(ModelSpec(str(nano), adapters=(tmp_path,)), log=print)
