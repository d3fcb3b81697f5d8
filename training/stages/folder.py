"""A stage's folder: what was begun under which circumstances, what is done, and what the next stage may read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ...harness.errors import UserError
from ...harness.judging import begin_or_refuse
from ...harness.plan import git_commit, package_version
from ...harness.store import CellFolder, read_records

Record = TypeVar("Record")


class Stage(CellFolder):
    """The folder of one stage. ``name`` is what people call it: ``sample``, ``score reward``."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(root.joinpath(*name.split()))
        self.name = name

    def enter(self, fingerprint: Mapping[str, Any]) -> bool:
        """Begins the stage or goes on with it; True if it is done already.

        Raises StoreError, which names the fields, if it was begun under other circumstances.
        """
        begin_or_refuse(self, dict(fingerprint), f"stage {self.name!r}")
        return self.is_sealed

    def finish(self, kind: type[Record], rows: list[Record], info: Mapping[str, Any]) -> None:
        """Writes the stage's dataset, ``data.parquet``, and what made it."""
        fingerprint = self.begun_with()
        made_by = {"croco_eval": package_version(), "git_commit": git_commit(Path(__file__).parent)}
        self.seal({"data": (kind, rows)}, {"fingerprint": fingerprint, "rows": len(rows), **info, **made_by})

    def read(self, kind: type[Record]) -> list[Record]:
        """The stage's dataset. Raises UserError, which says what to run, if it is not there."""
        self.require()
        return read_records(self.path / "data.parquet", kind)

    def require(self) -> dict[str, Any]:
        """What made the stage's dataset. Raises UserError if the stage is not done."""
        if not self.is_sealed:
            raise UserError(
                f"stage {self.name!r} is not done in {self.path}: run `croco-eval train {self.name.split()[0]} CONFIG`."
            )
        return self.seal_info()
