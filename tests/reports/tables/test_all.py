"""The three CSV files of a small run that was written by hand: two systems, two suites, three languages, one gap."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from croco_eval.harness.api.records import Judgment, Score
from croco_eval.harness.errors import StoreError
from croco_eval.harness.store.parquet import read_records, write_records
from croco_eval.reports.records.comparison import COMPARISON_COLUMNS
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.tables import all as tables
from croco_eval.reports.tables.all import write_tables
from croco_eval.reports.tables.forgetting import FORGETTING_COLUMNS
from croco_eval.reports.tables.leaderboard import LEADING_COLUMNS
from croco_eval.reports.tables.preferences import PREFERENCE_COLUMNS
from croco_eval.reports.tables.scores import SCORE_COLUMNS
from helpers.hand_built import both_orders, score, write_run
from scipy import stats
from scipy.stats import binomtest

TABLES = ("scores.csv", "preferences.csv", "leaderboard.csv", "comparisons.csv", "forgetting.csv", "win_rates.csv")
"""What this run gives: it names no arms and has one candidate."""

GAP = "the suite has no data in this language"
T2 = 4.302652729911275  # 97.5% point of Student's t with 2 degrees of freedom
WILSON_1_OF_2 = (0.094531, 0.905469)
LANGUAGES = ["da", "de", "cy"]


def quiz(language, m1, m2, n1):
    """Two items of ``month`` (binary), one of ``number`` (continuous); ``acc_norm`` doesn't count for the mean."""
    return [
        score(language, "m1", "month", "acc", "binary", m1),
        score(language, "m1", "month", "acc_norm", "binary", 1.0, primary=False),
        score(language, "m2", "month", "acc", "binary", m2),
        score(language, "m2", "month", "acc_norm", "binary", 1.0, primary=False),
        score(language, "n1", "number", "chrf", "continuous", n1),
    ]


def write_small_run(folder: Path) -> Path:
    chat = {(system, "chat", x): [] for system in ("base", "tuned") for x in LANGUAGES}
    return write_run(
        folder,
        systems=["base", "tuned"],
        suites={"quiz": "structured", "chat": "open"},
        languages=LANGUAGES,
        scores={
            ("base", "quiz", "da"): quiz("da", 1.0, 0.0, 0.5),
            ("base", "quiz", "de"): quiz("de", 1.0, 0.0, 0.25),
            ("tuned", "quiz", "da"): quiz("da", 1.0, 1.0, 0.75),
            ("tuned", "quiz", "de"): quiz("de", 1.0, 0.0, None),
            **chat,
        },
        judgments={
            ("tuned", "chat", "da"): both_orders("da", "c1", "candidate", "candidate")
            + both_orders("da", "c2", "candidate", "tie"),
            ("tuned", "chat", "de"): both_orders("de", "c1", "reference", "reference")
            + both_orders("de", "c2", "candidate", None),
            ("tuned", "chat", "cy"): both_orders("cy", "c1", "tie", "tie")
            + both_orders("cy", "c2", "candidate", "reference"),
        },
        gaps=[("quiz", "cy", GAP)],
    )


@pytest.fixture
def run(tmp_path) -> Path:
    """The run as it is before its tables are written; a test may change it."""
    return write_small_run(tmp_path / "run")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """The run with its tables, to be read only."""
    folder = write_small_run(tmp_path_factory.mktemp("done") / "run")
    write_tables(RunData(folder))
    return folder


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def row(folder: Path, system, suite, task, language, metric) -> dict[str, str]:
    wanted = {"system": system, "suite": suite, "task": task, "language": language, "metric": metric}
    (found,) = [x for x in read(folder, "scores.csv") if wanted.items() <= x.items()]
    return found


def numbers(found: dict[str, str]) -> tuple[float, float, float]:
    return tuple(float(found[x]) for x in ("value", "ci_low", "ci_high"))  # pyright: ignore[reportReturnType]


# scores.csv


def test_columns_are_the_declared_ones_in_their_order(done):
    heads = [(done / x).read_text(encoding="utf-8").splitlines()[0] for x in TABLES]
    numbers = "value,ci_low,ci_high,n,n_unscored,method,euroeval_score,euroeval_half_width"
    assert heads[0] == f"system,suite,task,language,metric,{numbers},signature"
    assert heads[0] == ",".join(SCORE_COLUMNS)
    assert heads[1] == ",".join(PREFERENCE_COLUMNS)
    assert heads[2].startswith(",".join(LEADING_COLUMNS))
    assert heads[3] == ",".join(COMPARISON_COLUMNS)
    assert heads[4] == ",".join(FORGETTING_COLUMNS)


def test_rows_stand_in_the_order_of_systems_suites_languages_and_tasks(done):
    tasks = [("month", "acc"), ("month", "acc_norm"), ("number", "chrf"), ("all", "score")]
    quiz_rows = [("quiz", x, *task) for x in ("da", "de") for task in tasks]
    quiz_rows += [("quiz", "cy", "all", "gap"), ("quiz", "high", "all", "score"), ("quiz", "all", "all", "score")]
    chat_rows = [("chat", x, task, "win_rate[j]") for x in LANGUAGES for task in ("talk", "all")]
    chat_rows += [("chat", x, "all", "win_rate[j]") for x in ("high", "all")]
    expected = [("base", *x) for x in quiz_rows] + [("tuned", *x) for x in quiz_rows + chat_rows]
    found = [(x["system"], x["suite"], x["language"], x["task"], x["metric"]) for x in read(done, "scores.csv")]
    assert found == expected


def test_binary_metric_of_one_task_has_wilsons_interval(done):
    found = row(done, "base", "quiz", "month", "da", "acc")
    assert numbers(found) == (0.5, *WILSON_1_OF_2)
    assert (found["n"], found["n_unscored"], found["method"]) == ("2", "0", "wilson")


def test_one_item_has_a_value_and_an_empty_interval(done):
    found = row(done, "base", "quiz", "number", "de", "chrf")
    assert (found["value"], found["ci_low"], found["ci_high"]) == ("0.250000", "", "")
    assert (found["n"], found["method"]) == ("1", "t")


def test_row_that_pools_tasks_is_the_mean_of_the_primary_metrics(done):
    found = row(done, "tuned", "quiz", "all", "da", "score")
    mean, half = 2.75 / 3, T2 * math.sqrt((2 / 144 + 4 / 144) / 2) / math.sqrt(3)
    assert numbers(found) == pytest.approx((mean, mean - half, mean + half), abs=6e-7)
    assert (found["n"], found["method"]) == ("3", "t")


@pytest.mark.parametrize("language", ["high", "all"])
@pytest.mark.parametrize(
    ("system", "mean", "se", "n", "unscored"),
    [
        # m1: 1 1, m2: 0 0, n1: 1/2 1/4; residual sums 13/12, -11/12, -2/12; se = sqrt(3/2 * 294/144) / 6
        ("base", 2.75 / 6, math.sqrt(1.5 * 294 / 144) / 6, "6", "0"),
        # m1: 1 1, m2: 1 0, n1: 3/4 and one unscored; residual sums 1/2, -1/2, 0; se = sqrt(3/2 * 1/2) / 5
        ("tuned", 3.75 / 5, math.sqrt(0.75) / 5, "5", "1"),
    ],
)
def test_row_that_pools_languages_counts_translations_as_one_cluster(done, system, mean, se, n, unscored, language):
    found = row(done, system, "quiz", "all", language, "score")
    assert numbers(found) == pytest.approx((mean, mean - T2 * se, mean + T2 * se), abs=6e-7)
    assert (found["n"], found["n_unscored"], found["method"]) == (n, unscored, "cluster-t")


def test_unscored_item_is_counted_and_is_no_zero(done):
    alone = row(done, "tuned", "quiz", "number", "de", "chrf")
    assert (alone["value"], alone["n"], alone["n_unscored"], alone["method"]) == ("", "0", "1", "none")
    pooled = row(done, "tuned", "quiz", "all", "de", "score")
    assert (pooled["value"], pooled["n"], pooled["n_unscored"]) == ("0.500000", "2", "1")


@pytest.mark.parametrize("system", ["base", "tuned"])
def test_gap_is_a_row_without_value_and_with_its_reason(done, system):
    found = row(done, system, "quiz", "all", "cy", "gap")
    assert (found["value"], found["ci_low"], found["ci_high"]) == ("", "", "")
    assert (found["n"], found["n_unscored"], found["signature"]) == ("0", "0", GAP)


def test_cell_that_is_not_sealed_is_a_gap_that_was_not_run_yet(run):
    (run / "cells" / "tuned" / "quiz" / "de" / "cell.json").unlink()
    write_tables(RunData(run))
    assert row(run, "tuned", "quiz", "all", "de", "gap")["signature"] == "not run yet"
    assert row(run, "base", "quiz", "all", "de", "score")["n"] == "3"


@pytest.mark.parametrize(
    ("language", "value", "n", "unscored", "method"),
    [
        ("da", 0.875, "2", "0", "t"),
        ("de", 0.0, "1", "1", "t"),
        ("cy", 0.5, "2", "0", "wilson"),
        ("high", 1.75 / 3, "3", "1", "cluster-t"),
        ("all", 0.55, "5", "1", "cluster-t"),
    ],
)
def test_win_rate_is_the_mean_preference_of_the_items(done, language, value, n, unscored, method):
    found = row(done, "tuned", "chat", "all", language, "win_rate[j]")
    assert float(found["value"]) == pytest.approx(value, abs=6e-7)
    assert (found["n"], found["n_unscored"], found["method"]) == (n, unscored, method)


def test_interval_of_a_win_rate_is_over_items_and_not_over_orders(done):
    # da: preferences 1 and 3/4, so t with one degree of freedom and a standard error of 1/8 reaches both ends.
    _, low, high = numbers(row(done, "tuned", "chat", "talk", "da", "win_rate[j]"))
    assert (low, high) == (0, 1)
    # cy: 1/2 and 1/2, although the orders disagree: no spread to estimate from, so Wilson's interval for two draws.
    _, low, high = numbers(row(done, "tuned", "chat", "talk", "cy", "win_rate[j]"))
    wilson = binomtest(1, 2).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=1e-6)


def test_win_rates_interval_pools_languages_by_source(tmp_path):
    verdicts = ["candidate", "candidate", "tie", "reference"] * 10
    judgments = {
        ("b", "chat", x): [j for i, v in enumerate(verdicts) for j in both_orders(x, f"c{i}", v, "tie" if i % 5 else v)]
        for x in ("da", "de")
    }
    cells = {(s, "chat", x): [] for s in ("a", "b") for x in ("da", "de")}
    folder = tmp_path / "run"
    write_run(
        folder,
        systems=["a", "b"],
        suites={"chat": "open"},
        languages=["da", "de"],
        scores=cells,
        judgments=judgments,
    )
    write_tables(RunData(folder))
    # Both languages agree on every item, so pooling them may not make the interval any narrower.
    one = numbers(row(folder, "b", "chat", "all", "da", "win_rate[j]"))
    both = numbers(row(folder, "b", "chat", "all", "all", "win_rate[j]"))
    assert both == pytest.approx(one, abs=1e-6)
    value = {"candidate": 1.0, "tie": 0.5, "reference": 0.0}
    items = [(value[v] + (0.5 if i % 5 else value[v])) / 2 for i, v in enumerate(verdicts)]
    mean, se = sum(items) / 40, stats.sem(items)
    half = stats.t.ppf(0.975, 39) * se
    assert one == pytest.approx((mean, mean - half, mean + half), abs=6e-7)


def test_signature_of_a_pooled_row_shows_what_differs_between_languages(done):
    assert row(done, "base", "quiz", "all", "da", "score")["signature"] == "suite:quiz|data:da1|seed:0"
    assert row(done, "base", "quiz", "all", "high", "score")["signature"] == "suite:quiz|data:*|seed:0"
    assert row(done, "tuned", "chat", "all", "all", "win_rate[j]")["signature"] == "judge:j|suite:chat|data:*|seed:0"


# preferences.csv


def test_both_orders_of_an_item_are_one_preference_and_one_unreadable_order_is_unscored(done):
    found = read(done, "preferences.csv")
    expected = [
        ("da", "c1", "1.000000", ""),
        ("da", "c2", "0.750000", ""),
        ("de", "c1", "0.000000", ""),
        ("de", "c2", "", "refused"),
        ("cy", "c1", "0.500000", ""),
        ("cy", "c2", "0.500000", ""),
    ]
    assert [(x["language"], x["source_id"], x["preference"], x["unscored"]) for x in found] == expected
    assert {(x["judge"], x["candidate"], x["reference"], x["suite"], x["task"]) for x in found} == {
        ("j", "tuned", "base", "chat", "talk")
    }
    assert [x["item_id"] for x in found] == [f"{source}/{language}" for language, source, *_ in expected]
    assert found[0]["signature"] == "judge:j|suite:chat|data:da1|seed:0"


def test_judge_that_gives_no_verdict_at_all_leaves_everything_unscored(tmp_path):
    folder = write_run(
        tmp_path / "run",
        systems=["a", "b"],
        suites={"chat": "open"},
        languages=["da"],
        scores={(s, "chat", "da"): [] for s in ("a", "b")},
        judgments={("b", "chat", "da"): both_orders("da", "c1", None, None)},
    )
    write_tables(RunData(folder))
    found = row(folder, "b", "chat", "all", "da", "win_rate[j]")
    assert (found["value"], found["n"], found["n_unscored"]) == ("", "0", "1")


def test_judge_that_always_prefers_the_first_scores_exactly_one_half(tmp_path):
    folder = write_run(
        tmp_path / "run",
        systems=["a", "b"],
        suites={"chat": "open"},
        languages=["da"],
        scores={(s, "chat", "da"): [] for s in ("a", "b")},
        judgments={
            ("b", "chat", "da"): [x for i in range(7) for x in both_orders("da", f"c{i}", "candidate", "reference")]
        },
    )
    write_tables(RunData(folder))
    assert row(folder, "b", "chat", "all", "da", "win_rate[j]")["value"] == "0.500000"


# leaderboard.csv


def test_leaderboard_has_a_row_per_system_and_columns_per_suite_and_group(done):
    win = "chat.{}.win_rate[j]"
    found = read(done, "leaderboard.csv")
    groups = ["quiz.high", "quiz.all", *(win.format(x) for x in ("high", "cy", "all"))]
    ends = ("", ".ci_low", ".ci_high", ".n")
    assert list(found[0]) == [*LEADING_COLUMNS, *(f"{group}{end}" for group in groups for end in ends)]
    tuned, base = found
    leading = ("schema_version", "system", "is_reference", "rank", "mean_rank", "letters", "flags")
    assert [tuned[x] for x in leading] == ["1", "tuned", "False", "1", "1.100000", "a", ""]
    assert [base[x] for x in leading] == ["1", "base", "True", "2", "1.900000", "a", ""]
    for group, value, n in zip(
        groups, ("0.750000", "0.750000", "0.583333", "0.500000", "0.550000"), "55325", strict=True
    ):
        assert (tuned[group], tuned[f"{group}.n"]) == (value, n)
    assert [base[x] for x in groups] == ["0.458333", "0.458333", "0.500000", "0.500000", "0.500000"]
    assert [base[f"{x}.n"] for x in groups] == ["6", "6", "", "", ""]


def test_intervals_on_the_leaderboard_are_those_of_the_scores(done):
    tuned, base = read(done, "leaderboard.csv")
    for line, system in ((tuned, "tuned"), (base, "base")):
        scores = row(done, system, "quiz", "all", "high", "score")
        assert [line[f"quiz.high{x}"] for x in ("", ".ci_low", ".ci_high")] == [
            scores[x] for x in ("value", "ci_low", "ci_high")
        ]


def _three_systems(folder: Path, accuracies: dict[str, float | None]) -> list[dict[str, str]]:
    scores = {
        (system, "quiz", x): [score(x, f"m{i}", "month", "acc", "binary", float(i < right * 4)) for i in range(4)]
        for system, right in accuracies.items()
        if right is not None
        for x in ("da", "de")
    }
    write_run(
        folder,
        systems=list(accuracies),
        suites={"quiz": "structured"},
        languages=["da", "de"],
        scores=scores,
    )
    write_tables(RunData(folder))
    return read(folder, "leaderboard.csv")


@pytest.mark.parametrize(
    ("accuracies", "ranks"),
    [
        ({"a": 0.25, "b": 0.75, "c": 0.5}, [("b", "1"), ("c", "2"), ("a", "3")]),
        ({"b": 0.5, "a": 0.5, "c": 0.25}, [("a", "1"), ("b", "1"), ("c", "3")]),
        ({"a": 0.25, "b": 0.75, "c": 0.25}, [("b", "1"), ("a", "2"), ("c", "2")]),
        ({"a": 0.5, "b": None, "c": 0.75}, [("c", "1"), ("a", "2"), ("b", "")]),
    ],
)
def test_rank_1_is_best_and_equals_share_the_better_rank(tmp_path, accuracies, ranks):
    found = _three_systems(tmp_path / "run", accuracies)
    assert [(x["system"], x["rank"]) for x in found] == ranks
    assert [x["is_reference"] for x in found] == [str(x["system"] == next(iter(accuracies))) for x in found]


def test_run_in_one_language_has_no_pooled_rows_and_names_its_columns_by_the_language(tmp_path):
    folder = write_run(
        tmp_path / "run",
        systems=["a"],
        suites={"quiz": "structured"},
        languages=["cy"],
        scores={("a", "quiz", "cy"): quiz("cy", 1.0, 0.0, 0.5)},
    )
    write_tables(RunData(folder))
    assert {x["language"] for x in read(folder, "scores.csv")} == {"cy"}
    (found,) = read(folder, "leaderboard.csv")
    assert (found["quiz.cy"], found["quiz.cy.n"]) == ("0.500000", "3")


def test_suite_that_has_data_in_one_of_several_languages_is_on_the_leaderboard(tmp_path):
    folder = write_run(
        tmp_path / "run",
        systems=["a"],
        suites={"quiz": "structured"},
        languages=["da", "de", "cy"],
        scores={("a", "quiz", "da"): quiz("da", 1.0, 0.0, 0.5)},
        gaps=[("quiz", "de", GAP), ("quiz", "cy", GAP)],
    )
    write_tables(RunData(folder))
    (found,) = read(folder, "leaderboard.csv")
    assert "0.500000" in [v for k, v in found.items() if k.startswith("quiz.")]


# The same run gives the same bytes


def _bytes(folder: Path) -> dict[str, bytes]:
    return {x: (folder / x).read_bytes() for x in TABLES}


def test_tables_written_twice_are_identical(run):
    write_tables(RunData(run))
    before = _bytes(run)
    write_tables(RunData(run))
    assert _bytes(run) == before
    assert all(b"\r" not in x for x in before.values())


def _reverse(folder: Path, name: str, kind: type) -> int:
    files = list(folder.rglob(f"{name}.parquet"))
    for file in files:
        write_records(file, kind, read_records(file, kind)[::-1])
    return len(files)


@pytest.mark.parametrize("table", TABLES)
def test_order_of_the_stored_rows_does_not_change_the_tables(run, table):
    write_tables(RunData(run))
    before = (run / table).read_bytes()
    assert _reverse(run, "scores", Score) == 10
    assert _reverse(run, "judgments", Judgment) == 3
    write_tables(RunData(run))
    assert (run / table).read_bytes() == before


def test_tables_do_not_depend_on_where_the_run_lies(run, tmp_path):
    write_tables(RunData(run))
    before = _bytes(run)
    moved = run.rename(tmp_path / "elsewhere")
    write_tables(RunData(moved))
    assert _bytes(moved) == before


def test_writing_the_tables_adds_them_and_changes_nothing_else(run):
    def others():
        return {
            x: x.read_bytes()
            for x in run.rglob("*")
            if x.is_file() and x.name not in (*tables.TABLES, "off_target.csv")
        }

    before = others()
    write_tables(RunData(run))
    assert others() == before


# A metric's kind


def _one_metric(folder: Path, rows: list[tuple[str, float]]) -> dict[str, str]:
    scores = [score("da", f"m{i}", "free", "f1", kind, value) for i, (kind, value) in enumerate(rows)]
    write_run(
        folder,
        systems=["a"],
        suites={"quiz": "structured"},
        languages=["da"],
        scores={("a", "quiz", "da"): scores},
    )
    write_tables(RunData(folder))
    return row(folder, "a", "quiz", "free", "da", "f1")


MIXED = [("binary", 0.0), ("continuous", 0.4), ("continuous", 0.6), ("binary", 1.0)]
"""What the lm-eval gateway stores for a metric it doesn't know, like f1: items of exactly 0 or 1 are called binary."""


@pytest.mark.parametrize("rows", [MIXED, MIXED[1:] + MIXED[:1]], ids=["binary first", "continuous first"])
def test_metric_with_a_fractional_item_is_not_binary_whichever_item_comes_first(tmp_path, rows):
    assert _one_metric(tmp_path / "run", rows)["method"] == "t"


def test_first_item_of_zero_does_not_stop_a_metric_that_runs_to_a_hundred(tmp_path):
    found = _one_metric(tmp_path / "run", [("binary", 0.0), ("continuous", 40.0), ("continuous", 80.0)])
    assert found["value"] == "40.000000"


# Runs that can't be read


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match="not a run directory"):
        write_tables(RunData(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [b"", b"PAR1 no longer"])
@pytest.mark.parametrize("name", ["scores", "judgments"])
def test_damaged_records_are_named_and_no_table_is_written(run, name, damage):
    file = sorted(run.rglob(f"{name}.parquet"))[0]
    file.write_bytes(damage)
    with pytest.raises(StoreError, match=f"{name}.parquet can't be read"):
        write_tables(RunData(run))
    assert not any((run / x).exists() for x in tables.TABLES)


def test_run_in_which_nothing_is_done_yet_gives_gap_rows_alone(tmp_path):
    folder = write_run(
        tmp_path / "run",
        systems=["a", "b"],
        suites={"quiz": "structured"},
        languages=["da", "de"],
        scores={},
    )
    write_tables(RunData(folder))
    assert [x["metric"] for x in read(folder, "scores.csv")] == ["gap"] * 4
    assert read(folder, "preferences.csv") == []
    assert {x["system"] for x in read(folder, "leaderboard.csv")} == {"a", "b"}
