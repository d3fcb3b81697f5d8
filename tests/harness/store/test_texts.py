"""Single long texts out of a Parquet file, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from croco_eval.harness.store import texts as long_texts
from croco_eval.harness.store.parquet import LONG_TEXT, read_records, write_records
from croco_eval.harness.store.texts import LongTexts


@dataclass(frozen=True)
class Note:
    number: int
    text: str = field(metadata=LONG_TEXT)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[Note]:
    monkeypatch.setattr(long_texts, "ROWS_PER_GROUP", 16)
    rng = np.random.default_rng(1)
    texts = ["æ€𝄞"[i % 3] * int(rng.integers(0, 300)) for i in range(50)]
    return [Note(i, x) for i, x in enumerate(texts)]


def opened(path: Path) -> LongTexts:
    return LongTexts(path, pq.ParquetFile(path), "text")


ROWS = np.array([49, 3, 3, 0, 17, 15, 16])


def test_texts_are_fetched_from_where_they_lie(tmp_path: Path, notes: list[Note], monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "notes.parquet"
    write_records(path, Note, notes)
    assert pq.ParquetFile(path).num_row_groups > 1
    texts = opened(path)
    assert texts.lengths.tolist() == [len(x.text.encode()) for x in notes]
    monkeypatch.setattr(texts, "_read", None)  # no row group is read
    assert texts.take(ROWS) == [notes[x].text.encode() for x in ROWS]
    assert texts.take(ROWS[:0]) == []
    assert read_records(path, Note) == notes
    assert pd.read_parquet(path)["text"].tolist() == [x.text for x in notes]


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_files_of_other_programs_are_read_by_row_group(tmp_path: Path, notes: list[Note], compression: str):
    path = tmp_path / "notes.parquet"
    frame = pd.DataFrame({"number": range(50), "text": [x.text for x in notes]})
    frame.to_parquet(path, compression=compression, row_group_size=9)
    texts = opened(path)
    assert texts.lengths.tolist() == [len(x.text.encode()) for x in notes]
    assert texts.take(ROWS) == [notes[x].text.encode() for x in ROWS]


@pytest.mark.parametrize("options", [{"data_page_size": 64, "write_batch_size": 4}, {"compression": "zstd"}, {}])
def test_lengths_that_do_not_lead_to_the_texts_are_noticed(tmp_path: Path, notes: list[Note], options: dict):
    path = tmp_path / "notes.parquet"
    lengths = pa.array([len(x.text.encode()) for x in notes], pa.int32())
    columns = {"number": range(50), "text": [x.text for x in notes], "text_bytes": lengths}
    pq.write_table(pa.table(columns), path, **{"use_dictionary": False, "compression": "none", **options})
    assert opened(path).take(ROWS) == [notes[x].text.encode() for x in ROWS]


def test_a_row_group_holds_no_more_than_fits_into_memory(monkeypatch: pytest.MonkeyPatch):
    table = pa.table({"text": ["x" * 1000] * 100})
    monkeypatch.setattr(long_texts, "_BYTES_PER_GROUP", 10_000)
    assert long_texts.rows_per_group(table) == pytest.approx(10, abs=1)
    assert long_texts.rows_per_group(table.slice(0, 0)) >= 1
