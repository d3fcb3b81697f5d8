"""The texts of `locale` and `locale-open`: one YAML file per language."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from ....harness.config.strict import read_yaml


@cache
def load_templates(language: str) -> dict[str, Any]:
    """All texts of one language, keyed as in ``en.yaml``. A family that is not asked in the language is None."""
    return read_yaml(files(__name__) / f"{language}.yaml")
