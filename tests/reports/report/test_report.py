"""``croco-eval report``: what stands in report.md and beside it, for whole runs, poor runs and damaged ones."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer
from croco_eval.harness.errors import CrocoError, StoreError, UserError
from croco_eval.reports.commands.report import report
from croco_eval.reports.document.document import Document, Listing, Section, TextTable
from croco_eval.reports.document.markdown import to_markdown
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.records.settings import Training
from croco_eval.reports.report.sections import report_document
from croco_eval.reports.report.systems import MOST_SHOWN, pages, shown_systems
from croco_eval.reports.report.write import write_report
from croco_eval.reports.tables.all import run_tables
from croco_eval.reports.tables.checkpoints import checkpoint_table
from croco_eval.reports.tables.comparisons import headline
from helpers.hand_built import write_answers, write_config, write_quiz
from typer.testing import CliRunner

N = 120
RIGHT = np.r_[np.ones(60), np.zeros(60)]
BETTER = np.r_[np.ones(100), np.zeros(20)]
WORSE = np.r_[np.zeros(40), np.ones(20), np.zeros(60)]
GAP = "the suite has no data | in this language"
VALUES = {
    "base": {"da": RIGHT, "no": RIGHT, "cy": RIGHT},
    "sft": {"da": BETTER, "no": RIGHT, "cy": WORSE},
    "dpo": {"da": BETTER, "no": [None, None, *BETTER[2:]]},
}
PREFERENCES = {
    "sft": {x: [1.0, 0.5, 0.0, 1.0] * 6 for x in ("da", "no")},
    "dpo": {x: [1.0, 1.0, 0.5, 0.75] * 6 for x in ("da", "no")},
}
ANSWER = "Det er en god dag i dag, og jeg går gerne en tur i skoven med mine venner, når solen skinner. Nummer {}"


def whole_run(folder: Path) -> Path:
    """Two suites, three systems, two arms; a cell is missing and two items are unscored."""
    write_quiz(folder, VALUES, preferences=PREFERENCES, gaps=[("quiz", "cy", GAP)])
    for system in VALUES:
        for language in ("da", "no"):
            texts = [ANSWER.format(i) + " og mere" * (i % 5) * (system != "base") for i in range(24)]
            write_answers(folder, system, language, texts)
    write_config(
        folder, list(VALUES), ["quiz", "chat"], languages=["da", "no", "cy"], arms={"dpo": "dpo", "sft": "sft"}
    )
    return folder


def structured_run(folder: Path) -> Path:
    """The same without the open suite."""
    write_quiz(folder, VALUES, gaps=[("quiz", "cy", GAP)])
    write_config(folder, list(VALUES), ["quiz"], languages=["da", "no", "cy"])
    return folder


def invoke(*arguments: object) -> tuple[int, str, BaseException | None]:
    app = typer.Typer()
    app.command()(report)
    result = CliRunner().invoke(app, [str(x) for x in arguments], env={"COLUMNS": "120"})
    return result.exit_code, result.output, result.exception


def text_of(folder: Path) -> str:
    return (folder / "report" / "report.md").read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands under a heading."""
    return re.split(r"^## ", text.split(f"## {title}\n", 1)[1], flags=re.MULTILINE)[0]


def table_under(text: str, caption: str) -> list[list[str]]:
    """The cells of the table with this caption, with its head."""
    lines = text.split(f"**{caption}**\n\n", 1)[1].split("\n\n")[0].splitlines()
    rows = [[y.strip() for y in re.split(r"(?<!\\)\|", x)[1:-1]] for x in lines]
    return [rows[0], *rows[2:]]


def titles(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A whole run with its report, to be read only."""
    folder = whole_run(tmp_path_factory.mktemp("done") / "run")
    code, output, error = invoke(folder)
    assert (code, error) == (0, None)
    assert output.splitlines()[-1] == str(folder / "report" / "report.md")
    return folder


# What stands in it


def test_sections_follow_the_reading_order(done):
    assert titles(text_of(done)) == [
        *("In short", "Leaderboard", "Scores", "Comparisons with the reference", "Forgetting", "Ways of tuning"),
        *("Win rates", "Ratings", "Off-target answers", "Missing and unscored", "How this was made"),
    ]


def test_headline_is_the_sentence_that_the_tests_give(done):
    short = section(text_of(done), "In short")
    assert (
        "- sft in quiz: at or above base in 1 of 3 languages: "
        "1 improved, 0 non-inferior at 2 points; 1 forgot; 1 inconclusive.\n"
    ) in short
    table = run_tables(RunData(done)).frames["comparisons.csv"]
    for line in headline(table, "dpo").splitlines():
        assert f"- {line}\n" in short
    assert "1 of 18 cells are missing or not wholly judged; 2 values are unscored" in short


def test_comparison_table_has_a_row_per_language_with_its_verdict(done):
    head, *rows = table_under(text_of(done), "quiz: sft against base")
    assert head[:5] == ["language", "n", "unscored", "candidate", "reference"]
    assert [(x[0], x[1], x[3], x[4], x[-1]) for x in rows] == [
        ("da", "120", "0.833", "0.500", "improved"),
        ("no", "120", "0.500", "0.500", "inconclusive"),
        ("cy", "120", "0.167", "0.500", "forgot"),
        ("all", "360", "0.500", "0.500", rows[3][-1]),
    ]
    assert rows[0][5].startswith("+0.333 [0.2")
    assert rows[0][7] == "<0.001"
    dpo = table_under(text_of(done), "quiz: dpo against base")
    assert dpo[2][1:3] == ["118", "2/0"]
    assert dpo[3][-1] == "not compared: dpo: the suite has no data \\| in this language"


def test_forgetting_table_has_transitions_and_drift(done):
    head, *rows = table_under(text_of(done), "quiz: sft against base")[0:1] + table_under(
        section(text_of(done), "Forgetting"), "quiz: sft against base"
    )
    by_language = {x[0]: x for x in rows[1:]}
    assert head[0] == "language"
    assert by_language["cy"][3].startswith("0.333 [")
    assert by_language["cy"][4].startswith("0.000")
    assert by_language["da"][4].startswith("0.333 [")
    assert {"tuned", "never_tuned", "all"} <= by_language.keys()
    drift = table_under(text_of(done), "chat: drift of sft from base")
    assert drift[0] == ["language", "n", "length", "repetition", "cut off", "off target"]
    assert drift[1][:2] == ["da", "24"]
    assert drift[1][2].startswith("+15")


def test_arms_win_rates_ratings_and_off_target_have_their_rows(done):
    text = text_of(done)
    policy = table_under(text, "quiz: dpo vs sft (dpo against sft)")
    assert [x[0] for x in policy[1:]] == ["da", "no", "cy", "all"]
    wins = table_under(text, "chat, judge j: sft over base")
    assert wins[1][:4] == ["da", "24", "0", "12/6/6"]
    assert wins[1][4].startswith("0.625 [")
    ratings = table_under(text, "chat, judge j, all")
    assert [x[0] for x in ratings[1:]] == ["dpo", "sft", "base"]
    assert ratings[3][2].startswith("1000")
    off_target = table_under(text, "chat: answers in another language, of those that can be told")
    assert off_target[0] == ["language", "base", "sft", "dpo"]
    assert [x[0] for x in off_target[1:]] == ["da", "no", "cy"]
    assert off_target[3][1] == "0/0, 0 can't be told"


def test_missing_cells_and_unscored_items_have_their_reasons(done):
    text = text_of(done)
    assert table_under(text, "Missing cells")[1] == ["quiz", "dpo", "cy", "the suite has no data \\| in this language"]
    assert table_under(text, "Unscored items")[1] == ["dpo", "quiz", "score", "cut off", "no", "2"]
    scores = table_under(text, "quiz: mean score")
    assert scores[0] == ["language", "base", "sft", "dpo", "least n", "most unscored"]
    assert scores[3][0] == "cy"
    assert scores[3][3] == "missing"


def test_settings_and_signatures_say_how_it_was_made(done):
    made = section(text_of(done), "How this was made")
    assert "Alpha 0.05 in each family of tests, corrected by Holm. Margin of non-inferiority 0.02" in made
    assert "10000 resamples, seed 0" in made
    signatures = table_under(made, "Signatures (\\* where languages differ)")
    assert signatures[1][:3] == ["quiz", "score", "all"]
    assert signatures[1][3] == "suite:quiz\\|data:\\*\\|seed:0"


def test_leaderboard_has_every_system(done):
    board = section(text_of(done), "Leaderboard")
    assert [x.split(" | ")[1] for x in board.splitlines() if re.match(r"\| (\d| ) ", x)] == [
        x if x != "base" else "base (reference)" for x in pd.read_csv(done / "leaderboard.csv")["system"]
    ]


def test_every_figure_named_is_there_as_png_and_pdf_and_nothing_else(done):
    names = set(re.findall(r"\(figures/(\S+?)\.png\)", text_of(done)))
    assert names == {
        *("differences-quiz", "differences-chat-win_rate-j", "forgetting-quiz"),
        *("policy-quiz", "policy-chat-win_rate-j", "win-rates-chat-j"),
    }
    files = sorted(x.name for x in (done / "report" / "figures").iterdir())
    assert files == sorted(f"{x}.{ending}" for x in names for ending in ("png", "pdf"))


# The same run, the same report


def test_report_is_the_same_wherever_and_however_often_it_is_made(done, tmp_path):
    other = whole_run(tmp_path / "elsewhere")
    old = other / "report" / "figures" / "differences-gone.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    invoke(other)
    first, second = (
        {x.relative_to(y / "report"): x.read_bytes() for x in (y / "report").rglob("*") if x.is_file()}
        for y in (done, other)
    )
    assert first == second


def test_without_figures_the_text_stands_alone(tmp_path):
    folder = structured_run(tmp_path / "run")
    assert invoke(folder, "--no-figures")[0] == 0
    assert ".png" not in text_of(folder)
    assert "**quiz: sft against base**" in text_of(folder)
    assert not (folder / "report" / "figures").exists()


def test_csv_that_was_edited_by_hand_is_made_again_from_the_records(tmp_path):
    folder = structured_run(tmp_path / "run")
    invoke(folder, "--no-figures")
    before, text = (folder / "comparisons.csv").read_bytes(), text_of(folder)
    (folder / "comparisons.csv").write_bytes(before.replace(b"forgot", b"improved").replace(b"120", b"999"))
    invoke(folder, "--no-figures")
    assert (folder / "comparisons.csv").read_bytes() == before
    assert text_of(folder) == text


# Poor runs


def test_one_system_has_a_report_without_comparisons(tmp_path):
    folder = write_quiz(tmp_path / "run", {"base": VALUES["base"]})
    assert invoke(folder)[0] == 0
    text = text_of(folder)
    assert titles(text) == ["In short", "Leaderboard", "Scores", "How this was made"]
    assert "One system: base." in text
    assert not (folder / "report" / "figures").exists()


def test_run_in_which_nothing_is_done_yet_says_so(tmp_path):
    folder = write_quiz(tmp_path / "run", {"base": {}, "sft": {}}, languages=["da", "no"])
    assert invoke(folder)[0] == 0
    text = text_of(folder)
    assert "Not compared with base in quiz: sft." in text
    assert "quiz: sft against base: not compared (sft: not run yet)." in text
    assert table_under(text, "Missing cells")[1] == ["quiz", "all", "all", "not run yet"]
    assert not (folder / "report" / "figures").exists()


def test_run_without_preferences_has_no_win_rates(tmp_path):
    folder = write_quiz(tmp_path / "run", {x: VALUES[x] for x in ("base", "sft")})
    invoke(folder, "--no-figures")
    assert not {"Win rates", "Ratings", "Off-target answers", "Ways of tuning"} & set(titles(text_of(folder)))


def test_system_of_which_every_item_is_unscored_is_counted_and_not_compared(tmp_path):
    folder = write_quiz(tmp_path / "run", {"base": {"da": RIGHT}, "mute": {"da": [None] * N}})
    invoke(folder)
    text = text_of(folder)
    assert table_under(text, "Unscored items")[1] == ["mute", "quiz", "score", "cut off", "da", str(N)]
    assert "Not compared with base in quiz: mute." in text


def test_many_systems_are_shown_by_a_stated_rule(tmp_path):
    systems = [f"s{i:02d}" for i in range(MOST_SHOWN + 6)]
    shares = {x: 30 + 2 * ((7 * i) % len(systems)) for i, x in enumerate(systems)}
    values = {x: {"da": (np.arange(N) < y).astype(float)} for x, y in shares.items()}
    folder = write_quiz(tmp_path / "run", {"base": {"da": RIGHT}, **values})
    write_config(folder, ["base", *systems], ["quiz"], languages=["da"], arms={"dpo": "s00", "sft": "s01"})
    tables = run_tables(RunData(folder))
    shown = shown_systems(tables)
    best = sorted(systems, key=lambda x: -shares[x])
    expected = {"s00", "s01", *[x for x in best if x not in ("s00", "s01")][: MOST_SHOWN - 2]}
    assert shown == ["base", *sorted(expected)]
    document = report_document(tables)
    assert [x.name for x in document.pictures()] == [
        *("differences-quiz-1", "differences-quiz-2", "forgetting-quiz-1", "forgetting-quiz-2", "policy-quiz")
    ]
    text = to_markdown(document, None)
    assert "The other 6 are in the CSV files." in text
    assert text.count("at or above base in") == len(systems)


def test_figures_share_systems_evenly():
    assert [len(x) for x in pages(range(5))] == [2, 3]
    assert [len(x) for x in pages(range(8))] == [4, 4]
    assert pages([]) == []


def test_checkpoints_are_curves_and_only_the_one_to_keep_is_shown_elsewhere(tmp_path):
    steps = {f"run-{k}": np.r_[np.ones(60 + 10 * k), np.zeros(60 - 10 * k)] for k in (1, 2, 3, 4)}
    folder = write_quiz(tmp_path / "run", {"base": {"da": RIGHT}, **{x: {"da": y} for x, y in steps.items()}})
    tables = run_tables(RunData(folder))
    training = Training("run", tuple(steps), (1, 2, 3, 4))
    tables.data.settings = replace(tables.data.settings, trainings=(training,))
    curves = checkpoint_table(tables.data, [training], tables.data.settings.rules)
    tables = replace(tables, frames={**tables.frames, "checkpoints.csv": curves})
    written = write_report(tables)
    text = written.read_text(encoding="utf-8")
    assert "- Training run run in quiz: keep step 4, which is the best." in text
    assert [x[0] for x in table_under(text, "run in quiz")[1:]] == ["1", "2", "3", "4"]
    assert "**quiz: run-4 against base**" in text
    assert "**quiz: run-1 against base**" not in text
    assert (folder / "report" / "figures" / "learning-run-quiz.png").stat().st_size > 5_000


# Damaged runs


def test_run_of_another_schema_version_is_refused_in_a_sentence(tmp_path):
    folder = whole_run(tmp_path / "run")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}), encoding="utf-8")
    error = invoke(folder)[2]
    assert isinstance(error, StoreError)
    assert "written with schema version 99; this version of croco-eval reads versions 1 to" in str(error)
    assert not (folder / "report").exists()


def test_score_that_is_not_a_number_is_named(tmp_path):
    folder = whole_run(tmp_path / "run")
    file = folder / "cells" / "sft" / "quiz" / "no" / "scores.parquet"
    table = pq.read_table(file)
    values = [float("nan"), *table["value"].to_pylist()[1:]]
    place = table.schema.get_field_index("value")
    pq.write_table(table.set_column(place, table.schema.field(place), [values]), file)
    error = invoke(folder)[2]
    assert isinstance(error, StoreError)
    assert "cell sft, quiz, no: item m0/no has no value and no reason for it" in str(error)
    assert not (folder / "report").exists()


def test_config_that_was_edited_wrongly_is_named(tmp_path):
    folder = whole_run(tmp_path / "run")
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("statistics: {margin: -1}\n")
    error = invoke(folder)[2]
    assert isinstance(error, UserError)
    assert "statistics.margin" in str(error)


def test_folder_that_is_no_run_is_refused(tmp_path):
    assert isinstance(invoke(tmp_path)[2], CrocoError)
    assert not list(tmp_path.iterdir())


# Markdown


def test_markdown_takes_no_text_for_its_own():
    rows = (("a|b", "*c*", "<img src=x>", "[x](http://y)", "snake_case _d_", "<0.001"),)
    columns = tuple("123456")
    blocks = ("# no heading", "- no list", Listing(("x\ny",)), TextTable("", columns, rows))
    text = to_markdown(Document("T", (Section("S", blocks),)), None)
    assert "\n\\# no heading\n" in text
    assert "\n\\- no list\n" in text
    assert "\n- x y\n" in text
    assert r"| a\|b | \*c\* | \<img src=x> | [x]\(http://y) | snake_case \_d\_ | <0.001 |" in text
