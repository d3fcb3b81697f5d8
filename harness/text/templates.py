"""Templates of a user's own: names in braces, replaced in one pass: what is put in is never read as one."""

from __future__ import annotations

import re

_NAME = re.compile(r"\{([a-z_]+)\}")


def fill(template: str, **values: str) -> str:
    """The template with every ``{name}`` that is known replaced; other braces stay as they are."""
    return _NAME.sub(lambda x: values.get(x[1], x[0]), template)
