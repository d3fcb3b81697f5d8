"""What was forgotten: transitions, guessing taken off, languages never tuned, drift of the open answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from croco_eval.harness.api.records import Generation
from croco_eval.harness.store.parquet import write_records
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.reports.items.item_values import score_values
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.records.settings import ReportSettings
from croco_eval.reports.stats.multiplicity import holm
from croco_eval.reports.stats.permutation import sign_flip_permutation
from croco_eval.reports.tables.forgetting import FORGETTING_COLUMNS, forgetting_table
from croco_eval.reports.tables.transitions import option_counts, transition_values
from helpers.hand_built import item_scores, write_answers, write_quiz, write_run

SETTINGS = ReportSettings(Rules(n_resamples=1000))


def table_of(folder: Path, settings: ReportSettings = SETTINGS, pairs=None) -> pd.DataFrame:
    return forgetting_table(RunData(folder), settings, pairs)


def row(table: pd.DataFrame, measure: str, language: str):
    (found,) = [x for x in table.itertuples() if (x.measure, x.language) == (measure, language)]
    return found


def offer(folder: Path, language: str, n: int, options: int, system: str = "base") -> None:
    """Makes the items of a cell multiple choice: the likelihood of so many options was asked for."""
    asked = [
        Generation(f"m{i}/{language}", k, "?", f"option {k}", None, None, -1.0, False, 1)
        for i in range(n)
        for k in range(options)
    ]
    write_records(RunDirectory(folder).cell(system, "quiz", language).path / "generations.parquet", Generation, asked)


# Transitions

BEFORE = [1, 1, 1, 1, 0, 0, 0, 1]
AFTER = [1, 1, 0, 0, 1, 0, 0, 0]


def test_items_that_went_wrong_and_right_are_counted(tmp_path):
    table = table_of(write_quiz(tmp_path / "run", {"base": {"da": BEFORE}, "tuned": {"da": AFTER}}))
    assert tuple(table.columns) == FORGETTING_COLUMNS
    forgotten, gained = row(table, "forgotten", "da"), row(table, "gained", "da")
    assert (forgotten.value, gained.value, forgotten.n) == (3 / 8, 1 / 8, 8)
    assert (forgotten.mean_reference, forgotten.mean_candidate) == (5 / 8, 3 / 8)
    assert forgotten.ci_low <= 3 / 8 <= forgotten.ci_high


def test_unscored_items_are_counted_and_left_out(tmp_path):
    before, after = [None, *BEFORE[1:]], [*AFTER[:-2], None, None]
    found = row(
        table_of(write_quiz(tmp_path / "run", {"base": {"da": before}, "tuned": {"da": after}})), "forgotten", "da"
    )
    assert (found.n, found.unscored_reference, found.unscored_candidate) == (5, 1, 2)
    assert found.value == 2 / 5


def test_systems_that_answer_alike_forgot_nothing_but_that_is_not_certain(tmp_path):
    found = row(
        table_of(write_quiz(tmp_path / "run", {"base": {"da": BEFORE * 4}, "copy": {"da": BEFORE * 4}})),
        "forgotten",
        "da",
    )
    assert (found.value, found.ci_low) == (0, 0)
    assert 0.05 < found.ci_high < 0.2


def test_metrics_that_are_not_right_or_wrong_have_no_transitions(tmp_path):
    folder = write_quiz(tmp_path / "run", {"base": {"da": [0.5, 0.2]}, "tuned": {"da": [0.1, 1.0]}}, kind="bounded")
    assert table_of(folder).empty


def test_pooled_interval_counts_translations_as_one(tmp_path):
    before, after = BEFORE * 8, AFTER * 8
    one = {"base": {"da": before}, "tuned": {"da": after}}
    four = {k: dict.fromkeys(("da", "de", "es", "fr"), v["da"]) for k, v in one.items()}
    alone = row(table_of(write_quiz(tmp_path / "one", one)), "forgotten", "da")
    pooled = row(table_of(write_quiz(tmp_path / "four", four)), "forgotten", "all")
    assert pooled.method == "cluster-bootstrap"
    assert (pooled.ci_low, pooled.ci_high) == pytest.approx((alone.ci_low, alone.ci_high), abs=0.02)


# Guessing

RIGHT_BEFORE = np.array([1.0] * 50 + [0.0] * 50)
RIGHT_AFTER = np.array([1.0] * 30 + [0.0] * 50 + [1.0] * 20)


def test_guessing_is_taken_off_as_the_paper_says(tmp_path):
    folder = write_quiz(tmp_path / "run", {"base": {"da": RIGHT_BEFORE}, "tuned": {"da": RIGHT_AFTER}})
    offer(folder, "da", 100, 4)
    table = table_of(folder)
    chance = (1 - 0.5) * (1 - 0.5) / (4 - 1)
    for measure, observed in (("forgotten", 0.2), ("gained", 0.2)):
        raw, adjusted = row(table, measure, "da"), row(table, f"{measure}_adjusted", "da")
        assert (raw.value, raw.n_choice) == (pytest.approx(observed), 100)
        assert adjusted.value == pytest.approx(observed - chance)
        assert adjusted.method == "linearised bootstrap"


def test_adjusted_rate_is_never_below_zero(tmp_path):
    folder = write_quiz(tmp_path / "run", {"base": {"da": RIGHT_BEFORE}, "copy": {"da": RIGHT_BEFORE}})
    offer(folder, "da", 100, 2)
    found = row(table_of(folder), "forgotten_adjusted", "da")
    assert (found.value, found.ci_low) == (0, 0)


def test_nothing_is_taken_off_free_answers(tmp_path):
    table = table_of(write_quiz(tmp_path / "run", {"base": {"da": RIGHT_BEFORE}, "tuned": {"da": RIGHT_AFTER}}))
    raw, adjusted = row(table, "forgotten", "da"), row(table, "forgotten_adjusted", "da")
    assert (raw.n_choice, adjusted.value) == (0, raw.value)


def test_blocks_of_options_are_adjusted_apart():
    rng = np.random.default_rng(3)
    before, after = (rng.random(300) < 0.6).astype(float), (rng.random(300) < 0.4).astype(float)
    options, blocks = np.repeat([4.0, 2.0, 1.0], 100), np.repeat([0, 1, 2], 100)
    found = transition_values(after, before, options, blocks).mean(axis=1)
    expected = []
    for b, k in enumerate((4, 2, 1)):
        r, c = before[blocks == b], after[blocks == b]
        chance = (1 - r.mean()) * (1 - c.mean()) / (k - 1) if k > 1 else 0
        expected.append(
            [(r * (1 - c)).mean(), (c * (1 - r)).mean(), (r * (1 - c)).mean() - chance, (c * (1 - r)).mean() - chance]
        )
    assert found == pytest.approx(np.mean(expected, axis=0))


def test_systems_that_only_guess_forgot_nothing_on_average():
    rng = np.random.default_rng(8)
    before, after = (rng.random((2, 200_000)) < 0.25).astype(float)
    forgotten, _, adjusted, _ = transition_values(
        after, before, np.full(200_000, 4.0), np.zeros(200_000, dtype=int)
    ).mean(axis=1)
    assert forgotten == pytest.approx(0.25 * 0.75, abs=0.004)
    assert adjusted == pytest.approx(0, abs=0.004)


def test_items_count_in_the_adjusted_rate_as_much_as_leaving_them_out_changes_it():
    rng = np.random.default_rng(21)
    n = 400
    before, after = (rng.random(n) < 0.4).astype(float), (rng.random(n) < 0.7).astype(float)

    def rate(kept: np.ndarray) -> float:
        r, c = before[kept], after[kept]
        return (r * (1 - c)).mean() - (1 - r.mean()) * (1 - c.mean()) / 2

    everything = np.arange(n)
    jackknife = [n * rate(everything) - (n - 1) * rate(np.delete(everything, i)) for i in range(n)]
    found = transition_values(after, before, np.full(n, 3.0), np.zeros(n, dtype=int))[2]
    assert found == pytest.approx(np.array(jackknife), abs=0.005)


def test_interval_of_the_adjusted_rate_is_that_of_the_rate_recomputed_in_each_resample(tmp_path):
    rng = np.random.default_rng(11)
    before = (rng.random(300) < 0.7).astype(float)
    after = np.where(rng.random(300) < 0.4, 1 - before, before)
    folder = write_quiz(tmp_path / "run", {"base": {"da": before}, "tuned": {"da": after}})
    offer(folder, "da", 300, 4)
    found = row(table_of(folder), "forgotten_adjusted", "da")
    drawn = rng.integers(0, 300, (4000, 300))
    r, c = before[drawn], after[drawn]
    again = (r * (1 - c)).mean(axis=1) - (1 - r.mean(axis=1)) * (1 - c.mean(axis=1)) / 3
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(np.quantile(again, [0.025, 0.975])), abs=0.006)


def test_options_are_counted_from_what_was_asked(tmp_path):
    folder = write_quiz(tmp_path / "run", {"base": {"da": [1, 1, 1, 1]}, "tuned": {"da": [1, 1, 1, 1]}})

    def asked(item, *pairs):
        return [
            Generation(f"m{item}/da", k, context, ending, None, None, -1.0, False, 1)
            for k, (context, ending) in enumerate(pairs)
        ]

    plain = asked(0, *(("?", x) for x in "abc"))
    mutual = asked(1, *((context, x) for context in ("?", "") for x in "ab"))
    swapped = asked(2, ("he saw", "it"), ("she saw", "it"))
    free = [Generation("m3/da", 0, "?", None, "answer", "stop", None, None, 1)]
    cell = RunDirectory(folder).cell("base", "quiz", "da").path
    write_records(cell / "generations.parquet", Generation, [*plain, *mutual, *swapped, *free])
    counts = option_counts(RunData(folder), score_values(RunData(folder), "quiz"))
    assert counts.tolist() == [3, 2, 2, 1]


# Languages


def test_languages_that_were_never_tuned_are_summarised_apart(tmp_path):
    right, wrong = [1] * 20, [1] * 10 + [0] * 10
    languages = ("da", "de", "sv", "cy", "mt")
    values = {
        "base": dict.fromkeys(languages, right),
        "tuned": {x: right if x in ("da", "de") else wrong for x in languages},
    }
    folder = write_quiz(tmp_path / "run", values)
    table = table_of(folder)
    for name, rate, n in (
        ("high", 0, 40),
        ("low", 0.5, 40),
        ("tuned", 0, 40),
        ("never_tuned", 0.5, 60),
        ("all", 0.3, 100),
    ):
        assert (row(table, "forgotten", name).value, row(table, "forgotten", name).n) == (pytest.approx(rate), n)
    other = table_of(folder, ReportSettings(SETTINGS.rules, tuned=("sv",)))
    assert row(other, "forgotten", "tuned").value == pytest.approx(0.5)
    assert row(other, "forgotten", "never_tuned").n == 80


# Drift

LONG = "Ordet gentager sig her og ordet gentager sig her og ordet gentager sig her"
SHORT = "Byen ligger ved havet og har en gammel havn"


@pytest.fixture
def chat(tmp_path) -> Path:
    cells = {(system, "chat", "da"): [] for system in ("base", "tuned")}
    folder = write_run(
        tmp_path / "run", systems=["base", "tuned"], suites={"chat": "open"}, languages=["da"], scores=cells
    )
    write_answers(folder, "base", "da", [f"{SHORT} {i}" for i in range(12)])
    write_answers(folder, "tuned", "da", [f"{LONG} {i}" for i in range(12)])
    return folder


def test_drift_of_open_answers_is_paired_item_by_item(chat):
    table = table_of(chat)
    length = row(table, "length", "da")
    assert length.value == len(LONG) - len(SHORT)
    assert (length.mean_candidate, length.mean_reference) == (
        pytest.approx(np.mean([len(f"{LONG} {i}") for i in range(12)])),
        pytest.approx(np.mean([len(f"{SHORT} {i}") for i in range(12)])),
    )
    assert length.p_value == sign_flip_permutation(np.full(12, float(length.value)), n_resamples=1000).p_value
    repeated = row(table, "repetition", "da")
    assert (repeated.mean_reference, repeated.value > 0.4, repeated.p_adjusted < 0.05) == (0, True, True)
    assert (row(table, "cut_off", "da").value, row(table, "off_target", "da").value) == (0, 0)


def test_answers_in_another_language_and_at_the_limit_are_drift(chat):
    german = [f"Die Stadt liegt am Meer und hat einen alten Hafen, den viele Leute besuchen, {i}." for i in range(12)]
    write_answers(chat, "tuned", "da", german)
    file = RunDirectory(chat).cell("tuned", "chat", "da").path / "generations.parquet"
    answers = [Generation(f"m{i}/da", 0, "?", None, x, "length", None, None, 1) for i, x in enumerate(german)]
    write_records(file, Generation, answers)
    table = table_of(chat)
    assert (row(table, "off_target", "da").mean_candidate, row(table, "off_target", "da").mean_reference) == (1, 0)
    assert row(table, "cut_off", "da").value == 1


def test_language_that_cannot_be_told_is_unscored(chat):
    write_answers(chat, "tuned", "da", ["ja"] * 12)
    found = row(table_of(chat), "off_target", "da")
    assert (found.n, found.unscored_candidate, found.unscored_reference) == (0, 12, 0)


def test_drift_in_languages_is_one_family_and_pooled_drift_another(chat):
    table = table_of(chat)
    for pooled in (False, True):
        tested = table[table["p_value"].notna() & (table["scope"].ne("language") == pooled)]
        assert len(tested) == 4
        assert tested["p_adjusted"].to_numpy() == pytest.approx(holm(tested["p_value"].to_numpy()))


def test_transitions_and_drift_stand_in_one_table_by_candidate_and_suite(tmp_path):
    cells = {(s, "chat", "da"): [] for s in ("base", "a", "b")}
    cells |= {(s, "quiz", "da"): item_scores("da", BEFORE) for s in ("base", "a", "b")}
    suites = {"chat": "open", "quiz": "structured"}
    folder = write_run(tmp_path / "run", systems=["base", "a", "b"], suites=suites, languages=["da"], scores=cells)
    for system in ("base", "a", "b"):
        write_answers(folder, system, "da", [f"{SHORT} {i}" for i in range(5)])
    order = table_of(folder)[["candidate", "suite"]].drop_duplicates().to_numpy().tolist()
    assert order == [["a", "chat"], ["a", "quiz"], ["b", "chat"], ["b", "quiz"]]
