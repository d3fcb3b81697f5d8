"""The texts of `locale` and `locale-open`: one YAML file per language."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from ....harness.errors import DataError


@cache
def load_templates(language: str) -> dict[str, Any]:
    """All texts of one language, keyed as in ``en.yaml``. A family that is not asked in the language is None."""
    return yaml.safe_load(template_text(language))


def template_text(language: str) -> str:
    """The file itself, for fingerprints."""
    return (files(__name__) / f"{language}.yaml").read_text(encoding="utf-8")


def fill(template: str, **values: object) -> str:
    """A template with its placeholders replaced; DataError names a placeholder that has no value."""
    try:
        return template.format_map(values)
    except KeyError as missing:
        raise DataError(f"template {template!r} asks for {missing}, which its family does not provide.") from None
