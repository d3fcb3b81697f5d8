"""Figures: what is drawn where, that nothing overlaps, that the same table gives the same bytes."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from croco_eval.reports.figures.differences import differences_figure
from croco_eval.reports.figures.forgetting import forgetting_figure
from croco_eval.reports.figures.learning_curves import learning_curve_figure, learning_curves_by_language_figure
from croco_eval.reports.figures.style import VERDICT_MARKS, save, shortened, units
from croco_eval.reports.figures.win_rates import win_rates_figure
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.settings import Training
from croco_eval.reports.tables.checkpoints import checkpoint_table
from croco_eval.reports.tables.comparisons import comparison_table
from croco_eval.reports.tables.transitions import TRANSITIONS
from croco_eval.reports.tables.win_rates import ESTIMATORS
from helpers.hand_built import quiz_data
from matplotlib.backends.backend_agg import FigureCanvasAgg

RULES = Rules(n_resamples=500)
N = 100
RIGHT = np.r_[np.ones(50), np.zeros(50)]
VALUES = {
    "base": dict.fromkeys(("da", "no", "cy"), RIGHT),
    "run-1": {"da": np.r_[RIGHT[:80] * 0 + 1, RIGHT[80:]], "no": RIGHT, "cy": np.r_[RIGHT[:90] * 0, RIGHT[90:]]},
    "run-2": {"da": RIGHT, "no": np.r_[1 - RIGHT[:20], RIGHT[20:]]},
}


@pytest.fixture(scope="module")
def comparisons():
    return comparison_table(quiz_data(VALUES), RULES)


@pytest.fixture(scope="module")
def curves():
    return checkpoint_table(quiz_data(VALUES), [Training("run", ("run-1", "run-2"), (1, 2))], RULES)


def forgetting_rows(n_choice: int) -> pd.DataFrame:
    rows = [
        {"candidate": x, "reference": "base", "suite": "quiz", "measure": measure, "language": language, "n": 50}
        | {"value": 0.2, "ci_low": 0.1, "ci_high": 0.3, "n_choice": n_choice}
        for x in ("tuned", "other")
        for measure in TRANSITIONS
        for language in ("da", "cy", "all", "tuned", "never_tuned")
    ]
    return pd.DataFrame(rows)


def win_rate_rows() -> pd.DataFrame:
    numbers = {f"{x}{end}": 0.6 + 0.1 * k for x in ESTIMATORS for k, end in enumerate(("", "_ci_low", "_ci_high"))}
    rows = [
        {"candidate": "tuned", "reference": "base", "judge": "j", "suite": "chat", "language": x, "n": n} | numbers
        for x, n in (("da", 20), ("de", 0), ("all", 20))
    ]
    return pd.DataFrame(rows)


def markers(ax) -> dict[float, float]:
    """Row -> position of its mark."""
    points = [x for x in ax.get_lines() if x.get_marker() not in ("None", "", None) and len(x.get_xdata()) == 1]
    return {float(x.get_ydata()[0]): float(x.get_xdata()[0]) for x in points}


def texts(figure) -> list[str]:
    FigureCanvasAgg(figure).draw()
    return [x.get_text() for x in figure.findobj(mpl.text.Text) if x.get_visible() and x.get_text()]


def overlaps(figure) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [x for x in figure.findobj(mpl.text.Text) if x.get_visible() and x.get_text().strip()]
    drawn = [x for x in found if x.axes is None or x.axes.axison]
    boxes = [(x.get_text(), x.get_window_extent(canvas.get_renderer())) for x in drawn]
    boxes = [(text, box) for text, box in boxes if box.width and figure.bbox.contains(*box.min)]
    return [(a, b) for (a, x), (b, y) in combinations(boxes, 2) if x.overlaps(y) and x.bounds != y.bounds]


def test_differences_stand_in_percentage_points_beside_their_language(comparisons):
    figure = differences_figure(comparisons)
    first = figure.axes[0]
    part = comparisons[comparisons["candidate"].eq("run-1")]
    assert markers(first) == pytest.approx({i: 100 * x for i, x in enumerate(part["difference"])})
    shown = texts(figure)
    for expected in (
        "Danish (da)",
        "Norwegian (no)",
        "All languages",
        "run-1",
        "run-2",
        "improved",
        "forgot",
        "margin",
    ):
        assert expected in shown
    assert "Difference from base, percentage points (95% interval)" in shown
    assert shown.count("not compared") == 1


def test_verdicts_differ_in_shape_and_filling():
    looks = {(x["marker"], x["markerfacecolor"]) for x in VERDICT_MARKS.values()}
    assert len(looks) == len(VERDICT_MARKS)
    assert len({x["marker"] for x in VERDICT_MARKS.values()}) == len(VERDICT_MARKS)


def test_metric_beyond_one_keeps_its_own_units():
    assert units(pd.Series([0.2, np.nan]), pd.Series([1.0])) == (100.0, "percentage points")
    assert units(pd.Series([0.2]), pd.Series([40.0])) == (1.0, "units of the metric")


def test_forgotten_stands_to_the_left_and_gained_to_the_right():
    figure = forgetting_figure(forgetting_rows(n_choice=50))
    widths = sorted(round(x.get_width()) for x in figure.axes[0].patches)
    assert widths == [-20] * 5 + [20] * 5
    assert "beyond guessing" in texts(figure)
    assert "beyond guessing" not in texts(forgetting_figure(forgetting_rows(n_choice=0)))


def test_win_rates_stand_around_one_half():
    figure = win_rates_figure(win_rate_rows())
    assert "Preferred to base, % of items (95% interval)" in texts(figure)
    assert markers(figure.axes[0]) == pytest.approx({0: 60, 2: 60})
    assert "not judged" in texts(figure)


def test_learning_curve_shows_mean_difference_and_choice(curves):
    whole = curves[curves["language"].eq("all")]
    figure = learning_curve_figure(whole)
    upper, lower = figure.axes
    assert list(upper.get_lines()[0].get_ydata()) == pytest.approx(list(100 * whole["mean_candidate"]))
    assert lower.get_xlabel() == "Training step"
    assert {"base", "run", "best", "keep"} <= set(texts(figure))
    panels = learning_curves_by_language_figure(curves)
    assert [x.get_title() for x in panels.axes if x.axison] == [
        *("Danish (da)", "Norwegian (no)", "Welsh (cy)", "All languages")
    ]


def test_texts_do_not_overlap(comparisons, curves):
    wide = pd.concat([comparisons.assign(candidate=f"a-rather-long-name-of-a-system-{i}") for i in range(4)])
    for figure in (
        differences_figure(wide),
        forgetting_figure(forgetting_rows(50)),
        win_rates_figure(win_rate_rows()),
        learning_curve_figure(curves[curves["language"].eq("all")]),
        learning_curves_by_language_figure(curves),
    ):
        assert overlaps(figure) == []


def test_long_names_are_cut_in_the_middle():
    assert shortened("short") == "short"
    assert shortened("a-rather-long-name-of-a-system", 16) == "a-rathe…a-system"


def test_same_table_gives_the_same_files_and_settings_of_the_process_play_no_part(comparisons, tmp_path):
    def files(name: str) -> list[bytes]:
        return [x.read_bytes() for x in save(differences_figure(comparisons), tmp_path / name)]

    first = files("a")
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 5}):
        assert files("b") == first
    png, pdf = first
    assert png.startswith(b"\x89PNG")
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    assert min(len(png), len(pdf)) > 5_000


def test_figures_use_no_global_state():
    code = "import croco_eval.reports.figures.differences, croco_eval.reports.figures.style, sys; "
    code += "sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
