"""The extras of the installation, and which of them brings a library that is missing."""

from __future__ import annotations

from .errors import CrocoError, UserError

_LIBRARIES = {
    "run": (
        *("torch", "transformers", "peft", "safetensors", "huggingface_hub", "datasets"),
        *("lm_eval", "jinja2", "langdetect", "nltk", "sklearn", "babel", "tokenizers"),
    ),
    "train": ("accelerate", "orjson", "trl"),
    "vllm": ("vllm",),
}
EXTRA_OF = {library: extra for extra, libraries in _LIBRARIES.items() for library in libraries}
"""Top-level module -> the extra of croco-eval that installs it. Core dependencies are not listed."""

_NEEDS = {"train": "train", "nano": "train", "vllm": "vllm"}
"""Commands and backends that need an extra as a whole, whichever library is missed first."""


def missing_extra(error: BaseException, what: str, name: str = "") -> UserError | None:
    """The error to raise where a library of an extra can't be imported; None for every other error.

    ``what`` describes the command or plug-in that needs the library, ``name`` is its bare name.
    """
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if library not in EXTRA_OF:
        return None
    extra = _NEEDS.get(name, EXTRA_OF[library])
    return UserError(f"{what} needs the extra {extra!r}: pip install 'croco-eval[{extra}]'.")


def error_of_command(error: Exception, command: str) -> CrocoError | None:
    """What a command says of an error: a CrocoError itself, or which extra is missing; None if neither is the case."""
    missing = missing_extra(error.__cause__ or error, f"croco-eval {command}", command)
    return error if isinstance(error, CrocoError) and not (missing and command in _NEEDS) else missing
