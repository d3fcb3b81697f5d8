"""Strict settings: an unknown key, a wrong type or a repeated key is an error that names its place and its neighbour.

``read_strict`` reads a YAML file as settings, ``parse_options`` the options of a judge, a suite or a scorer,
``read_yaml`` a data file of the package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from ..errors import UserError
from ..registry import did_you_mean

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        raise ValueError("may hold only what JSON can hold") from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_json)]
"""Options that are handed on to another library as they are."""


class _Loader(yaml.CSafeLoader):
    """YAML with the booleans of YAML 1.2, so that ``no`` is Norwegian, not false."""


def _mapping_without_repeats(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)
_Loader.yaml_implicit_resolvers = {
    first: [x for x in resolvers if x[0] != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_strict(path: Path, kind: type[Model], what: str) -> Model:
    """A YAML file as a model of ``kind``; ``what`` names it in messages (``gate policy``).

    Raises UserError for a missing, unreadable or wrong file.
    """
    data, node = load_yaml(read_text(path, what), str(path), f"a {what} is a mapping of keys to values")
    return validate(kind, data, str(path), node)


def read_yaml(file: Traversable) -> Any:
    """What a YAML file of the package holds. Raises YAMLError."""
    return _parse(file.read_text(encoding="utf-8"))[0]


def _parse(text: str) -> tuple[Any, yaml.Node | None]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else loader.construct_document(node), node
    finally:
        loader.dispose()


def read_text(path: Path, what: str = "config file") -> str:
    """The text of a file. Raises UserError if it is missing or can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no {what} {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {path} can't be read: {error}.") from None


def load_yaml(text: str, source: str, shape: str) -> tuple[dict[str, Any], yaml.Node | None]:
    """A mapping and where its parts stand. ``source`` names the text in messages, ``shape`` says what it should be.

    Raises UserError.
    """
    try:
        data, node = _parse(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{source}{where}: not valid YAML: {getattr(error, 'problem', None) or error}.") from None
    except ValueError as error:
        raise UserError(f"{source}: not valid YAML: {error}.") from None
    if not isinstance(data, dict):
        raise UserError(f"{source}: {shape}.")
    return data, node


def validate(
    kind: type[Model], data: dict[str, Any], source: str, node: yaml.Node | None, folder: Path = Path()
) -> Model:
    """The mapping as a model of ``kind``; relative paths are taken from ``folder``. Raises UserError with the lines."""
    try:
        return kind.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        raise UserError("\n".join(_explain_key(x, source, node, kind) for x in error.errors())) from None


def parse_options(kind: type[Model], options: Mapping[str, Any], whose: str) -> Model:
    """The options as a model of ``kind``. Raises UserError, one sentence per mistake; values are not repeated in it,
    because a secret may have been put in the wrong place."""
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        raise UserError("\n".join(_explain_option(x, kind, whose) for x in error.errors())) from None


def _explain_option(error: Any, kind: type[BaseModel], whose: str) -> str:
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


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "string_pattern_mismatch": "may hold only letters, digits, '.', '_' and '-' (64 at most)",
}


def _explain_key(error: Any, source: str, root: yaml.Node | None, kind: type[BaseModel]) -> str:
    path = tuple(x for x in error["loc"] if isinstance(x, str | int))
    line = _line_of(root, path)
    where = f"{source}:{line}" if line else source
    shown = ".".join(map(str, path))
    if error["type"] == "extra_forbidden":
        known = section_of(kind, [str(x) for x in path[:-1]]).model_fields
        return _sentence(f"{where}: unknown key {shown!r}{did_you_mean(str(path[-1]), known)}")
    if error["type"] == "value_error":
        return _sentence(f"{where}: {f'{shown}: ' if shown else ''}{error['ctx']['error']}")
    reason = _WORDS.get(error["type"], error["msg"][:1].lower() + error["msg"][1:])
    return _sentence(f"{where}: {shown or 'the config'}: {reason}")


def _sentence(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


def _line_of(node: yaml.Node | None, path: tuple[str | int, ...]) -> int | None:
    """Line (from 1) of the deepest part of ``path`` that stands in the YAML."""
    if node is None:
        return None
    at: yaml.Node = node
    line = at.start_mark.line + 1
    for part in path:
        if isinstance(at, yaml.MappingNode):
            hit = next(((k, v) for k, v in at.value if k.value == str(part)), None)
            if hit is None:
                return line
            line, at = hit[0].start_mark.line + 1, hit[1]
        elif isinstance(at, yaml.SequenceNode) and isinstance(part, int) and part < len(at.value):
            at = at.value[part]
            line = at.start_mark.line + 1
        else:
            return line
    return line


def section_of(kind: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """The model in which a nested option stands."""
    for name in path:
        field = kind.model_fields.get(name)
        annotations = (field.annotation, *get_args(field.annotation)) if field else ()
        kind = next((x for x in annotations if isinstance(x, type) and issubclass(x, BaseModel)), kind)
    return kind
