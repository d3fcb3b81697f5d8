"""Every kind of adapter that PEFT can save: shared without a trace, on a copy of the base, or refused in a sentence."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import peft
import pytest
import torch
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import LikelihoodRequest
from croco_eval.harness.backends import adapters
from croco_eval.harness.backends.adapters import KINDS, read_adapter
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.errors import ModelError
from croco_eval.harness.models.sources import ModelSource, check_adapter
from helpers.adapters import OWN, REFUSED, SHARED, config_of, name_base, save_adapter, save_base
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = [("The currency of Denmark is", " the Danish krone"), ("Die Woche beginnt mit", " Montag"), ("A", " B")]
KINDS_WITH_A_COPY = [x for x, (handling, _) in KINDS.items() if handling == "own copy"]
KINDS_REFUSED = [x for x, (handling, _) in KINDS.items() if handling == "refused"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, nano: Path) -> Path:
    return save_base(tmp_path_factory.mktemp("bases") / "tiny", nano)


@pytest.fixture(scope="module")
def plain(base: Path) -> Path:
    return save_adapter(base.parent / "plain", base)


@pytest.fixture(scope="module")
def alone(base: Path, plain: Path) -> dict[Path | None, list[float]]:
    """Answers of the base that no adapter was ever near, and of the plain adapter alone."""
    return {None: answers(base, [None])[None], plain: answers(base, [plain])[plain]}


def answers(base: Path, order: Sequence[Path | None], announced: Sequence[Path] = ()) -> dict[Path | None, list[float]]:
    """Log-likelihoods by each system, asked in this order; a system may be asked twice and must say the same."""
    backend = HfBackend(ModelSpec(str(base), adapters=tuple(announced)), log=lambda message: None)
    found: dict[Path | None, list[float]] = {}
    for adapter in order:
        values = likelihoods(backend.engine(adapter))
        assert found.setdefault(adapter, values) == values, adapter
    backend.close()
    return found


def likelihoods(engine) -> list[float]:
    requests = [LikelihoodRequest(str(i), 0, *x) for i, x in enumerate(TEXTS)]
    by_place = dict(x for chunk in engine.loglikelihoods(requests, frozenset()) for x in chunk)
    return [by_place[i].logprob for i in range(len(TEXTS))]


def by_peft(base: Path, adapter: Path) -> list[float]:
    """The same from PEFT's own loading of the adapter on a fresh base, text by text."""
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter))
    tokenizer = AutoTokenizer.from_pretrained(base)
    model.eval()
    found = []
    for context, continuation in TEXTS:
        ids = tokenizer.encode(context + continuation, return_tensors="pt")
        n = len(tokenizer.encode(context))
        with torch.inference_mode():
            logprobs = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        found.append(float(logprobs[range(n - 1, ids.shape[1] - 1), ids[0, n:]].sum()))
    return found


def test_every_kind_and_every_setting_of_lora_that_peft_can_save_is_in_a_table():
    assert set(KINDS) == {x.value for x in peft.PeftType}
    known = adapters._PLAIN_SETTINGS | set(adapters._LORA_SETTINGS)
    assert known == {x.name for x in dataclasses.fields(LoraConfig)}


def test_an_adapter_is_read_without_peft_and_torch(base: Path, plain: Path):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from croco_eval.harness.backends.adapters import read_adapter; "
        f"assert read_adapter(Path({str(plain)!r})).handling == 'shared'; "
        "assert not {'torch', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_adapter_leaves_no_trace_in_the_base_and_in_others_to_the_bit(
    name: str, base: Path, plain: Path, alone, tmp_path: Path
):
    adapter = save_adapter(tmp_path / "other", base, **SHARED[name])
    assert read_adapter(adapter).handling == "shared"
    own = answers(base, [adapter])[adapter]
    assert own == pytest.approx(by_peft(base, adapter), abs=1e-4)
    assert own != pytest.approx(alone[None], abs=1e-3)
    for order, announced in (([None, plain, adapter], []), ([adapter, None, plain], [plain, adapter])):
        found = answers(base, [*order, *order], announced)
        assert found == {None: alone[None], plain: alone[plain], adapter: own}, (order, announced)


def test_no_order_of_systems_changes_a_bit(base: Path, plain: Path, alone, tmp_path: Path):
    dora = save_adapter(tmp_path / "dora", base, **SHARED["dora"])
    expected = {**alone, dora: answers(base, [dora])[dora]}
    for order in itertools.permutations([None, plain, dora]):
        announced = [x for x in order if x]
        assert answers(base, [*order, *order]) == expected
        assert answers(base, order, announced) == answers(base, order, announced[::-1]) == expected


@pytest.mark.parametrize("name", [*OWN, *KINDS_WITH_A_COPY])
def test_an_adapter_that_changes_its_base_has_a_copy_for_itself(
    name: str, base: Path, plain: Path, alone, tmp_path: Path
):
    lora = name in OWN
    adapter = save_adapter(tmp_path / "other", base, "LORA" if lora else name, **OWN.get(name, {}))
    assert read_adapter(adapter).handling == "own copy"
    own = answers(base, [adapter])[adapter]
    assert own == pytest.approx(by_peft(base, adapter), abs=1e-4)
    found = answers(base, [None, adapter, None, plain, adapter], [adapter, plain])
    assert found == {None: alone[None], plain: alone[plain], adapter: own}


def test_all_kinds_beside_one_another_answer_as_each_does_alone(base: Path, plain: Path, alone, tmp_path: Path):
    made = {x: save_adapter(tmp_path / x, base, **(SHARED | OWN)[x]) for x in ("dora", "pissa", "tokens", "embeddings")}
    made["ia3"] = save_adapter(tmp_path / "ia3", base, "IA3")
    expected = {**alone, **{x: answers(base, [x])[x] for x in made.values()}}
    order = [*made.values(), None, plain]
    assert answers(base, [*order, *reversed(order)], order[:-2]) == expected
    assert answers(base, [*reversed(order), *order], [plain, *made.values()]) == expected


def test_biases_of_a_base_that_has_them_stay_as_they_are(tmp_path: Path, nano: Path):
    base = save_base(tmp_path / "tiny", nano, attention_bias=True)
    adapter = save_adapter(tmp_path / "biases", base, bias="all")
    before = answers(base, [None])[None]
    assert answers(base, [adapter, None])[None] == before


def test_a_file_that_holds_more_than_its_config_says_has_a_copy(base: Path, plain: Path, alone, tmp_path: Path):
    """PEFT saves embeddings with a LoRA adapter after the vocabulary was resized, and reads them into the base."""
    adapter = tmp_path / "more"
    shutil.copytree(plain, adapter)
    weights = load_file(adapter / "adapter_model.safetensors")
    embeddings = AutoModelForCausalLM.from_pretrained(base).get_input_embeddings().weight.detach()
    key = "base_model.model.model.embed_tokens.weight"
    save_file({**weights, key: embeddings + 1}, adapter / "adapter_model.safetensors")
    assert read_adapter(adapter).handling == "own copy"
    assert answers(base, [adapter, None, plain]) == {**answers(base, [adapter]), **alone}


def test_pickled_weights_have_a_copy(base: Path, plain: Path, alone, tmp_path: Path):
    shutil.copytree(plain, tmp_path / "pickled")
    torch.save(load_file(plain / "adapter_model.safetensors"), tmp_path / "pickled" / "adapter_model.bin")
    (tmp_path / "pickled" / "adapter_model.safetensors").unlink()
    found = answers(base, [tmp_path / "pickled", None])
    assert found == {tmp_path / "pickled": alone[plain], None: alone[None]}


def written(folder: Path, settings: dict) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(settings, default=lambda x: vars(x) if vars(x) else list(x)))
    save_file({"x": torch.zeros(1)}, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("name", [*REFUSED, *KINDS_REFUSED])
def test_what_can_be_neither_shared_nor_copied_is_refused_before_anything_is_loaded(name: str, tmp_path: Path):
    if name in REFUSED:
        settings = {**LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM").to_dict(), **REFUSED[name]}
    else:
        settings = {"peft_type": name, "task_type": "CAUSAL_LM"}
    folder = written(tmp_path / "odd", settings)
    adapter, base = (ModelSource(x, str(folder), "0") for x in ("my adapter", "tiny"))
    with pytest.raises(ModelError, match=r"adapter 'my adapter' \(.*\) can't be used here: it .*; merge it"):
        check_adapter(adapter, base, allow_mismatch=True)
    with pytest.raises(ModelError, match="can't be used here"):
        HfBackend(ModelSpec("not even there", adapters=(folder,)), log=print)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "NEWER"}, "PEFT here knows no kind 'NEWER'"),
        ({"newer_setting": 3}, "PEFT here doesn't know its setting newer_setting"),
        ({"init_lora_weights": "newer"}, "PEFT here knows no init_lora_weights 'newer'"),
        ({"init_lora_weights": 3}, "PEFT here knows no init_lora_weights 3"),
    ],
)
def test_what_a_newer_peft_saved_is_refused_unless_it_is_not_set(changes, message: str, plain: Path, tmp_path: Path):
    shutil.copytree(plain, tmp_path / "newer")
    name_base(tmp_path / "newer", "tiny", another_setting=None, a_third=False)
    assert read_adapter(tmp_path / "newer").handling == "shared"
    name_base(tmp_path / "newer", "tiny", **changes)
    with pytest.raises(ModelError, match=message):
        read_adapter(tmp_path / "newer").require_usable("newer")


@pytest.mark.parametrize("name", ["dora", "own bias", "ranks", *OWN, "IA3"])
def test_vllm_is_given_plain_lora_only(name: str, base: Path, plain: Path, tmp_path: Path):
    read_adapter(plain).require_usable("plain", "vllm")
    kind = "LORA" if name in SHARED | OWN else name
    adapter = read_adapter(save_adapter(tmp_path / "other", base, kind, **(SHARED | OWN).get(name, {})))
    with pytest.raises(ModelError, match=r"adapter 'x' \(.*\) is not for vLLM: it takes plain LoRA.*; use backend hf"):
        adapter.require_usable("x", "vllm")


@pytest.mark.parametrize("damage", ["no config", "no kind", "no json", "no weights", "cut", "no header"])
def test_a_damaged_adapter_is_told_by_its_name(damage: str, plain: Path, tmp_path: Path):
    folder = tmp_path / "broken"
    shutil.copytree(plain, folder)
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    match damage:
        case "no config":
            config.unlink()
        case "no kind":
            config.write_text("{}")
        case "no json":
            config.write_text("{" * 5000)
        case "no weights":
            weights.unlink()
        case "cut":
            weights.write_bytes(weights.read_bytes()[:100])
        case "no header":
            weights.write_bytes(b"abc")
    with pytest.raises(ModelError, match="adapter 'my own' can't be read: "):
        read_adapter(folder, "my own")


@pytest.mark.parametrize("change", ["surplus", "missing", "shape"])
@pytest.mark.parametrize("first", ["good", "bad"])
def test_an_adapter_that_does_not_fit_is_blamed_and_no_other(
    change: str, first: str, base: Path, plain: Path, tmp_path: Path
):
    folder = tmp_path / "bad"
    shutil.copytree(plain, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    key = next(x for x in weights if "layers.2" in x and x.endswith("lora_A.weight"))
    value = weights.pop(key)
    if change == "surplus":
        weights |= {key: value, key.replace("layers.2", "layers.7"): value.clone()}
    elif change == "shape":
        weights[key] = value[:, :-4].contiguous()
    save_file(weights, folder / "adapter_model.safetensors")
    announced = (plain, folder) if first == "good" else (folder, plain)
    with pytest.raises(ModelError, match=r"adapter '.*/bad' does not fit the base"):
        HfBackend(ModelSpec(str(base), adapters=announced), log=print)


def test_copies_are_loaded_when_first_wanted_and_freed_with_the_base(base: Path, plain: Path, tmp_path: Path):
    adapter = save_adapter(tmp_path / "pissa", base, init_lora_weights="pissa")
    backend = HfBackend(ModelSpec(str(base), adapters=(plain, adapter)), log=print)
    assert backend._copies == {}
    first, second = backend.engine(adapter), backend.engine(adapter)
    assert likelihoods(first) == likelihoods(second)
    assert len(backend._copies) == 1
    backend.close()
    assert backend._copies == {}


def test_no_room_for_a_copy_says_which_adapter_needs_it(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from croco_eval.harness.backends import hf_adapters

    adapter = save_adapter(tmp_path / "pissa", base, init_lora_weights="pissa")
    backend = HfBackend(ModelSpec(str(base), adapters=(adapter,)), log=print)

    def no_room(spec: ModelSpec) -> None:
        raise ModelError("model 'tiny' can't be loaded: out of memory.")

    monkeypatch.setattr(hf_adapters, "load_model", no_room)
    with pytest.raises(ModelError, match=r"pissa' needs a copy of the base for itself \(.*\), and model"):
        backend.engine(adapter)


def test_config_of_makes_every_kind_that_has_a_copy():
    assert {config_of(x).peft_type for x in KINDS_WITH_A_COPY} == set(KINDS_WITH_A_COPY)
