"""``training.json`` beside an adapter: how it was tuned. Training writes it, runs and reports read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ..errors import StoreError
from ..store.files import read_json, write_json
from .sources import ModelSource

FILE = "training.json"


@dataclass(frozen=True)
class Tuning:
    """``arm``: its name in the training config, with its seed if there are several. ``data``: who gave the answers it
    learnt from: the model itself before it was tuned, another policy, itself while it was tuned, or nobody (gold
    answers). ``pool``: what pairs were chosen from. ``reward``: the scorer whose rewards counted."""

    arm: str
    trainer: str
    data: Literal["on-policy", "off-policy", "online", "gold"]
    sampled_from: str | None
    pool: Literal["language", "all"] | None
    reward: str | None
    languages: tuple[str, ...]
    seed: int


def write_tuning(folder: Path, tuning: Tuning) -> None:
    """Into an adapter's folder."""
    write_json(folder / FILE, asdict(tuning))


def read_tuning(source: ModelSource) -> Tuning | None:
    """Of an adapter on this machine, or of a trainer's checkpoint in its folder; None where none was written.

    Raises StoreError for a file that can't be read.
    """
    file = _file(source)
    return parse_tuning(read_json(file), str(file)) if file is not None else None


def parse_tuning(fields: Any, where: str) -> Tuning:
    """From its JSON form. Raises StoreError, which says where it stands, if it is none."""
    try:
        return TypeAdapter(Tuning).validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise StoreError(
            f"{where} doesn't say how an adapter was tuned: {'.'.join(map(str, first['loc']))}: {first['msg']}."
        ) from error


def _file(source: ModelSource) -> Path | None:
    if not source.is_local:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(source.path, FILE, revision=source.revision)
        return Path(found) if isinstance(found, str) else None
    folder = Path(source.path)
    places = (folder, folder.parent) if folder.name.startswith("checkpoint-") else (folder,)
    return next((x / FILE for x in places if (x / FILE).exists()), None)
