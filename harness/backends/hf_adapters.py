"""Attaching adapters through PEFT: beside others on one base, or alone on a copy of it."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from ..api.backend import ModelSpec
from ..errors import ModelError, first_line
from .adapters import Adapter
from .hf_load import load_model

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")


def attach(model: Any, adapter: Adapter, name: str, base: str) -> Any:
    """The model, wrapped by PEFT if it wasn't, with one more adapter, whose weights are all in place.

    Raises ModelError, which names this adapter, if it does not fit.
    """
    from peft import PeftModel

    folder, device = str(adapter.folder), str(model.device)
    misfit = f"adapter {folder!r} does not fit the base {base!r}:"
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            if not isinstance(model, PeftModel):
                model = PeftModel.from_pretrained(model, folder, adapter_name=name, torch_device=device)
            missing = [str(x.message) for x in told if "missing adapter keys" in str(x.message)]
            surplus: list[str] = []
            if adapter.kind == "LORA":  # for the first one again: only this tells which weights found no place
                renamed = getattr(model.get_base_model(), "_checkpoint_conversion_mapping", {})
                loaded = model.load_adapter(folder, name, torch_device=device, key_mapping=renamed)
                missing, surplus = missing + loaded.missing_keys, loaded.unexpected_keys
    except Exception as error:  # peft and torch raise many kinds; each means that this adapter does not fit
        raise ModelError(f"{misfit} {first_line(error)}.") from error
    if surplus:
        raise ModelError(f"{misfit} it holds weights for what the base hasn't ({surplus[0][:200]}).")
    if missing:
        raise ModelError(f"{misfit} it has no weights for some of what it changes ({missing[0][:200]}).")
    return model.requires_grad_(False).eval()


def on_own_copy(spec: ModelSpec, adapter: Adapter, name: str) -> Any:
    """A base of its own, with the adapter. Raises ModelError, which says why a copy is needed if there is no room."""
    try:
        model, _ = load_model(spec)
    except ModelError as error:
        needs = f"adapter {str(adapter.folder)!r} needs a copy of the base for itself ({adapter.why})"
        raise ModelError(f"{needs}, and {error}") from error
    return attach(model, adapter, name, spec.path)


def tokenizer_of(adapter: Adapter, base: Any, rows: int) -> tuple[Any, list[str]]:
    """The tokenizer that an adapter's folder brings, or the base's if it brings none or the same one; and what differs
    from the base's, in words. ``rows``: tokens that the model has embeddings for.

    Raises ModelError for a tokenizer that can't be loaded or that gives tokens which the model hasn't.
    """
    folder = adapter.folder
    if any((folder / x).exists() for x in _TOKENIZER_FILES):
        try:
            own: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        except Exception as error:  # transformers raises many kinds
            raise ModelError(f"adapter {str(folder)!r}: its tokenizer can't be loaded: {first_line(error)}.") from error
        own.chat_template = own.chat_template or base.chat_template
    elif any((folder / x).exists() for x in _TEMPLATE_FILES):
        own = copy.deepcopy(base)
        own.chat_template = _read_template(folder)
    else:
        return base, []
    differences = _differences(own, base)
    if not differences:
        return base, []
    beyond = [x for x, i in own.get_vocab().items() if i >= rows and x != own.pad_token]
    if beyond:
        raise ModelError(
            f"adapter {str(folder)!r}: its tokenizer has tokens that the model has no embeddings for ({beyond[0]!r}); "
            "remove its files, or merge the adapter into a base that was resized for it."
        )
    if own.pad_token_id is None or own.pad_token_id >= rows:
        own.pad_token = base.pad_token if base.pad_token in own.get_vocab() else own.eos_token
    return own, differences


def check_ends(adapter: Adapter, ends_of_base: int | list[int] | None, tokenizer: Any) -> None:
    """Refuses an adapter whose ``generation_config.json`` ends answers at other tokens than the base and the tokenizer
    do: they are what ends an answer here. Nothing else in that file has an effect. Raises ModelError."""
    file = adapter.folder / "generation_config.json"
    if not file.exists():
        return
    try:
        ends = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"adapter {str(adapter.folder)!r}: generation_config.json can't be read: {error}.") from error
    known = {*_listed(ends_of_base), tokenizer.eos_token_id} - {None}
    if not {*_listed(ends)} <= known:
        raise ModelError(
            f"adapter {str(adapter.folder)!r} ends answers at other tokens (eos_token_id {ends} in its "
            f"generation_config.json) than its base and tokenizer ({sorted(known)}), which is not supported: remove "
            "the file, or merge the adapter into its base."
        )


def _listed(ends: int | list[int] | None) -> list[int]:
    return ends if isinstance(ends, list) else [] if ends is None else [ends]


def _differences(own: Any, base: Any) -> list[str]:
    found = ["chat template"] if own.chat_template != base.chat_template else []
    ends = [(x.bos_token, x.eos_token) for x in (own, base)]
    return [*found, "tokenizer"] if _rules(own) != _rules(base) or ends[0] != ends[1] else found


def _rules(tokenizer: Any) -> Any:
    """All that decides how text becomes tokens; padding and cutting, which trainers leave behind, do not."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer.init_kwargs.get("add_bos_token")
    rules = json.loads(backend.to_str())
    return {k: v for k, v in rules.items() if k not in ("padding", "truncation")}


def _read_template(folder: Path) -> str:
    for name in _TEMPLATE_FILES:
        if (folder / name).exists():
            try:
                text = (folder / name).read_text(encoding="utf-8")
                return text if name.endswith(".jinja") else json.loads(text)["chat_template"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ModelError(f"adapter {str(folder)!r}: {name} can't be read: {error}.") from error
    raise ValueError(f"{folder} has no chat template")
