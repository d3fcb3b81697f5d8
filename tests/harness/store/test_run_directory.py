"""The run directory: nothing is half written, nothing is lost, one writer at a time."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from croco_eval.harness.api.records import Generation, Item, Judgment, Score
from croco_eval.harness.errors import StoreError
from croco_eval.harness.store.files import AppendLog, read_json, write_atomically, write_json
from croco_eval.harness.store.parquet import read_records, write_records
from croco_eval.harness.store.run_directory import SCHEMA_VERSION, CellFolder, RunDirectory, RunLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ODD = 'ħobż\n\t"quoted" \u2028 {answer} [[1]] 日本 \U0001f40a e\u0301'
ITEM = Item("i/da", "i", "month", ODD, '{"a": 1}')
SCORE = Score("i/da", "i", "month", "acc", "binary", True, 1.0, None, "juni", "juni")
GENERATION = Generation("i/da", 0, "prompt", None, ODD, "stop", None, None, 7)
LIKELIHOOD = Generation("i/da", 1, "context", " juni", None, None, -1.5, False, 2)
JUDGMENT = Judgment("i/da", "i", "month", "candidate_first", "tie", None, "{}")

RECORDS = {
    "items": (Item, [ITEM, replace(ITEM, item_id="j/da", prompt="")]),
    "generations": (Generation, [GENERATION, LIKELIHOOD]),
    "scores": (Score, [SCORE, replace(SCORE, value=None, unscored="cut off", gold=None, predicted=None)]),
    "judgments": (Judgment, [JUDGMENT, replace(JUDGMENT, verdict=None, unscored="refused")]),
}
stored = pytest.mark.parametrize(("kind", "rows"), RECORDS.values(), ids=RECORDS)


@contextmanager
def no_file_longer_than(size: int):
    """A disk that is full after ``size`` bytes per file: the kernel refuses the rest of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# Records


@stored
def test_records_come_back_from_parquet_as_they_were(tmp_path, kind, rows):
    file = tmp_path / "deep" / "rows.parquet"
    write_records(file, kind, rows)
    assert read_records(file, kind) == rows


@stored
def test_none_is_kept_as_none(tmp_path, kind, rows):
    file = tmp_path / "rows.parquet"
    write_records(file, kind, rows)
    for was, now in zip(rows, read_records(file, kind), strict=True):
        for field in vars(was):
            assert (getattr(now, field) is None) is (getattr(was, field) is None), field
            assert type(getattr(now, field)) is type(getattr(was, field)), field


@stored
def test_column_in_which_all_is_none_keeps_its_type(tmp_path, kind, rows):
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    write_records(one, kind, rows)
    write_records(other, kind, rows[-1:])
    assert pq.read_schema(one) == pq.read_schema(other)


@stored
def test_empty_list_keeps_the_columns_and_their_types(tmp_path, kind, rows):
    empty, full = tmp_path / "empty.parquet", tmp_path / "full.parquet"
    write_records(empty, kind, [])
    write_records(full, kind, rows)
    assert read_records(empty, kind) == []
    assert pq.read_schema(empty) == pq.read_schema(full)
    assert list(pq.read_schema(empty).names) == list(kind.__dataclass_fields__)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.none() | st.text(), min_size=1, max_size=4),
    value=st.none() | st.floats(allow_nan=False),
    flag=st.none() | st.booleans(),
)
def test_any_text_and_number_survives_parquet(tmp_path, texts, value, flag):
    rows = [Generation("i", i, "p", x, x, x, value, flag, i) for i, x in enumerate(texts)]
    write_records(tmp_path / "rows.parquet", Generation, rows)
    assert read_records(tmp_path / "rows.parquet", Generation) == rows


def test_same_records_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_records(tmp_path / name, Score, RECORDS["scores"][1])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_records_of_another_kind_are_refused(tmp_path):
    write_records(tmp_path / "rows.parquet", Item, [ITEM])
    with pytest.raises(StoreError, match="Score records"):
        read_records(tmp_path / "rows.parquet", Score)


def test_missing_records_are_refused_by_name(tmp_path):
    with pytest.raises(StoreError, match=r"absent\.parquet can't be read"):
        read_records(tmp_path / "absent.parquet", Item)


@pytest.mark.parametrize("keep", [0, 3, 200])
def test_damaged_records_are_refused_by_name(tmp_path, keep):
    file = tmp_path / "rows.parquet"
    write_records(file, Item, [ITEM])
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(StoreError, match=r"rows\.parquet can't be read"):
        read_records(file, Item)


# JSON files


def test_json_comes_back_as_it_was(tmp_path):
    value = {"b": [1, None, True], "a": {"ħ": ODD}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
    assert "ħ" in (tmp_path / "x.json").read_text(encoding="utf-8")


def test_missing_json_is_refused_by_name(tmp_path):
    with pytest.raises(StoreError, match=r"x\.json can't be read"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe"])
def test_damaged_json_is_refused_by_name(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.json is damaged"):
        read_json(tmp_path / "x.json")


# Whole files


def _files(folder):
    return sorted(str(x.relative_to(folder)) for x in folder.rglob("*") if x.is_file())


def test_written_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path):
    file = tmp_path / "new" / "x.txt"
    write_atomically(file, "old")
    write_atomically(file, "ħ new")
    write_atomically(tmp_path / "new" / "y.bin", b"\x00\xff")
    assert file.read_text(encoding="utf-8") == "ħ new"
    assert (tmp_path / "new" / "y.bin").read_bytes() == b"\x00\xff"
    assert _files(tmp_path) == ["new/x.txt", "new/y.bin"]


def test_reader_of_the_old_file_is_not_disturbed(tmp_path):
    file = tmp_path / "x.txt"
    write_atomically(file, "old content")
    with file.open() as reader:
        write_atomically(file, "NEW")
        assert reader.read() == "old content"
    assert file.read_text() == "NEW"


def test_content_has_reached_the_disk_before_the_file_has_its_name(tmp_path, monkeypatch):
    file, seen = tmp_path / "x.txt", []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (fsync(fd), seen.append((os.fstat(fd).st_size, file.exists()))))
    write_atomically(file, "12345")
    assert seen[0] == (5, False)


def test_target_that_is_a_folder_is_refused_and_kept(tmp_path):
    target = tmp_path / "x"
    target.mkdir()
    (target / "inside").write_text("kept")
    with pytest.raises(StoreError, match=r"x can't be written: "):
        write_atomically(target, "new")
    assert _files(tmp_path) == ["x/inside"]


def test_old_content_is_kept_when_the_disk_is_full(tmp_path):
    file = tmp_path / "x.txt"
    write_atomically(file, "old")
    with no_file_longer_than(1000), pytest.raises(StoreError, match=r"x\.txt can't be written: "):
        write_atomically(file, "n" * 5000)
    assert file.read_text() == "old"
    assert _files(tmp_path) == ["x.txt"]


def test_records_that_do_not_fit_on_the_disk_are_not_there_at_all(tmp_path):
    with no_file_longer_than(100), pytest.raises(StoreError, match="can't be written"):
        write_records(tmp_path / "rows.parquet", Item, [ITEM])
    assert _files(tmp_path) == []


def test_file_in_the_place_of_a_folder_is_a_store_error(tmp_path):
    (tmp_path / "cells").write_text("a file")
    with pytest.raises(StoreError, match="cells"):
        write_atomically(tmp_path / "cells" / "x.json", "{}")


# The log of a running cell


def test_rows_are_on_the_disk_when_append_returns(tmp_path):
    log = AppendLog(tmp_path / "deep" / "x.jsonl")
    log.append([{"a": 1}, {"a": ODD}])
    lines = (tmp_path / "deep" / "x.jsonl").read_bytes().decode().split("\n")
    assert [json.loads(x) for x in lines[:-1]] == [{"a": 1}, {"a": ODD}]
    assert lines[-1] == ""
    log.close()


def test_append_returns_only_after_all_its_bytes_were_synced(tmp_path, monkeypatch):
    log, seen = AppendLog(tmp_path / "x.jsonl"), []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (fsync(fd), seen.append(os.fstat(fd).st_size)))
    log.append([{"a": 1}])
    log.append([{"a": 2}, {"a": 3}])
    assert seen == [9, 27]
    log.close()


def test_reopened_log_goes_on_after_its_rows(tmp_path):
    for i in range(3):
        log = AppendLog(tmp_path / "x.jsonl")
        log.append([{"i": i}])
        log.close()
    log = AppendLog(tmp_path / "x.jsonl")
    assert log.rows() == [{"i": 0}, {"i": 1}, {"i": 2}]
    log.close()


def test_new_log_has_no_rows_and_appending_nothing_adds_none(tmp_path):
    log = AppendLog(tmp_path / "x.jsonl")
    log.append([])
    assert log.rows() == []
    log.close()


WHOLE = [{"text": ODD}, {"text": "æ"}]
LINES = [json.dumps(x, ensure_ascii=False).encode() + b"\n" for x in WHOLE]
TORN = json.dumps({"text": "ħħħħ"}, ensure_ascii=False).encode()


@pytest.mark.parametrize("torn", [TORN[:i] for i in (1, len(TORN) // 2, len(TORN) // 2 + 1, len(TORN))])
def test_torn_last_line_is_dropped_and_whole_ones_are_kept(tmp_path, torn):
    (tmp_path / "x.jsonl").write_bytes(b"".join(LINES) + torn)
    log = AppendLog(tmp_path / "x.jsonl")
    assert log.rows() == WHOLE
    log.append([{"text": "next"}])
    log.close()
    log = AppendLog(tmp_path / "x.jsonl")
    assert log.rows() == [*WHOLE, {"text": "next"}]
    log.close()


def test_log_that_is_one_torn_line_is_empty(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(TORN)
    log = AppendLog(tmp_path / "x.jsonl")
    assert log.rows() == []
    log.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_sentence_that_names_the_file(tmp_path):
    log = AppendLog(tmp_path / "x.jsonl")
    log._file.close()
    log._file = open("/dev/full", "ab")  # noqa: SIM115
    with pytest.raises(StoreError) as refused:
        log.append([{"a": 1}])
    assert str(refused.value) == f"{tmp_path / 'x.jsonl'} can't be written: No space left on device."
    log.close()


def test_rows_that_did_not_fit_are_dropped_on_resume(tmp_path):
    log = AppendLog(tmp_path / "x.jsonl")
    with no_file_longer_than(1000):
        log.append([{"a": "x" * 500}])
        with pytest.raises(StoreError, match="can't be written"):
            log.append([{"b": "y" * 600}])
        log.close()
    log = AppendLog(tmp_path / "x.jsonl")
    assert log.rows() == [{"a": "x" * 500}]
    log.close()


def test_rows_of_a_killed_process_are_there(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from croco_eval.harness.store.run_directory import AppendLog\n"
        "log = AppendLog(Path(sys.argv[1])); log.append([{'i': 0}, {'i': 1}])\n"
        "log._file.write(b'{\"i\": 2'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.jsonl"], timeout=60)
    assert done.returncode == -signal.SIGKILL
    log = AppendLog(tmp_path / "x.jsonl")
    assert log.rows() == [{"i": 0}, {"i": 1}]
    log.close()


# The lock

HOLD = """
import sys
from pathlib import Path
from croco_eval.harness.store.run_directory import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_second_writer_is_told_who_holds_the_run(tmp_path, holder):
    with pytest.raises(StoreError) as refused, RunLock(tmp_path):
        pass
    said = str(refused.value)
    assert str(tmp_path) in said
    assert f'"pid": {holder.pid}' in said
    assert f'"host": "{socket.gethostname()}"' in said


def test_refused_writer_does_not_disturb_the_holder(tmp_path, holder):
    for _ in range(2):
        with pytest.raises(StoreError, match=f'"pid": {holder.pid},'), RunLock(tmp_path):
            pass


def test_lock_of_a_dead_process_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=60)
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_lock_is_free_once_its_holder_has_ended_properly(tmp_path, holder):
    holder.communicate(timeout=60)
    assert holder.returncode == 0
    with RunLock(tmp_path):
        pass


def test_lock_is_free_after_an_error_inside(tmp_path):
    with pytest.raises(ZeroDivisionError), RunLock(tmp_path):
        raise ZeroDivisionError
    with RunLock(tmp_path), pytest.raises(StoreError, match=f'"pid": {os.getpid()},'), RunLock(tmp_path):
        pass


def test_lock_in_a_folder_that_is_not_there_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="absent can't be written"), RunLock(tmp_path / "absent"):
        pass


# Cells


def _seal(cell: CellFolder) -> None:
    cell.seal(RECORDS, {"fingerprint": {"seed": 0}, "signature": "suite:x", "n_items": 2})


def test_new_cell_is_neither_begun_nor_sealed(tmp_path):
    cell = CellFolder(tmp_path / "cell")
    assert not cell.is_sealed
    assert cell.begun_with() is None


def test_begun_cell_knows_its_fingerprint_and_is_not_sealed(tmp_path):
    cell = CellFolder(tmp_path / "cell")
    cell.begin({"seed": 0, "task.data": "ab"})
    assert cell.begun_with() == {"seed": 0, "task.data": "ab"}
    assert not cell.is_sealed


def test_sealed_cell_holds_its_records_and_nothing_that_was_only_for_running(tmp_path):
    cell = CellFolder(tmp_path / "cell")
    cell.begin({"seed": 0})
    log = cell.log("generations")
    log.append([{"a": 1}])
    log.close()
    _seal(cell)
    assert cell.is_sealed
    assert cell.begun_with() == {"seed": 0}
    assert cell.seal_info() == {"fingerprint": {"seed": 0}, "signature": "suite:x", "n_items": 2}
    assert _files(cell.path) == ["cell.json", *sorted(f"{x}.parquet" for x in RECORDS)]
    for name, (kind, rows) in RECORDS.items():
        assert read_records(cell.path / f"{name}.parquet", kind) == rows


def test_cell_whose_sealing_failed_is_still_begun_and_keeps_its_log(tmp_path):
    cell = CellFolder(tmp_path / "cell")
    cell.begin({"seed": 0})
    log = cell.log("generations")
    log.append([{"a": 1}])
    log.close()
    with no_file_longer_than(100), pytest.raises(StoreError):
        _seal(cell)
    assert not cell.is_sealed
    assert cell.begun_with() == {"seed": 0}
    log = cell.log("generations")
    assert log.rows() == [{"a": 1}]
    log.close()
    _seal(cell)
    assert cell.is_sealed


def test_cell_that_was_killed_between_its_tables_and_its_seal_is_not_sealed(tmp_path):
    cell = CellFolder(tmp_path / "cell")
    _seal(cell)
    (cell.path / "cell.json").unlink()
    assert not cell.is_sealed
    with pytest.raises(StoreError, match=r"cell\.json can't be read"):
        cell.seal_info()


# The run


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match="not a run directory"):
        RunDirectory.open(tmp_path)
    with pytest.raises(StoreError, match="not a run directory"):
        RunDirectory.open(tmp_path / "absent")


def test_run_of_this_version_is_opened(tmp_path):
    write_json(tmp_path / "manifest.json", {"schema_version": SCHEMA_VERSION, "seed": 5})
    run = RunDirectory.open(tmp_path)
    assert run.manifest()["seed"] == 5
    assert run.config_text() is None


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, None])
def test_run_of_another_schema_version_is_refused_with_both_versions(tmp_path, version):
    write_json(tmp_path / "manifest.json", {"schema_version": version})
    with pytest.raises(StoreError) as refused:
        RunDirectory.open(tmp_path)
    said = str(refused.value)
    assert f"schema version {version};" in said
    assert f"reads versions 1 to {SCHEMA_VERSION}" in said


@pytest.mark.parametrize("content", ["{", "[]", "null"])
def test_damaged_manifest_is_a_store_error(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=r"manifest\.json"):
        RunDirectory.open(tmp_path)


def test_cells_and_judgments_of_one_run_lie_apart(tmp_path):
    run = RunDirectory(tmp_path)
    folders = {run.cell(s, x, c).path for s in ("a", "b") for x in ("s", "t") for c in ("da", "de")}
    folders |= {run.judgments("j", c, "a", x, "da").path for c in ("b", "c") for x in ("s", "t")}
    assert len(folders) == 12
    assert run.cell("a", "s", "da").path == tmp_path / "cells" / "a" / "s" / "da"
    assert run.judgments("j", "b", "a", "s", "da").path == tmp_path / "judgments" / "j" / "b__a" / "s" / "da"
