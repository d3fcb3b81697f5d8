"""Templates: names in braces, replaced in one pass, so that what is put in is never read as a name."""

from __future__ import annotations

import re

from ..errors import DataError

_NAME = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


def fill(template: str, /, **values: object) -> str:
    """The template with every ``{name}`` that has a value replaced; other braces stay as they are."""
    return _NAME.sub(lambda x: str(values.get(x[1], x[0])), template)


def fill_all(template: str, /, **values: object) -> str:
    """As ``fill``; DataError names a placeholder that has no value."""
    if missing := [x for x in _NAME.findall(template) if x not in values]:
        raise DataError(f"template {template!r} asks for {missing[0]!r}, which its family does not provide.")
    return fill(template, **values)
