"""Where the packaged croco-nano models are."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from ...harness.errors import ModelError
from ...harness.store.fingerprint import folder_digest
from .packed import put_together

STUDY = "croco-nano-study-"
"""What the names begin with of the adapters of the study in miniature, one per arm."""


def base_folder() -> Path:
    """croco-nano: a tiny Llama for 15 languages, trained from scratch on CLDR facts."""
    return _folder("croco-nano")


def sft_folder() -> Path:
    """croco-nano's SFT adapter: tuned on good answers in the study's seven tuned languages."""
    return _folder("croco-nano-sft")


def reward_folder() -> Path:
    """croco-nano's reward model: a sequence classifier with one logit, trained on English preferences alone.

    Its backbone is the base as it is, so the package holds the head alone. Base and head are put together in the
    cache of assets that huggingface_hub keeps (below ``HF_HOME``) when the model is first asked for.
    """
    from huggingface_hub import cached_assets_path

    base, head = base_folder(), _folder("croco-nano-reward")
    name = f"croco-nano-reward-{folder_digest(base)}-{folder_digest(head)}"
    try:
        whole = cached_assets_path("croco-eval", "models") / name
        if not whole.is_dir():
            put_together(base, head, whole)
    except (OSError, ValueError) as error:  # huggingface_hub says ValueError where a file is in the way
        raise ModelError(
            f"croco-nano-reward can't be put together in the cache: {error}; set HF_HOME to a folder that can be "
            "written to."
        ) from error
    return whole


def _folder(name: str) -> Path:
    folder = Path(str(files("croco_eval.training.nano"))) / "weights" / name
    if not folder.is_dir():
        raise ModelError(f"the packaged model {name!r} is not there: {folder} is missing; install croco-eval again.")
    return folder


def _of_study(arm: str, what: str) -> Callable[[], Path]:
    """The folder of an arm's adapter, as a function that says what it is."""

    def folder() -> Path:
        return _folder(f"{STUDY}{arm}")

    folder.__doc__ = f"croco-nano's adapter of the study in miniature, first seed: {what}."
    return folder


study_sft = _of_study("sft", "SFT on gold answers")
study_max_r = _of_study("max-r", "SFT on the samples with the highest reward")
study_mono = _of_study("mono", "DPO on pairs in a language")
study_multi = _of_study("multi", "DPO on pairs from all languages of a prompt")
study_off_policy = _of_study("off-policy", "DPO on another model's answers")
study_online = _of_study("online", "DPO on answers sampled while it was tuned")
study_icr = _of_study("icr", "DPO on pairs by the implicit reward of an English DPO adapter")
