"""Single long texts out of a dataset, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from croco_eval.harness.errors import StoreError
from croco_eval.harness.store import parquet
from croco_eval.harness.store.parquet import LONG_TEXT, read_records, write_records
from croco_eval.harness.store.texts import LongTexts, texts_file


@dataclass(frozen=True)
class Note:
    number: int
    text: str = field(metadata=LONG_TEXT)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[Note]:
    monkeypatch.setattr(parquet, "_ROWS_AT_ONCE", 16)
    rng = np.random.default_rng(1)
    texts = ["æ€𝄞"[i % 3] * int(rng.integers(0, 300)) for i in range(50)]
    return [Note(i, x) for i, x in enumerate(texts)]


def opened(path: Path) -> LongTexts:
    return LongTexts(path, pq.ParquetFile(path), "text")


ROWS = np.array([49, 3, 3, 0, 17, 15, 16])


def test_texts_are_fetched_from_the_file_beside_the_other_columns(tmp_path: Path, notes: list[Note]):
    path = tmp_path / "notes.parquet"
    write_records(path, Note, notes)
    assert pq.ParquetFile(path).schema_arrow.names == ["number"]
    texts = opened(path)
    assert texts.lengths.tolist() == [len(x.text.encode()) for x in notes]
    assert texts.take(ROWS) == [notes[x].text.encode() for x in ROWS]
    assert texts.take(ROWS[:0]) == []
    assert read_records(path, Note) == notes
    assert pd.read_feather(texts_file(path))["text"].tolist() == [x.text for x in notes]


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_texts_in_the_parquet_file_are_read_from_there(tmp_path: Path, notes: list[Note], compression: str):
    """As earlier versions and other programs write them."""
    path = tmp_path / "notes.parquet"
    frame = pd.DataFrame({"number": range(50), "text": [x.text for x in notes]})
    frame.to_parquet(path, compression=compression, row_group_size=9)
    texts = opened(path)
    assert texts.lengths.tolist() == [len(x.text.encode()) for x in notes]
    assert texts.take(ROWS) == [notes[x].text.encode() for x in ROWS]
    assert read_records(path, Note) == notes


@pytest.mark.parametrize("content", [None, b"", b"no arrow file"])
def test_texts_that_are_missing_or_damaged_are_told(tmp_path: Path, notes: list[Note], content: bytes | None):
    path = tmp_path / "notes.parquet"
    write_records(path, Note, notes)
    texts_file(path).unlink()
    if content is not None:
        texts_file(path).write_bytes(content)
    for read in (opened, lambda x: read_records(x, Note)):
        with pytest.raises(
            StoreError, match=r"notes\.arrow, which holds the texts 'text' of notes\.parquet, can't be read"
        ):
            read(path)


def test_texts_of_another_dataset_are_told(tmp_path: Path, notes: list[Note]):
    path = tmp_path / "notes.parquet"
    write_records(path, Note, notes[:3])
    beside = texts_file(path).read_bytes()
    write_records(path, Note, notes)
    texts_file(path).write_bytes(beside)
    for read in (opened, lambda x: read_records(x, Note)):
        with pytest.raises(StoreError, match=r"notes\.arrow holds 3 texts for the 50 rows of notes\.parquet"):
            read(path)


def test_no_records_are_no_texts(tmp_path: Path):
    path = tmp_path / "notes.parquet"
    write_records(path, Note, [])
    assert (read_records(path, Note), len(opened(path).lengths)) == ([], 0)
