"""Kinds of adapters: which of them can share a base in memory with others, which need a base of their own, and which
are refused.

All that PEFT 0.21 can save is in one of the tables below. What is said of a kind is what its files say: this loads
neither torch nor PEFT. An adapter is ``shared`` only if nothing of the base but its answers passes through it, so that
switched off it leaves the base's answers as they were, to the bit; an ``own copy`` of the base gives what PEFT gives
that loads this adapter alone.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import ModelError, first_line

Handling = Literal["shared", "own copy", "refused"]

_OWN: Handling = "own copy"
_REFUSED: Handling = "refused"
_SEVERITY: tuple[Handling, ...] = ("shared", "own copy", "refused")

_Rule = tuple[Handling, str]
_SHARED: _Rule = ("shared", "it adds to the base's layers and changes none of them")
_REPLACES: _Rule = (_OWN, "no other kind can be attached beside it")
_PROMPT: _Rule = (
    _REFUSED,
    "it puts tokens of its own before every text, and a context that is read once for several continuations has none",
)
_WHICH_TASK: _Rule = (_REFUSED, "it wants to be told with every text which of its tasks the text belongs to")

_REPLACING = [
    "ADALORA", "ADAMSS", "ADAPTION_PROMPT", "BEFT", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "FROD", "GLORA",
    "GRALORA", "HIRA", "HRA", "IA3", "LN_TUNING", "LOHA", "LOKR", "MISS", "OFT", "OSF", "PEANUT", "PSOFT", "PVERA",
    "RANDLORA", "ROAD", "SHIRA", "SUPERTUNING", "TINYLORA", "TRAINABLE_TOKENS", "UNILORA", "VBLORA", "VERA", "WAVEFT",
]  # fmt: skip

KINDS: dict[str, _Rule] = {
    "LORA": _SHARED,
    **dict.fromkeys(_REPLACING, _REPLACES),
    **dict.fromkeys(["CARTRIDGE", "CPT", "P_TUNING", "PREFIX_TUNING", "PROMPT_TUNING"], _PROMPT),
    "MULTITASK_PROMPT_TUNING": _WHICH_TASK,
    "POLY": _WHICH_TASK,
    "LILY": (_REFUSED, "it looks at a whole text at once, what follows a word included, so a likelihood means nothing"),
    "SHADOW": (_REFUSED, "it runs a second model beside the base"),
    "XLORA": (_REFUSED, "it mixes other adapters that are not in its folder"),
}
"""``peft_type`` of the adapter's config -> how it is handled. The rules of LoRA's settings come on top."""

_INITS: dict[Any, _Rule] = {
    **dict.fromkeys((True, False, None, "gaussian", "eva", "orthogonal"), _SHARED),
    "pissa": (_OWN, "it takes its first weights out of the base's"),
    "olora": (_OWN, "it takes its first weights out of the base's"),
    "mica": (_OWN, "it is made from the base's weights"),
    "corda": (_REFUSED, "it changes the base's weights by data that it doesn't hold"),
    "lora_ga": (_REFUSED, "it changes the base's weights by gradients that it doesn't hold"),
    "loftq": (_REFUSED, "it was tuned on a base that was quantised for it"),
}
"""LoRA's ``init_lora_weights`` in a saved config: PEFT goes through it again before it reads the saved weights."""

_RANDOM_PISSA: _Rule = (
    _REFUSED,
    "it takes its first weights out of the base's in a random way that can't be redone",
)
_PLAIN_SETTINGS = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout", "fan_in_fan_out", "use_rslora",
    "init_lora_weights", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern", "megatron_core",
    "loftq_config", "eva_config", "corda_config", "lora_ga_config", "use_dora", "qalora_group_size", "runtime_config",
    "lora_bias",
}  # fmt: skip
_LORA_SETTINGS: dict[str, _Rule] = {
    "modules_to_save": (_OWN, "it has whole modules of its own"),
    "trainable_token_indices": (_OWN, "it has embeddings of its own"),
    "bias": (_OWN, "it changes the base's biases"),
    "target_parameters": (_OWN, "it is part of the base's parameters"),
    "layer_replication": (_OWN, "it repeats the base's layers"),
    "ensure_weight_tying": (_OWN, "it ties modules of the base"),
    "velora_config": (_OWN, "its layers are not those of plain LoRA"),
    "use_qalora": (_OWN, "its layers are not those of plain LoRA"),
    "monteclora_config": (_OWN, "its layers are not those of plain LoRA"),
    "use_bdlora": (_OWN, "its layers are not those of plain LoRA"),
    "kasa_config": (_OWN, "it cuts the base's weights down"),
    "alora_invocation_tokens": (_REFUSED, "it is off until certain tokens come, and texts are read in parts here"),
    "arrow_config": (_REFUSED, "it mixes other adapters that are not in its folder"),
    "megatron_config": (_REFUSED, "it is for Megatron's layers"),
}
_UNSET = (None, False, "none", "", [], {})
"""What a setting is that does nothing."""

_PLAIN_WEIGHT = re.compile(
    r"base_model\.model\..*\.(lora_[AB]\.(weight|bias)|lora_embedding_[AB](\.weight)?|lora_magnitude_vector(\.weight)?)"
)
_NOT_IN_VLLM = ("use_dora", "lora_bias", "rank_pattern", "alpha_pattern")


@dataclass(frozen=True)
class Adapter:
    """An adapter as its files say: its kind, its settings, the names of its weights where they can be known before they
    are loaded, how it is handled and ``why``."""

    folder: Path
    kind: str
    settings: Mapping[str, Any]
    weights: tuple[str, ...]
    handling: Handling
    why: str

    @property
    def rank(self) -> int:
        """LoRA's largest."""
        return max([self.settings.get("r") or 8, *(self.settings.get("rank_pattern") or {}).values()])

    def require_usable(self, name: str, backend: str = "hf") -> None:
        """Raises ModelError, with what to do, for one that this backend can't attach. ``name``: the user's for it."""
        if self.handling == "refused":
            raise ModelError(
                f"adapter {name!r} ({self.label}) can't be used here: {self.why}; merge it into its base, or convert "
                "it to plain LoRA, and evaluate that."
            )
        if backend == "vllm" and (why := self._not_for_vllm):
            raise ModelError(f"adapter {name!r} ({self.label}) is not for vLLM: {why}; use backend hf for it.")

    @property
    def label(self) -> str:
        """The kind in words."""
        init = self.settings.get("init_lora_weights") if self.kind == "LORA" else None
        return f"{self.kind}, init_lora_weights {init}" if isinstance(init, str) else self.kind

    @property
    def _not_for_vllm(self) -> str | None:
        if self.handling != "shared":
            return f"it takes plain LoRA, and {self.why}"
        if used := [x for x in _NOT_IN_VLLM if self.settings.get(x) not in _UNSET]:
            return f"it takes plain LoRA, without {' and '.join(used)}"
        odd = [x for x in self.weights if not re.search(r"\.lora_[AB]\.weight$", x)]
        return f"it takes plain LoRA, without {odd[0]}" if odd else None


def read_adapter(folder: Path, name: str | None = None) -> Adapter:
    """What an adapter's files say. ``name``: the user's for it.

    Raises ModelError if they are not an adapter's or can't be read.
    """
    try:
        return _read_adapter(folder)
    except (OSError, ValueError, TypeError, struct.error, RecursionError) as error:
        raise ModelError(f"adapter {name or str(folder)!r} can't be read: {error}.") from error


def _read_adapter(folder: Path) -> Adapter:
    settings = _read_settings(folder)
    rule = rule_of(settings)
    names = _weight_names(folder) if rule[0] != "refused" else []
    if rule[0] == "shared" and names is None:
        rule = (_OWN, "its file can't be looked into before it is loaded")
    elif rule[0] == "shared" and (foreign := [x for x in names or () if not _PLAIN_WEIGHT.fullmatch(x)]):
        rule = (_OWN, f"its file holds weights of the base ({foreign[0]})")
    return Adapter(folder, settings["peft_type"], settings, tuple(names or ()), *rule)


def rule_of(settings: Mapping[str, Any]) -> tuple[Handling, str]:
    """How a config's adapter is handled, and why: the strictest rule that holds for one of its settings."""
    kind: str = settings["peft_type"]
    if kind not in KINDS:
        return _REFUSED, f"PEFT here knows no kind {kind!r}"
    task = settings.get("task_type")
    if task not in (None, "CAUSAL_LM"):
        return _REFUSED, f"it is for another task ({task}) than causal language modelling"
    return max([KINDS[kind], *_setting_rules(kind, settings)], key=lambda x: _SEVERITY.index(x[0]))


def _setting_rules(kind: str, settings: Mapping[str, Any]) -> Iterator[_Rule]:
    if kind == "PVERA" and settings.get("sample_at_inference"):
        yield _REFUSED, "it draws random numbers for every text"
    if kind != "LORA":
        return
    yield _rule_of_init(settings.get("init_lora_weights", True))
    for name, value in settings.items():
        if value in _UNSET or name in _PLAIN_SETTINGS:
            continue
        yield _LORA_SETTINGS.get(name, (_REFUSED, f"PEFT here doesn't know its setting {name}"))


def _rule_of_init(init: Any) -> _Rule:
    if isinstance(init, str):
        init = init if init in _INITS else init.lower()
        if init.startswith("pissa_"):
            return _RANDOM_PISSA
    unknown: _Rule = (_REFUSED, f"PEFT here knows no init_lora_weights {init!r}")
    return _INITS.get(init, unknown) if isinstance(init, str | bool | None) else unknown


def _read_settings(folder: Path) -> dict[str, Any]:
    file = folder / "adapter_config.json"
    if not file.exists():
        raise ValueError("it holds no adapter_config.json, so it is no adapter")
    settings = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(settings, dict) or not isinstance(settings.get("peft_type"), str):
        raise ValueError("its adapter_config.json names no peft_type")
    return settings


def _weight_names(folder: Path) -> list[str] | None:
    """Names of the saved weights; None for a pickled file, whose names only torch can read."""
    file = folder / "adapter_model.safetensors"
    if not file.exists():
        if (folder / "adapter_model.bin").exists():
            return None
        raise ValueError("it has no weights: adapter_model.safetensors is not there")
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > file.stat().st_size:
            raise ValueError("adapter_model.safetensors is cut off or damaged")
        header = json.loads(stream.read(length))
    return sorted(x for x in header if x != "__metadata__")


def local_folder(adapter: Path) -> Path:
    """Where an adapter's files lie: its folder, or the hub's cache, which they are fetched into. Raises ModelError."""
    if adapter.is_dir():
        return adapter
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(adapter)))
    except Exception as error:  # the hub's clients have errors without a common base
        raise ModelError(f"adapter {str(adapter)!r} can't be read: {first_line(error)}.") from error
