"""Stop strings with vLLM: what it is told, and what is made of what it says."""

from __future__ import annotations

from typing import Any

import pytest
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import GenerationRequest, Response
from croco_eval.harness.backends.vllm_generate import VllmBackend
from helpers.stub_vllm import StubLLM, install
from helpers.tokenizers import END, make_tokenizer

TOKENIZER = make_tokenizer("bytes")


def answer(monkeypatch: pytest.MonkeyPatch, text: str, stop: tuple[str, ...]) -> tuple[Response, StubLLM]:
    """The answer of a model that wants to say a text, in a vLLM that ends it at the first stop string anywhere."""

    def say(ids: list[int], settings: Any) -> tuple[list[int], str, Any]:
        said = TOKENIZER.encode(text, add_special_tokens=False)
        for n in range(1, len(said) + 1):
            found = [x for x in settings.stop or () if x in TOKENIZER.decode(said[:n])]
            if found:
                return said[:n], "stop", found[0]
        return [*said, TOKENIZER.eos_token_id], "stop", None

    stub = install(monkeypatch, TOKENIZER, say)
    engine = VllmBackend(ModelSpec("m"), log=print).engine(None)
    ((_, found),) = next(engine.generate([GenerationRequest("x", 0, "Hi", 90, stop=stop, seed=3)], frozenset()))
    return found, stub


@pytest.mark.parametrize(
    ("text", "stop", "kept", "calls"),
    [
        ("Oslo.\nBergen", ("\n",), "Oslo.", 1),
        ("Oslo", ("\n",), "Oslo", 1),
        (f"Oslo{END}Bergen", (END,), "Oslo", 1),
        ("<think>a\nb</think>\nOslo\nBergen", ("\n",), "<think>a\nb</think>\nOslo", 2),
        ("Oslo\nBergen", (), "Oslo\nBergen", 1),
    ],
)
def test_answers_end_at_stop_strings_after_the_reasoning(
    monkeypatch: pytest.MonkeyPatch, text: str, stop: tuple[str, ...], kept: str, calls: int
):
    found, stub = answer(monkeypatch, text, stop)
    assert (found.text, found.finish_reason) == (kept, "stop")
    assert len(stub.seen) == calls
    assert [x.stop for x in stub.settings] == [list(stop) or None, None][:calls]
    assert len({(x.seed, x.max_tokens) for x in stub.settings}) == 1
