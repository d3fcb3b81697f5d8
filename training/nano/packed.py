"""What the package holds of croco-nano's models: adapters as float16, and of the reward model its head alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from ...harness.models.tuning import FILE as TUNING

_WEIGHTS, _HEAD = "model.safetensors", "head.safetensors"
_ADAPTER = ("adapter_model.safetensors", "adapter_config.json")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_FORMAT = {"format": "pt"}


def keep_adapter(adapter: Path, out: Path) -> None:
    """Writes an adapter to ``out``: weights as float16, its base named as it is packaged, how it was tuned (if it is
    told), and nothing else."""
    from safetensors.torch import load_file, save_file
    from torch import float16

    out.mkdir(parents=True, exist_ok=True)
    weights, config = _ADAPTER
    save_file({k: v.to(float16) for k, v in load_file(adapter / weights).items()}, out / weights, metadata=_FORMAT)
    (out / weights).chmod(0o644)
    settings = json.loads((adapter / config).read_text(encoding="utf-8"))
    settings |= {"base_model_name_or_path": "croco-nano", "target_modules": sorted(settings["target_modules"])}
    (out / config).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if (adapter / TUNING).exists():
        shutil.copyfile(adapter / TUNING, out / TUNING)


def keep_head(model: Path, out: Path) -> None:
    """Writes a reward model to ``out`` without its backbone and tokenizer, which are the base's."""
    from safetensors.numpy import load_file, save_file

    out.mkdir(parents=True, exist_ok=True)
    head = {k: v for k, v in load_file(model / _WEIGHTS).items() if k.startswith("score.")}
    save_file(head, out / _HEAD, metadata=_FORMAT)
    (out / _HEAD).chmod(0o644)
    for name in ("config.json", "chat_template.jinja"):
        shutil.copyfile(model / name, out / name)


def put_together(base: Path, head: Path, out: Path) -> None:
    """Makes the whole reward model in ``out``; who looks sees all of it or nothing. Raises OSError."""
    from safetensors.numpy import load_file, save_file

    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        made = Path(scratch) / "model"
        made.mkdir()
        save_file(load_file(base / _WEIGHTS) | load_file(head / _HEAD), made / _WEIGHTS, metadata=_FORMAT)
        (made / _WEIGHTS).chmod(0o644)
        for file in (*(base / x for x in _TOKENIZER), *(x for x in head.iterdir() if x.name != _HEAD)):
            shutil.copyfile(file, made / file.name)
        try:
            made.rename(out)
        except OSError:
            if not out.is_dir():  # else another process was first
                raise
