"""Loading models with vLLM in this process, with errors a user can act on."""

from __future__ import annotations

from typing import Any

from .errors import ModelError, first_line
from .extras import missing_extra

_MEMORY_WORDS = ("memory", "engine core", "enginecore")


def load_llm(model: str, **options: Any) -> Any:
    """vLLM's ``LLM`` with these options. Raises UserError without vLLM, ModelError if it can't use the model."""
    try:
        from vllm import LLM  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        broken = ModelError(f"vLLM can't be imported ({error}).")
        raise missing_extra(error, "vLLM") or broken from error
    try:
        return LLM(model=model, **options)
    except Exception as error:  # vLLM raises many kinds; each means that this model can't be had
        raise ModelError(f"vLLM can't load model {model!r}: {explain(error)}.") from error


def explain(error: BaseException) -> str:
    """What vLLM says, and what to lower if it may have been memory: its engine often dies without a word."""
    said = first_line(error)
    if any(x in said.lower() for x in _MEMORY_WORDS):
        return f"{said}; if memory ran out, lower max_model_len or gpu_memory_utilization in engine_options"
    return said
