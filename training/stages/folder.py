"""A stage's folder: what was begun under which circumstances, what is done, and what the next stage may read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ...harness.errors import UserError
from ...harness.store.parquet import read_records, write_columns
from ...harness.store.run_directory import CellFolder, begin_or_refuse
from ...harness.store.version import git_commit, package_version

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

    @property
    def data(self) -> Path:
        """The stage's dataset."""
        return self.path / "data.parquet"

    def finish(
        self, kind: type[Record], rows: list[Record], info: Mapping[str, Any], **beside: tuple[type, Sequence[Any]]
    ) -> None:
        """Writes the stage's dataset, ``data.parquet``, others ``beside`` it by their names, and what made them."""
        self.seal({"data": (kind, rows), **beside}, self._made(len(rows), info))

    def write(self, kind: type, tables: Iterable[Any]) -> None:
        """Writes the dataset from Arrow tables, quickly rather than small; ``conclude`` makes it count."""
        write_columns(self.data, kind, tables, compression="none")

    def conclude(self, rows: int, info: Mapping[str, Any]) -> None:
        """Records what made a dataset that is written."""
        self.seal({}, self._made(rows, info))

    def _made(self, rows: int, info: Mapping[str, Any]) -> dict[str, Any]:
        made_by = {"croco_eval": package_version(), "git_commit": git_commit(Path(__file__).parent)}
        return {"fingerprint": self.begun_with(), "rows": rows, **info, **made_by}

    def read(self, kind: type[Record]) -> list[Record]:
        """The stage's dataset. Raises UserError, which says what to run, if it is not there."""
        self.require()
        return read_records(self.data, kind)

    def require(self) -> dict[str, Any]:
        """What made the stage's dataset. Raises UserError if the stage is not done."""
        if not self.is_sealed:
            raise UserError(
                f"stage {self.name!r} is not done in {self.path}: run `croco-eval train {self.name.split()[0]} CONFIG`."
            )
        return self.seal_info()
