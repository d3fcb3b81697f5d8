"""Makes ``huggingface_hub`` give up soon. Python loads this at start in a process whose PYTHONPATH holds the folder.

The library takes two timeouts from the environment, but not the number of its retries, the pauses between them and the
timeout of a repeated HEAD. Only these are shortened: the errors are the ones a user sees after minutes.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PATIENT_MODULE = "huggingface_hub.file_download"
RETRIES = 1
PAUSE = 0.05
HEAD_TIMEOUT = 1.0


def _set_defaults(function: Callable[..., Any], **values: float) -> None:
    defaults = inspect.unwrap(function).__kwdefaults__
    if not values.keys() <= defaults.keys():
        raise RuntimeError(f"{function.__name__} of huggingface_hub takes no {sorted(values.keys() - defaults.keys())}")
    defaults.update(values)


def _shorten(module: ModuleType) -> None:
    from huggingface_hub.utils import _http

    for function in (_http.http_backoff, _http.http_stream_backoff):
        _set_defaults(function, max_retries=RETRIES, base_wait_time=PAUSE, max_wait_time=PAUSE)
    _set_defaults(module.http_get, _nb_retries=RETRIES)
    if not hasattr(module, "_ETAG_RETRY_TIMEOUT"):
        raise RuntimeError("huggingface_hub has another timeout for a repeated HEAD")
    module.__dict__["_ETAG_RETRY_TIMEOUT"] = HEAD_TIMEOUT


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != PATIENT_MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            _shorten(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Finder())
