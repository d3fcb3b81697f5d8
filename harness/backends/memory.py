"""Turns running out of memory, on a GPU or a CPU, into an error that says which setting to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import ModelError


@contextmanager
def enough_memory_or(what_to_do: str) -> Iterator[None]:
    """Raises ModelError with this sentence where the work inside can't be given the memory that it asks for."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_about_memory(error):
            raise
        raise ModelError(what_to_do) from error


def _is_about_memory(error: BaseException) -> bool:
    """PyTorch has a class for a GPU's memory, and a sentence for the machine's own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
