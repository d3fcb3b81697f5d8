"""What counts as the same thing, and what as another."""

from __future__ import annotations

import json

import pytest
from croco_eval.harness.store.fingerprint import NEUTRAL, differing, digest, file_digest, folder_digest
from hypothesis import given, settings
from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.dictionaries(st.text(max_size=5), json_values, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_order_of_keys_does_not_matter(value, rng):
    keys = list(value)
    rng.shuffle(keys)
    assert digest({k: value[k] for k in keys}) == digest(value)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(json_values, json_values)
def test_digests_agree_exactly_where_the_json_does(a, b):
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert (digest(a) == digest(b)) is same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"seed": 0}, {"seed": 1}),
        ({"seed": 0}, {"sead": 0}),
        ({"seed": 0}, {"seed": "0"}),
        ({"seed": 0}, {"seed": None}),
        (["a", "b"], ["b", "a"]),
        (["ab", "c"], ["a", "bc"]),
        ("é", "e\u0301"),
    ],
)
def test_content_matters(a, b):
    assert digest(a) != digest(b)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "model"
    (root / "part").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "part" / "weights.bin").write_bytes(b"\x00\x01" * 10)
    return root


def _change_content(root):
    (root / "part" / "weights.bin").write_bytes(b"\x00\x01" * 9 + b"\x00\x02")


def _rename_file(root):
    (root / "config.json").rename(root / "config2.json")


def _rename_subfolder(root):
    (root / "part").rename(root / "parts")


def _add_file(root):
    (root / "adapter.bin").write_bytes(b"")


def _remove_file(root):
    (root / "config.json").unlink()


def _swap_contents(root):
    (root / "config.json").write_bytes(b"\x00\x01" * 10)
    (root / "part" / "weights.bin").write_text("{}")


@pytest.mark.parametrize(
    "change", [_change_content, _rename_file, _rename_subfolder, _add_file, _remove_file, _swap_contents]
)
def test_any_change_to_a_file_changes_its_folders_digest(folder, change):
    before = folder_digest(folder)
    change(folder)
    assert folder_digest(folder) != before


def test_folder_digest_is_the_same_wherever_the_folder_lies(folder, tmp_path):
    before = folder_digest(folder)
    assert folder_digest(folder.rename(tmp_path / "elsewhere")) == before


def test_hidden_file_does_not_matter(folder):
    before = folder_digest(folder)
    (folder / ".lock").write_text("held")
    assert folder_digest(folder) == before


def test_files_in_a_hidden_folder_do_not_matter_either(folder):
    """``hf download --local-dir`` leaves time stamps in ``.cache/huggingface/``."""
    before = folder_digest(folder)
    cache = folder / ".cache" / "huggingface" / "download"
    cache.mkdir(parents=True)
    (cache / "config.json.metadata").write_text("etag\n1764000000.0\n")
    assert folder_digest(folder) == before


def test_file_of_the_hub_cache_is_known_by_its_blobs_name(tmp_path):
    blob = tmp_path / "blobs" / ("ab" * 32)
    blob.parent.mkdir()
    blob.write_bytes(b"any")
    link = tmp_path / "snapshots" / "main" / "model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert file_digest(link) == "ab" * 32


def test_fields_with_the_same_values_do_not_differ():
    assert differing({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}) == []


def test_changed_field_is_named_with_both_values():
    assert differing({"system.seed": 0, "suite": "x"}, {"system.seed": 1, "suite": "x"}) == ["system.seed: 0 -> 1"]


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_neutral_setting_is_ignored_wherever_it_stands(name):
    assert differing({name: 1, f"systems.base.{name}": 1}, {name: 2}) == []


def test_only_the_last_part_of_a_fields_name_makes_it_neutral():
    assert differing({"batch_tokens.limit": 1}, {"batch_tokens.limit": 2}) != []


@pytest.mark.parametrize("value", [1, None, False, "", []])
def test_new_field_counts_as_a_difference_whatever_its_value(value):
    (difference,) = differing({"a": 1}, {"a": 1, "new": value})
    assert difference.startswith("new: ")


def test_field_that_went_counts_as_a_difference():
    (difference,) = differing({"a": 1, "old": None}, {"a": 1})
    assert difference.startswith("old: None -> ")
