"""Where a system's weights come from, and the digest that identifies them. Loads no model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import registry
from ..backends.adapters import read_adapter
from ..errors import ModelError, UserError, first_line
from ..store.fingerprint import folder_digest


@dataclass(frozen=True)
class ModelSource:
    """A base model or an adapter: ``path`` is a local folder or a hub id, ``digest`` identifies its content."""

    name: str
    path: str
    digest: str
    revision: str | None = None

    @property
    def is_local(self) -> bool:
        return Path(self.path).is_absolute()


def find_model(name: str, revision: str | None = None) -> ModelSource:
    """A packaged name, a local folder or a hub id as a source.

    Raises UserError if it is none of them, ModelError if the folder holds no model or the hub can't be asked.
    """
    if name in registry.names("models"):
        folder = Path(registry.load("models", name)())
        return ModelSource(name, str(folder), folder_digest(folder))
    path = Path(name).expanduser()
    if path.is_dir():
        if not any((path / x).exists() for x in ("config.json", "adapter_config.json")):
            raise ModelError(f"folder {name!r} holds no model: neither config.json nor adapter_config.json is there.")
        return ModelSource(name, str(path.resolve()), folder_digest(path))
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _on_hub(name, revision)
    packaged = registry.names("models")
    raise UserError(
        f"unknown model {name!r}{registry.did_you_mean(name, packaged)}; "
        f"it must be a packaged model ({', '.join(packaged)}), an existing folder, or a hub id like 'owner/name'."
    )


def model_names(*names: str | None) -> frozenset[str]:
    """What models may be called elsewhere, in lower case: their names here and the folders they lie in."""
    given = [x for x in names if x]
    packaged = [str(registry.load("models", x)()) for x in given if x in registry.names("models")]
    return frozenset(x.rstrip("/").lower() for x in (*given, *packaged))


def _on_hub(name: str, revision: str | None) -> ModelSource:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        folder = snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=["*.json"])
        commit = Path(folder).name
    except LocalEntryNotFoundError:
        try:
            commit = HfApi().model_info(name, revision=revision, timeout=30).sha or "unknown"
        except RevisionNotFoundError as error:
            raise ModelError(f"model {name!r}: the hub has no revision {revision!r}.") from error
        except GatedRepoError as error:
            raise ModelError(
                f"model {name!r} is gated: accept its terms on the hub and set HF_TOKEN to a token that may read it."
            ) from error
        except RepositoryNotFoundError as error:
            raise ModelError(
                f"model {name!r} is neither a folder nor on the hub, or it is private: then set HF_TOKEN."
            ) from error
        except HfHubHTTPError as error:
            raise ModelError(f"the hub refuses model {name!r}: {first_line(error)}.") from error
        except Exception as error:  # the network's errors have no common base
            raise ModelError(
                f"model {name!r} is neither a folder nor in the local hub cache, "
                f"and the hub can't be reached ({type(error).__name__})."
            ) from error
    return ModelSource(name, name, f"hub:{name}@{commit}", revision)


def check_adapter(adapter: ModelSource, base: ModelSource, allow_mismatch: bool, backend: str = "hf") -> None:
    """Refuses an adapter of a kind that the backend can't attach, and one that says it was trained on another base.

    Raises ModelError. Shapes that do not fit are found when the weights are loaded, whatever the adapter says; one on
    the hub is looked at then.
    """
    if not adapter.is_local:
        return
    found = read_adapter(Path(adapter.path), adapter.name)
    found.require_usable(adapter.name, backend)
    trained_on = found.settings.get("base_model_name_or_path")
    same = {_short(base.name), _short(base.path)}
    if trained_on and _short(str(trained_on)) not in same and not allow_mismatch:
        raise ModelError(
            f"adapter {adapter.name!r} was trained on {trained_on!r}, not on {base.name!r}; "
            "name its own base, or set allow_base_mismatch: true for this system if they are the same model."
        )


def _short(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1].lower()
