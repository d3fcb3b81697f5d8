"""Options of a judge or a suite: strict, with the nearest known name for a wrong one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ValidationError

from ..errors import UserError
from ..registry import did_you_mean

Options = TypeVar("Options", bound=BaseModel)


def _json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        raise ValueError("may hold only what JSON can hold") from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_json)]
"""Options of somebody else's, handed on as they are."""


def parse_options(kind: type[Options], options: Mapping[str, Any], whose: str) -> Options:
    """The options as a model of ``kind``. Raises UserError, one sentence per mistake; values are not repeated in it,
    because a secret may have been put in the wrong place."""
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        raise UserError("\n".join(_explain(x, kind, whose) for x in error.errors())) from None


def _explain(error: Any, kind: type[BaseModel], whose: str) -> str:
    path = [str(x) for x in error["loc"]]
    shown = ".".join(path)
    if error["type"] == "extra_forbidden":
        known = section_of(kind, path[:-1]).model_fields
        near = did_you_mean(path[-1], known) or f"; known: {', '.join(known)}."
        return f"{whose} has no option {shown!r}{near}"
    if error["type"] == "missing":
        return f"{whose}: option {shown!r} is missing."
    reason = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    where = f"option {shown!r}: " if shown else ""
    return f"{whose}: {where}{reason[:1].lower()}{reason[1:]}."


def section_of(kind: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """The model in which a nested option stands."""
    for name in path:
        field = kind.model_fields.get(name)
        annotations = (field.annotation, *get_args(field.annotation)) if field else ()
        kind = next((x for x in annotations if isinstance(x, type) and issubclass(x, BaseModel)), kind)
    return kind
