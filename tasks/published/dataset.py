"""Reads the rows of a published data set: from the hub, or from a folder of files with the hub's columns.

Rows are checked before they are used: a column that is gone or a label nobody knows is a sentence, not a wrong score.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...harness.errors import DataError, first_line

_EXTENSIONS = ("parquet", "jsonl", "tsv")
_SHOWN = 8
_COMMIT = re.compile("[0-9a-f]{40}")
_TIMEOUT_SECONDS = 20
_NO_ANSWER = {
    *("ConnectionError", "ConnectError", "ConnectTimeout", "ReadTimeout", "ReadError", "TimeoutError"),
    *("RemoteProtocolError", "HfHubHTTPError", "LocalEntryNotFoundError"),
}
"""Names of what hub clients raise when a server is away, slow, overloaded or breaks off; they have no common base."""


@dataclass(frozen=True)
class Source:
    """A published data set and what its suite reads of it.

    ``splits``: the evaluated one first, then the one for few-shot examples. ``columns`` must be there; ``optional``
    ones are None where they are missing; ``labels`` are the values that a column may hold. ``also``: ids under which
    the same data set was or is published. ``headerless``: column names of TSV files that have no header.
    """

    dataset: str
    config: str | None = None
    revision: str | None = None
    splits: tuple[str, ...] = ("test",)
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    labels: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    headerless: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The data set as messages name it."""
        config = f" ({self.config})" if self.config else ""
        return f"{self.dataset}{config}" + (f" at {self.revision[:12]}" if self.revision else "")


@dataclass(frozen=True)
class LocalFiles:
    """The files of one task: ``ROOT/SUITE[/TASK]/LANG_SPLIT.{parquet,jsonl,tsv}``, or ``LANG.EXT`` for the evaluated
    split. Norwegian may be ``no`` or ``nb``. ``task`` is looked for first as a folder of its own."""

    root: Path
    suite: str
    task: str
    language: str

    @property
    def holds_suite(self) -> bool:
        """Whether this folder is where the suite's data are, rather than the hub."""
        return (self.root / self.suite).is_dir()

    def find(self, split: str, is_evaluated: bool) -> Path | None:
        """The file of a split, or None."""
        stems = [f"{code}_{split}" for code in _codes(self.language)]
        stems += [*_codes(self.language)] if is_evaluated else []
        folders = (self.root / self.suite / self.task, self.root / self.suite)
        paths = (folder / f"{stem}.{extension}" for folder in folders for stem in stems for extension in _EXTENSIONS)
        return next((x for x in paths if x.is_file()), None)

    @property
    def folder(self) -> str:
        """Where the suite's files lie, for messages."""
        return str(self.root / self.suite)

    @property
    def pattern(self) -> str:
        """What a file must be called, for messages."""
        return str(self.root / self.suite / f"{self.language}_SPLIT.{{{','.join(_EXTENSIONS)}}}")


def _codes(language: str) -> tuple[str, ...]:
    return ("no", "nb") if language == "no" else (language,)


def load(source: Source, local: LocalFiles | None = None, few_shot: bool = False) -> dict[str, Any]:
    """Split -> ``datasets.Dataset``, checked. Without ``few_shot`` only the evaluated split is read; the others, which
    a task may name all the same, are empty.

    ``local`` is used where it holds the suite, else the hub. Raises DataError, which names data set, field and remedy.
    """
    files = local if local is not None and local.holds_suite else None
    found = _from_files(source, files) if files else _from_hub(source)
    where = f"{files.folder}, {files.language}" if files else source.name
    splits = dict.fromkeys(source.splits)
    wanted = list(splits) if few_shot else [source.splits[0]]
    for split in wanted:
        if split not in found:
            expected = f"; a file {files.pattern} is expected" if files else ""
            raise DataError(
                f"data set {where} has no split {split!r} (it has: {', '.join(found) or 'none'}){expected}."
            )
    rows = {split: _checked(source, where, split, found[split]) for split in wanted}
    return {split: rows[split] if split in rows else rows[source.splits[0]].select([]) for split in splits}


def _from_files(source: Source, local: LocalFiles) -> dict[str, Any]:
    files = {split: local.find(split, number == 0) for number, split in enumerate(dict.fromkeys(source.splits))}
    return {split: _read(path, source) for split, path in files.items() if path is not None}


def _read(path: Path, source: Source) -> Any:
    import pandas as pd
    from datasets import Dataset

    try:
        if path.suffix == ".jsonl":
            return Dataset.from_dict(_read_jsonl(path))
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_tsv(path, source)
        return Dataset.from_pandas(table, preserve_index=False)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} can't be read: {first_line(error)}.") from error


def _read_jsonl(path: Path) -> dict[str, list[Any]]:
    """Column -> values, None where a line leaves it out. Raises ValueError for a line that is not a JSON object."""
    lines = path.read_text(encoding="utf-8").split("\n")
    rows = [json.loads(x) for x in lines if x.strip()]
    if not all(isinstance(x, dict) for x in rows):
        raise ValueError("every line must be a JSON object")
    columns = dict.fromkeys(column for row in rows for column in row)
    return {column: [row.get(column) for row in rows] for column in columns}


def _read_tsv(path: Path, source: Source) -> Any:
    import pandas as pd

    header = path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r").split("\t")
    named = bool(set(header) & set(source.columns)) or not source.headerless
    return pd.read_csv(
        path,
        sep="\t",
        dtype=str,
        keep_default_na=False,
        header=0 if named else None,
        names=None if named else list(source.headerless),
    )


def _from_hub(source: Source) -> dict[str, Any]:
    """All splits of the data set, under the first of its ids that the hub knows."""
    tried: list[Exception] = []
    for name in (source.dataset, *source.also):
        try:
            with _quiet_datasets():
                return _download(name, source.config, source.revision)
        except Exception as error:  # a hub, a network, files and their readers can all fail in their own ways
            tried.append(error)
            if not _is_unknown(error):
                break
    raise _explained(source, tried[-1] if not _is_unknown(tried[-1]) else tried[0]) from tried[0]


def _download(name: str, config: str | None, revision: str | None) -> dict[str, Any]:
    """The data set at a commit, from the hub or its local cache."""
    import datasets
    from huggingface_hub import HfApi, is_offline_mode

    if not is_offline_mode():
        # Asked first because it has a timeout, and because ``datasets`` would fall back on whatever is in the cache.
        revision = HfApi().dataset_info(name, revision=revision, timeout=_TIMEOUT_SECONDS).sha
    found = datasets.load_dataset(name, config, revision=revision)
    commits = {Path(x["filename"]).parent.name for rows in found.values() for x in rows.cache_files}
    if revision and (others := {x for x in commits if _COMMIT.fullmatch(x)} - {revision}):
        raise _OtherCommit(f"the cache holds commit {', '.join(sorted(others))}, not {revision}")
    return {str(split): rows for split, rows in found.items()}


class _OtherCommit(Exception):
    """The cache holds another commit than the pinned one; ``datasets`` takes any where there is no network."""


def _is_unknown(error: Exception) -> bool:
    """Whether the hub knows no data set of this name; a gated one is known."""
    names = {type(x).__name__ for x in _causes(error)}
    return bool(names & {"DatasetNotFoundError", "RepositoryNotFoundError"}) and not _is_gated(error)


def _is_gated(error: Exception) -> bool:
    return any(type(x).__name__ == "GatedRepoError" or "gated dataset" in str(x) for x in _causes(error))


def _explained(source: Source, error: Exception) -> DataError:
    """What went wrong, and what to do about it, in one sentence."""
    chain = [*_causes(error)]
    names = {type(x).__name__ for x in chain}
    text = " ".join(str(x) for x in chain)
    pin = f"data set {source.name}"
    if _is_gated(error):
        return DataError(
            f"{pin} is gated: accept its terms on the hub, set HF_TOKEN to a token that may read it, and run again."
        )
    if "RevisionNotFoundError" in names:
        return DataError(f"{pin}: the hub has no such revision: correct it under `revisions:` in the config.")
    if (
        isinstance(error, _OtherCommit)
        or "OfflineModeIsEnabled" in text
        or "OfflineModeIsEnabled" in names
        or "Couldn't find cache" in text
    ):
        why = f"; {error}" if isinstance(error, _OtherCommit) else ""
        return DataError(
            f"{pin} is not in the local cache and the hub is switched off (HF_HUB_OFFLINE){why}: "
            "run `croco-eval prefetch CONFIG` where there is a network."
        )
    if "BuilderConfig" in text and "not found" in text:
        return DataError(f"{pin}: the hub's data set has no such configuration: {first_line(error)}.")
    if _is_unknown(error):
        tried = f" (nor is {' or '.join(source.also)})" if source.also else ""
        return DataError(
            f"{pin} is not on the hub{tried}: it is private, and HF_TOKEN must be set, or it was renamed or removed, "
            "and its files can be given with `data_root:`."
        )
    if names & _NO_ANSWER:
        return DataError(
            f"{pin} can't be fetched: the hub does not answer or breaks off ({type(error).__name__}); try again, or "
            "set HF_HUB_OFFLINE=1 to use what was fetched before."
        )
    return DataError(f"{pin} can't be read: {type(chain[-1]).__name__}: {first_line(chain[-1])}.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _checked(source: Source, where: str, split: str, rows: Any) -> Any:
    """The rows with every column that the task reads. Raises DataError for what is missing or unknown."""
    have = list(rows.column_names)
    if lost := [x for x in source.columns if x not in have]:
        raise DataError(
            f"data set {where}, split {split!r}: column {lost[0]!r} is missing (it has: {', '.join(have[:_SHOWN])}); "
            "the data set has changed: pin a revision that has it with `revisions:` in the config."
        )
    for column, allowed in source.labels.items():
        names = getattr(rows.features[column], "names", None)
        known = {*allowed, *(range(len(names)) if names else ())}
        for number, value in enumerate(rows[column]):
            if value not in known:
                raise DataError(
                    f"data set {where}, split {split!r}, row {number + 1}: {column!r} is {value!r}, which is none of "
                    f"{', '.join(map(str, allowed))}; the data set has changed: pin a revision with `revisions:`."
                )
    for column in source.optional:
        if column not in have:
            rows = rows.add_column(column, [None] * len(rows))
    return rows


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """``datasets`` and ``huggingface_hub`` write warnings of their own; ours is the message that counts."""
    import datasets

    level = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity_error()
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if shown:
            datasets.enable_progress_bars()


def local_files(data_root: str | None, suite: str, task: str, language: str) -> LocalFiles | None:
    """The local files of a task where the config names a ``data_root``. Raises DataError if that is no folder."""
    if data_root is None:
        return None
    root = Path(data_root)
    if not root.is_dir():
        raise DataError(f"data_root {os.fspath(root)!r} is not a folder.")
    return LocalFiles(root, suite, task, language)
