"""Arrow columns and NumPy arrays, against PyArrow's own conversions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from croco_eval.harness.store.columns import characters, codes, nulls, numbers, texts, values
from hypothesis import given, settings
from hypothesis import strategies as st

kinds = {pa.int32(): st.integers(-9, 9), pa.int64(): st.integers(), pa.float64(): st.floats(allow_nan=False)}
kinds[pa.bool_()] = st.booleans()
small = kinds | {pa.int64(): st.integers(-(2**62), 2**62)}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(list(small)))
def test_values_and_nulls_are_those_of_the_column(data, kind):
    chunks = data.draw(st.lists(st.lists(st.none() | small[kind], max_size=12), max_size=3))
    begin = data.draw(st.integers(0, 3))
    column = pa.chunked_array([pa.array(x, kind).slice(begin) for x in chunks], kind)
    expected = column.to_pylist()
    assert nulls(column).tolist() == [x is None for x in expected]
    assert [v for v, x in zip(values(column).tolist(), expected, strict=True) if x is not None] == [
        x for x in expected if x is not None
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.none() | st.sampled_from(["a", "ø", "", "b"]), max_size=8), max_size=3), st.booleans())
def test_codes_name_the_text_of_each_row(chunks, encoded: bool):
    column = pa.chunked_array([pa.array(x, pa.string()) for x in chunks], pa.string())
    places, names = codes(column.dictionary_encode() if encoded else column)
    assert [None if x < 0 else names[x] for x in places] == column.to_pylist()
    assert len(set(names)) == len(names)


def test_arrays_and_texts_become_arrow_arrays():
    assert numbers(np.array([1.5, float("inf")])).to_pylist() == [1.5, float("inf")]
    assert numbers(np.arange(6)[::2]).to_pylist() == [0, 2, 4]
    assert texts(["å".encode(), b"", "€b".encode()]).to_pylist() == ["å", "", "€b"]
    assert texts([]).type == pa.string()
    with pytest.raises(KeyError):
        numbers(np.array(["a"]))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_characters_are_counted_in_utf8(written):
    assert characters([x.encode() for x in written]) == [len(x) for x in written]


def test_pandas_is_not_imported():
    code = (
        "import sys, numpy as np, pyarrow as pa\n"
        "from croco_eval.harness.store.columns import codes, numbers, texts, values\n"
        "values(pa.chunked_array([numbers(np.arange(3))])); codes(pa.chunked_array([texts([b'a'])]))\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
