"""Where the stages of a training run lie; of each, what it was begun with, whether it is done, and its dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...harness.errors import UserError
from ...harness.store.parquet import read_records, write_columns
from ...harness.store.run_directory import CellFolder, begin_or_refuse
from ...harness.store.version import git_commit, package_version

if TYPE_CHECKING:
    from ..arms import Arm
    from ..config import TrainConfig

Record = TypeVar("Record")
Say = Callable[[str], None]
"""Tells the user something."""


class Stage(CellFolder):
    """The folder of one stage. ``name`` is its name in messages: ``sample``, ``score reward``."""

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


class TrainingDirectory:
    """The folder of a training run: who lies where."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, config: TrainConfig) -> TrainingDirectory:
        """The folder that a config names."""
        if config.out is None:
            raise ValueError("a training config is read with read_train_config, which resolves `out`")
        return cls(Path(config.out))

    @property
    def translations(self) -> Path:
        """The folder of the translate stages, one per language."""
        return self.root / "translate"

    def translated(self, language: str) -> Stage:
        """The prompts in a language, by the translator."""
        return Stage(self.root, f"translate {language}")

    def sample(self, arm: Arm | None = None) -> Stage:
        """The candidates that an arm uses; without an arm the run's own."""
        return Stage(self.root / (arm.sampled_in if arm else ""), "sample")

    def score(self, arm: Arm | None, scorer: str) -> Stage:
        """Rewards of these candidates, by a scorer."""
        return Stage(self.root / (arm.sampled_in if arm else ""), f"score {scorer}")

    def pairs(self, arm: Arm) -> Stage:
        """The pairs that an arm learns from."""
        return Stage(self.root / arm.paired_in, "pair")

    def tuned(self, arm: Arm) -> Stage:
        """What tuning an arm leaves: its data, its log and, in ``adapter``, its adapter."""
        return Stage(self.root / arm.folder, arm.trainer)

    def adapter(self, arm: Arm) -> Path:
        """The folder of an arm's adapter."""
        return self.tuned(arm).path / "adapter"

    @property
    def reward(self) -> Stage:
        """The reward model that is trained."""
        return Stage(self.root, "reward")

    @property
    def ledger(self) -> Path:
        """What all calls of the run cost."""
        return self.root / "ledger.jsonl"

    def label(self, folder: Path) -> str:
        """The name of a stage's folder in messages: ``pair``, ``multi/pair``, ``mono/seed-43/dpo``."""
        return str(folder.relative_to(self.root)).removeprefix("arms/")
