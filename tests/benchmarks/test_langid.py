"""What ``benchmarks/langid.py`` counts, on texts few enough to count by hand."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest
from croco_eval.harness.text.langid import Identification
from croco_eval.harness.text.languages import LANGUAGES
from helpers.paths import ROOT

FILE = ROOT / "benchmarks" / "langid.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = spec_from_file_location("langid_benchmark", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def found(letters: int = 100, **probabilities: float) -> Identification:
    """A text with these probabilities; the rest has none."""
    shares = {x: probabilities.get(x, 0.0) for x in LANGUAGES}
    return Identification(dict(sorted(shares.items(), key=lambda x: -x[1])), 0.0, letters, letters)


def cells(table: str) -> list[list[str]]:
    """Rows of a Markdown table, its head first."""
    rows = [[x.strip() for x in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows.pop(1) == ["---"] * len(rows[0])
    return rows


def test_texts_are_joined_in_order_and_the_rest_is_dropped(benchmark):
    assert benchmark.joined(["a", "b", "c", "d", "e"], 2) == ["a b", "c d"]
    assert benchmark.joined(["a", "b"], 1) == ["a", "b"]
    assert benchmark.joined(["a", "b"], 4) == []


def test_opening_ends_with_the_word_that_has_the_last_letter_wanted(benchmark):
    assert benchmark.opening("Den 12. maj var det koldt", 6) == "Den 12. maj"
    assert benchmark.opening("Den 12. maj var det koldt", 7) == "Den 12. maj var"
    assert benchmark.opening("Den 12. maj", 7) is None


def test_confusion_counts_the_most_likely_language(benchmark):
    counts = benchmark.confusion({"da": [found(da=0.6, no=0.4), found(no=0.9), found(no=0.7)]})
    assert {x: n for x, n in counts["da"].items() if n} == {"da": 1, "no": 2}
    assert set(counts["da"]) == set(LANGUAGES)


def test_matrix_has_the_counts_and_the_shares_of_each_language(benchmark):
    texts = [found(da=1.0), found(da=0.6, no=0.4), found(da=0.45, no=0.55), found(no=0.99, da=0.01)]
    head, danish, nynorsk = cells(benchmark.matrix_table({"da": texts, "nn": texts[2:]}))
    assert head[1:16] == list(LANGUAGES)
    assert head[16:] == ["right %", "uncertain %", "off %"]
    assert [x for x in danish if x] == ["**da**", "2", "2", "50.00", "25.00", "25.00"]
    assert [x for x in nynorsk if x] == ["**nn**", "2", "100.00", "0", "0"]


def test_ratio_decides_what_is_called_off_target(benchmark):
    texts = [found(da=0.1, no=0.9), found(da=0.3, no=0.6), found(da=0.6, no=0.4)]
    shares = [benchmark.called_wrong(texts, "da", x) for x in (0.05, 0.2, 0.5, 0.99)]
    assert shares == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3])


def test_false_alarms_leave_out_what_is_uncertain(benchmark):
    from scipy.stats import binomtest

    count, bound = benchmark.false_alarms([True] * 8 + [False] + [None] * 5)
    assert count == 1
    assert float(bound) == pytest.approx(100 * binomtest(1, 9).proportion_ci(method="wilson").high, abs=0.006)


def test_real_sentences_are_told_apart(benchmark):
    danish = "Hvad er det, du gerne vil have ud af den samtale, som vi skal have i næste uge?"
    galician = "Que é o que che gustaría conseguir coa conversa que imos ter a vindeira semana?"
    got = benchmark.identified({"da": [danish], "gl": [galician]})
    assert benchmark.verdicts(got["da"], "da") == [True]
    assert benchmark.verdicts(got["gl"], "gl") == [True]
    assert benchmark.verdicts(got["da"], "gl") == [False]


def test_published_data_are_read_for_every_language(benchmark, shared_data):
    ntrex, udhr, sib200 = (
        read(shared_data) for read in (benchmark.read_ntrex, benchmark.read_udhr, benchmark.read_sib200)
    )
    assert {x: len(y) for x, y in ntrex.items()} == dict.fromkeys((*LANGUAGES, "nn", "pt-BR"), 300)
    assert {x: len(y) for x, y in udhr.items()} == dict.fromkeys((*LANGUAGES, "nn"), 50)
    assert {x: len(y) for x, y in sib200.items()} == dict.fromkeys((*LANGUAGES, "nn"), 1004)
    assert all(y.strip() for texts in (ntrex, udhr, sib200) for x in texts.values() for y in x)


def test_no_language_outside_the_registry_is_taken_for_one_in_it(benchmark):
    rows = cells(benchmark.outside_table())
    assert len(rows) == len(benchmark.OUTSIDE) + 1
    assert {x[-1] for x in rows[1:]} == {""}
    assert {x[3] for x in rows[1:]} == {"other"}
