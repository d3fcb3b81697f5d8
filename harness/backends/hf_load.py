"""Loading models and tokenizers through transformers, with errors a user can act on."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from ..api.backend import ModelSpec
from ..errors import ModelError, first_line

_FALLBACK_WINDOW = 2048
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """``auto`` is the first GPU, or the CPU. Raises ModelError for a device this machine hasn't got."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {name!r} can't be used here: {first_line(error)}.") from error


def load_model(spec: ModelSpec, classifier: bool = False) -> tuple[Any, Any]:
    """Model (in eval mode, without gradients, on its device) and tokenizer. ``classifier`` loads a sequence classifier,
    whose head must be there: transformers would make one up.

    A weight that wants a gradient is multiplied in another order, even where none is computed: a base that PEFT has
    frozen would give other last bits than one that it hasn't.

    ``dtype: auto`` is float32 on a CPU and the model's own type elsewhere. Raises ModelError.
    """
    device = pick_device(spec.device)
    dtype: Any = _DTYPES.get(spec.dtype) or (torch.float32 if device.type == "cpu" else "auto")
    loader: Any = AutoModelForSequenceClassification if classifier else AutoModelForCausalLM
    try:
        tokenizer = AutoTokenizer.from_pretrained(spec.path, revision=spec.revision, padding_side="left")
        model: Any
        model, found = loader.from_pretrained(spec.path, revision=spec.revision, dtype=dtype, output_loading_info=True)
        model = model.to(device).eval().requires_grad_(False)
    except Exception as error:  # transformers raises many kinds; each means that this model can't be had
        raise ModelError(f"model {spec.path!r} can't be loaded: {first_line(error)}.") from error
    if classifier and found["missing_keys"]:
        names = ", ".join(sorted(found["missing_keys"])[:3])
        raise ModelError(f"model {spec.path!r} is no trained classifier: it has no weights for {names}.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return model, tokenizer


def find_window(model: Any, tokenizer: Any) -> int:
    """Tokens the model can see at once, as far as its config or its tokenizer says."""
    for source in (model.config, model.config.get_text_config(), tokenizer):
        for key in ("max_position_embeddings", "n_positions", "n_ctx", "model_max_length"):
            value = getattr(source, key, None)
            if isinstance(value, int) and 0 < value < 1_000_000_000:
                return value
    return _FALLBACK_WINDOW
