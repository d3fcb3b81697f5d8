"""What a gate asks for: a strict YAML file, resolved against a run into numbers without defaults. See docs/gate.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ...harness.config.strict import Strict, read_strict
from ...harness.errors import UserError
from ...harness.registry import did_you_mean
from ...harness.text.languages import GROUPS, LANGUAGES, get_language, group_of
from ..items.scopes import WHOLE, pooled_scopes
from ..records.rules import Correction

DEFAULT = "default"
EVERY_SUITE = "*"
_GROUP_NAMES = tuple(x for x in GROUPS if x != "paper")

Require = Literal["non-inferior", "not-worse"]
ScopeKind = Literal["language", "group", "all"]


def _margin(value: float) -> float:
    if value > 0:
        return value
    raise ValueError(
        f"a margin is the largest loss that is still accepted, written as a positive number, not {value:g}"
        + ("; no run of any size can show that nothing at all was lost" if value == 0 else "")
    )


def _by_row(value: Any) -> Any:
    """``0.03`` means ``{default: 0.03}``."""
    if not isinstance(value, dict):
        return value
    return {k: v if isinstance(v, dict) else {DEFAULT: v} for k, v in value.items()}


def _row_names(value: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {suite: {_row_name(row): margin for row, margin in rows.items()} for suite, rows in value.items()}


def _row_name(name: str) -> str:
    if name == DEFAULT or name in _GROUP_NAMES:
        return name
    try:
        return get_language(name).code
    except UserError:
        near = did_you_mean(name, (DEFAULT, *_GROUP_NAMES))
        raise ValueError(
            f"{name!r} is neither {DEFAULT}, a language group ({', '.join(_GROUP_NAMES)}) nor a language's code{near}"
        ) from None


Margin = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_margin)]
Margins = Annotated[dict[str, dict[str, Margin]], BeforeValidator(_by_row), AfterValidator(_row_names)]


class Limits(Strict):
    """What a written policy and one for a run have in common, key by key in docs/gate.md."""

    alpha: float = Field(0.05, gt=0, lt=0.5)
    correction: Correction = "holm"
    require: Require = "non-inferior"
    min_items: int = Field(30, ge=1)
    max_unscored: float = Field(0.05, ge=0, le=1)
    max_off_target: float | None = Field(None, ge=0, lt=1)
    max_cost: float | None = Field(None, ge=0, allow_inf_nan=False)
    n_resamples: int = Field(10_000, ge=100, le=1_000_000)
    seed: int = Field(0, ge=0)


class ResolvedPolicy(Limits):
    """A policy for one run. ``rows`` names what is gated in each of ``suites``: language groups, languages, ``all``.

    ``margins`` has one entry per suite and row.
    """

    suites: tuple[str, ...]
    rows: tuple[str, ...]
    margins: Mapping[tuple[str, str], float]

    def as_json(self) -> dict[str, Any]:
        """The policy as JSON can hold it: margins by suite, then by row."""
        margins = {x: {row: self.margins[x, row] for row in self.rows} for x in self.suites}
        limits = self.model_dump(include=set(Limits.model_fields))
        return {"suites": list(self.suites), "rows": list(self.rows), "margins": margins, **limits}


class GatePolicy(Limits):
    """A gate policy as it is written. ``margins``: suite (``*``: every suite) -> a margin, or margins by row."""

    margin: Margin = 0.02
    margins: Margins = {}
    scopes: list[ScopeKind] = Field(["group", "all"], min_length=1)
    suites: list[str] | None = Field(None, min_length=1)

    def resolve(self, suites: Iterable[str], languages: Iterable[str]) -> ResolvedPolicy:
        """The policy for a run with these suites and languages.

        Raises UserError for a suite that the policy names and the run doesn't have: its rule would be kept by nobody.
        """
        known = list(suites)
        for name in (*(self.suites or ()), *self.margins):
            if name not in known and name != EVERY_SUITE:
                raise UserError(
                    f"the gate policy names the suite {name!r}, which is not compared here "
                    f"({', '.join(known) or 'none is'}){did_you_mean(name, known) or '.'}"
                )
        chosen = tuple(x for x in known if self.suites is None or x in self.suites)
        rows = gated_rows(list(languages), self.scopes)
        margins = {(x, row): self.margin_of(x, row) for x in chosen for row in rows}
        limits = self.model_dump(include=set(Limits.model_fields))
        return ResolvedPolicy(suites=chosen, rows=rows, margins=margins, **limits)

    def margin_of(self, suite: str, row: str) -> float:
        """The margin of a row: the suite's for it, for its language group, for any row; every suite's; the default."""
        wider = (group_of(row),) if row in LANGUAGES else ()
        for name in (suite, EVERY_SUITE):
            given = self.margins.get(name, {})
            if found := [given[x] for x in (row, *wider, DEFAULT) if x in given]:
                return found[0]
        return self.margin


def gated_rows(languages: Sequence[str], scopes: Iterable[ScopeKind]) -> tuple[str, ...]:
    """Names of the rows that these scopes gate; a language that is alone in its group, or in the run, stands for it."""
    wanted = set(scopes)
    pooled = [x.name for x in pooled_scopes(languages) if (x.kind if x.name == WHOLE else "group") in wanted]
    alone = languages if "language" in wanted or len(languages) == 1 else []
    return tuple(dict.fromkeys((*alone, *pooled)))


def read_policy(path: Path | None) -> GatePolicy:
    """The policy in a file; without one, the defaults. Raises UserError, one sentence per mistake, with its line."""
    return GatePolicy.model_validate({}) if path is None else read_strict(path, GatePolicy, "gate policy")
