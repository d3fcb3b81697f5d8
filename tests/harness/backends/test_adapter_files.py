"""Files in an adapter's own folder: a chat template, a tokenizer, generation settings are used or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import LikelihoodRequest
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.errors import ModelError
from transformers import AutoTokenizer

MESSAGES = [{"role": "user", "content": "Hello"}]
MARK = "<|system|>You answer in one word.<|end|>"


@pytest.fixture
def adapter(tmp_path: Path, nano_sft: Path) -> Path:
    return Path(shutil.copytree(nano_sft, tmp_path / "tuned"))


def loaded(nano: Path, adapter: Path) -> tuple[HfBackend, list[str]]:
    told: list[str] = []
    return HfBackend(ModelSpec(str(nano), adapters=(adapter,)), log=told.append), told


def bring_tokenizer(nano: Path, adapter: Path, **changes) -> None:
    tokenizer = AutoTokenizer.from_pretrained(nano, **changes)
    tokenizer.save_pretrained(adapter)


@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_an_adapters_own_chat_template_is_used_for_it_and_told(
    with_tokenizer: bool, nano: Path, adapter: Path, nano_sft: Path
):
    if with_tokenizer:
        bring_tokenizer(nano, adapter)
    template = (nano / "chat_template.jinja").read_text()
    (adapter / "chat_template.jinja").write_text(f"{{{{ '{MARK}' }}}}{template}")
    backend, told = loaded(nano, adapter)
    plain = backend.engine(None).chat(MESSAGES)
    assert backend.engine(adapter).chat(MESSAGES).readable == MARK + plain.readable
    assert backend.engine(nano_sft).chat(MESSAGES) == plain == backend.engine(None).chat(MESSAGES)
    assert told == [f"adapter {str(adapter)!r} brings its own chat template, used for it."]


def test_the_bases_own_files_beside_an_adapter_change_nothing(nano: Path, adapter: Path):
    """As trainers leave them, with their padding and cutting."""
    tokenizer = AutoTokenizer.from_pretrained(nano)
    tokenizer(["a", "b c"], padding=True, truncation=True, max_length=8)
    tokenizer.save_pretrained(adapter)
    shutil.copy(nano / "generation_config.json", adapter)
    assert json.loads((adapter / "tokenizer.json").read_text())["truncation"]
    backend, told = loaded(nano, adapter)
    assert backend.tokenizer_of(adapter) is backend.tokenizer
    assert told == []


def test_an_adapters_own_tokenizer_is_used_for_it(nano: Path, adapter: Path, nano_sft: Path):
    bring_tokenizer(nano, adapter)
    file = adapter / "tokenizer.json"
    rules = json.loads(file.read_text())
    rules["normalizer"] = {"type": "Lowercase"}
    file.write_text(json.dumps(rules))
    backend, told = loaded(nano, adapter)
    asked = [LikelihoodRequest("x", i, "IN DENMARK", x) for i, x in enumerate((" THE CURRENCY", " the currency"))]
    found = {}
    for path in (adapter, nano_sft):
        answers = dict(x for c in backend.engine(path).loglikelihoods(asked, frozenset()) for x in c)
        found[path] = [answers[i].logprob for i in range(2)]
    assert found[adapter][0] == found[adapter][1]
    assert found[nano_sft][0] != found[nano_sft][1]
    assert told == [f"adapter {str(adapter)!r} brings its own tokenizer, used for it."]


def test_a_tokenizer_with_tokens_that_the_model_has_not_is_refused(nano: Path, adapter: Path):
    tokenizer = AutoTokenizer.from_pretrained(nano)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(adapter)
    backend, _ = loaded(nano, adapter)
    with pytest.raises(ModelError, match=r"tuned': its tokenizer has tokens that the model has no embeddings for"):
        backend.engine(adapter)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("tokenizer.json", "{", "its tokenizer can't be loaded"),
        ("chat_template.json", "{", "chat_template.json can't be read"),
        ("generation_config.json", "[]", "generation_config.json can't be read"),
        ("generation_config.json", '{"eos_token_id": [3, 7]}', r"ends answers at other tokens \(eos_token_id \[3, 7\]"),
    ],
)
def test_files_that_can_not_be_used_are_refused_in_a_sentence(
    file: str, text: str, message: str, nano: Path, adapter: Path
):
    (adapter / file).write_text(text)
    backend, _ = loaded(nano, adapter)
    with pytest.raises(ModelError, match=message):
        backend.engine(adapter)


def test_a_run_says_that_an_adapter_brings_its_own_template(cli, write_config, nano: Path, adapter: Path):
    template = (nano / "chat_template.jinja").read_text()
    (adapter / "chat_template.jinja").write_text(f"{{{{ '{MARK}' }}}}{template}")
    systems = [{"name": "base", "model": "croco-nano"}, {"name": "t", "model": "croco-nano", "adapter": str(adapter)}]
    write_config(systems=systems, languages=["en"], suites=[{"name": "locale-open", "limit": 1}], judges=[])
    done = cli("run", "config.yaml")
    assert done.returncode == 0, done.stderr
    assert "brings its own chat template" in done.stdout + done.stderr
