"""Where the packaged croco-nano models are."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from pathlib import Path

from ...harness.errors import ModelError
from ...harness.fingerprint import folder_digest
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
        raise ModelError(f"the packaged model {name!r} is not there; build it with `croco-eval nano build`.")
    return folder


study_sft = partial(_folder, f"{STUDY}sft")
study_max_r = partial(_folder, f"{STUDY}max-r")
study_mono = partial(_folder, f"{STUDY}mono")
study_multi = partial(_folder, f"{STUDY}multi")
study_off_policy = partial(_folder, f"{STUDY}off-policy")
study_online = partial(_folder, f"{STUDY}online")
study_icr = partial(_folder, f"{STUDY}icr")
