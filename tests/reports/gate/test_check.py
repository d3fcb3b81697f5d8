"""The gate: what is GO, NO-GO and INCONCLUSIVE, how often it is wrong, and the files it writes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from croco_eval.harness.errors import StoreError, UserError
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.reports.commands.check import check
from croco_eval.reports.gate.check import check_run
from croco_eval.reports.gate.files import FILES, junit, write_gate
from croco_eval.reports.gate.measure import measure
from croco_eval.reports.gate.pair import within_run
from croco_eval.reports.gate.policy import GatePolicy
from croco_eval.reports.gate.verdict import Measured, decide
from croco_eval.reports.records.comparison import Comparison
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.tables.comparisons import raw_comparisons
from helpers.gate_runs import DANISH, GERMAN, answers, chat_run, quiz_run, resign, spend, with_losses
from scipy import stats
from typer.testing import CliRunner

N = 200


def gate(folder: Path, candidate: str | None = None, reference: str | None = None, **policy):
    return check_run(RunData(folder), GatePolicy.model_validate({"n_resamples": 1000, **policy}), candidate, reference)


def verdicts(result) -> dict[str, str]:
    return {x.name: x.verdict for x in result.rows}


def reason(result, name: str) -> str:
    (found,) = [x.reason for x in result.rows if x.name == name]
    return found


def alike(seed: int = 0, n: int = N) -> dict[str, np.ndarray]:
    return {x: answers(n, 0.6, seed + i) for i, x in enumerate(("da", "de", "cy"))}


@pytest.fixture
def regressed(tmp_path) -> Path:
    """Welsh lost 40 of 200 items; Danish and German are as they were."""
    base = alike()
    return quiz_run(tmp_path / "run", {**base, "cy": with_losses(base["cy"], 40)}, base)


# What a row's verdict is


def test_systems_that_answer_alike_are_go(tmp_path):
    result = gate(quiz_run(tmp_path / "run", alike(), alike()), margin=0.05)
    assert result.verdict == "GO"
    assert verdicts(result) == {"quiz high": "GO", "quiz cy": "GO", "quiz all": "GO"}
    assert reason(result, "quiz cy").startswith("not worse by 0.05 or more")


def test_planted_loss_is_no_go_in_its_group_and_not_elsewhere(regressed):
    result = gate(regressed, margin=0.05)
    assert result.verdict == "NO-GO"
    assert verdicts(result) == {"quiz high": "GO", "quiz cy": "NO-GO", "quiz all": "NO-GO"}
    (row,) = [x for x in result.rows if x.name == "quiz cy"]
    assert row.comparison.difference == pytest.approx(-0.2)
    assert row.detail.startswith("worse, p < 0.001 (difference -0.2000 [")


def test_loss_that_noise_may_explain_is_inconclusive(tmp_path):
    base = alike()
    run = quiz_run(tmp_path / "run", {**base, "cy": with_losses(base["cy"], 4)}, base)
    result = gate(run, margin=0.02)
    assert (result.verdict, verdicts(result)["quiz cy"]) == ("INCONCLUSIVE", "INCONCLUSIVE")
    assert reason(result, "quiz cy").startswith("a loss of 0.02 is not ruled out")


def test_significant_gain_is_go_whatever_the_margin(tmp_path):
    base = alike()
    result = gate(quiz_run(tmp_path / "run", base, {k: with_losses(v, 40) for k, v in base.items()}), margin=1e-6)
    assert result.verdict == "GO"
    assert (
        reason(result, "quiz all") == "better, p = 0.002"
    )  # the least of 1,000 resamples, times two: exact Welsh comes first


@pytest.mark.parametrize(("require", "verdict"), [("non-inferior", "GO"), ("not-worse", "NO-GO")])
def test_significant_loss_within_the_margin_is_what_require_says(tmp_path, require, verdict):
    base = {"da": answers(2000, 0.6, 0)}
    run = quiz_run(tmp_path / "run", {"da": with_losses(base["da"], 30)}, base)
    assert gate(run, margin=0.05, require=require).verdict == verdict


def test_pairs_are_paired_and_not_two_averages(tmp_path):
    """The same two means, 10 points apart on 100 items: one shows a loss only if it is on the same items."""
    base = np.repeat([1.0, 0.0], 50)
    shuffled = np.concatenate([np.repeat([1.0, 0.0], [20, 30]), np.repeat([1.0, 0.0], [20, 30])])
    assert gate(quiz_run(tmp_path / "a", {"da": with_losses(base, 10)}, {"da": base})).verdict == "NO-GO"
    assert gate(quiz_run(tmp_path / "b", {"da": shuffled}, {"da": base})).verdict == "INCONCLUSIVE"


def test_languages_are_gated_one_by_one_on_demand(regressed):
    result = gate(regressed, margin=0.06, scopes=["language"])
    assert verdicts(result) == {"quiz da": "GO", "quiz de": "GO", "quiz cy": "NO-GO"}


def test_margin_of_a_group_is_kept_in_that_group_alone(tmp_path):
    base = alike()
    run = quiz_run(tmp_path / "run", {**base, "cy": with_losses(base["cy"], 4)}, base)
    result = gate(run, margin=0.05, margins={"*": {"low": 0.001}})
    assert {x.name: x.measured.bound for x in result.rows} == {"quiz high": 0.05, "quiz cy": 0.001, "quiz all": 0.05}
    assert verdicts(result) == {"quiz high": "GO", "quiz cy": "INCONCLUSIVE", "quiz all": "GO"}


def test_numbers_are_those_of_the_comparison(regressed):
    (row,) = [x for x in gate(regressed, margin=0.05).rows if x.name == "quiz all"]
    compared = raw_comparisons(RunData(regressed), Rules(margin=0.05, n_resamples=1000), [("tuned", "base")])
    (expected,) = [x for x in compared if x.language == "all"]
    for name in ("n", "difference", "ci_low", "ci_high", "p_value", "p_noninferior", "mde"):
        assert getattr(row.comparison, name) == getattr(expected, name)


def test_margin_beyond_the_scale_is_refused(regressed):
    with pytest.raises(UserError, match=r"suite quiz.*margin must be below 1"):
        gate(regressed, margin=2)


# What can't be judged


def test_too_few_items_are_inconclusive_even_if_all_are_lost(tmp_path):
    result = gate(quiz_run(tmp_path / "run", {"da": [0] * 29}, {"da": [1] * 29}), min_items=30)
    assert result.verdict == "INCONCLUSIVE"
    assert reason(result, "quiz da") == "29 items, 30 are asked for"


@pytest.mark.parametrize("side", ["candidate", "reference"])
def test_too_many_unscored_items_are_inconclusive(tmp_path, side):
    whole, torn = {"da": [1.0] * 100}, {"da": [1.0] * 94 + [None] * 6}
    tuned, base = (torn, whole) if side == "candidate" else (whole, torn)
    run = quiz_run(tmp_path / "run", tuned, base)
    assert reason(gate(run, margin=0.1), "quiz da") == f"6 of 100 items are unscored for the {side}, 5.0% may be"
    assert gate(run, margin=0.1, max_unscored=0.06).verdict == "GO"


def test_planned_gap_is_a_note_and_no_hole(tmp_path):
    base = alike()
    languages = [*base, "ga"]
    run = quiz_run(tmp_path / "run", base, base, gaps=[("quiz", "ga", "no data")], languages=languages)
    result = gate(run, margin=0.05)
    assert (result.verdict, result.notes) == ("GO", ("quiz in ga is not gated: no data",))


def test_cell_that_was_not_run_is_a_hole_in_its_group_and_in_the_whole(tmp_path):
    base = alike()
    run = quiz_run(tmp_path / "run", base, base)
    (RunDirectory(run).cell("tuned", "quiz", "da").path / "cell.json").unlink()
    result = gate(run, margin=0.05)
    assert verdicts(result) == {"quiz high": "INCONCLUSIVE", "quiz cy": "GO", "quiz all": "INCONCLUSIVE"}
    assert reason(result, "quiz all") == "da: tuned: not run yet"


def test_cells_that_came_about_differently_are_not_compared(regressed):
    resign(regressed, "tuned", "quiz", "cy", "suite:quiz|data:other|seed:0")
    result = gate(regressed, margin=0.05)
    assert verdicts(result) == {"quiz high": "GO", "quiz cy": "INCONCLUSIVE", "quiz all": "INCONCLUSIVE"}
    assert "differ in data (cy1, other)" in reason(result, "quiz cy")


def test_open_suite_that_nobody_judged_is_inconclusive_unless_the_policy_leaves_it_out(tmp_path):
    run = chat_run(tmp_path / "run", {"base": [DANISH] * 40, "tuned": [DANISH] * 40})
    result = gate(run)
    assert verdicts(result) == {"chat all": "INCONCLUSIVE"}
    assert reason(result, "chat all").startswith("none of it was scored or judged")


def test_run_without_anything_to_gate_is_inconclusive(tmp_path):
    run = quiz_run(tmp_path / "run", {}, {}, gaps=[("quiz", "da", "no data")], languages=["da"])
    result = gate(run)
    assert (result.verdict, result.rows) == ("INCONCLUSIVE", ())
    (case,) = ElementTree.fromstring(junit(result)).iter("testcase")
    assert case.find("skipped") is not None


# Win rates, languages of answers, cost


def test_win_rate_is_gated_against_one_half(tmp_path):
    texts = {"base": [DANISH] * 100, "tuned": [DANISH] * 100}
    lost = chat_run(tmp_path / "lost", texts, ["reference"] * 70 + ["candidate"] * 30)
    assert verdicts(gate(lost)) == {"chat da win_rate[j]": "NO-GO"}
    tied = chat_run(tmp_path / "tied", texts, ["tie"] * 98 + ["reference", "candidate"])
    assert verdicts(gate(tied, margin=0.05)) == {"chat da win_rate[j]": "GO"}


def _chat(folder: Path, n_german_base: int, n_german_tuned: int, n: int = 60) -> Path:
    texts = {
        system: [(GERMAN if i < german else DANISH).format(i) for i in range(n)]
        for system, german in (("base", n_german_base), ("tuned", n_german_tuned))
    }
    return chat_run(folder, texts, ["tie"] * n)


@pytest.mark.parametrize(
    ("base", "tuned", "verdict"),
    [
        (0, 20, "NO-GO"),  # above what may be, and more than the reference
        (20, 20, "INCONCLUSIVE"),  # above what may be, like the reference
        (0, 3, "GO"),
        (20, 3, "GO"),
    ],
)
def test_answers_in_another_language_are_gated(tmp_path, base, tuned, verdict):
    result = gate(_chat(tmp_path / "run", base, tuned), max_off_target=0.1)
    assert verdicts(result)["chat da off_target"] == verdict
    assert f"{tuned / 60:.1%} of the answers are in another language, 10.0% may be" in reason(
        result, "chat da off_target"
    )


def test_languages_of_answers_are_not_looked_at_without_a_maximum(tmp_path):
    assert list(verdicts(gate(_chat(tmp_path / "run", 0, 60)))) == ["chat da win_rate[j]"]


@pytest.mark.parametrize(
    ("prices", "verdict"),
    [
        ((1.0, 0.5), "GO"),
        ((1.0, 1.1), "NO-GO"),
        ((1.0, None), "INCONCLUSIVE"),
        ((2.5, None), "NO-GO"),
        ((), "GO"),
    ],
)
def test_cost_is_read_from_the_ledger(tmp_path, prices, verdict):
    run = quiz_run(tmp_path / "run", alike(), alike())
    spend(run, *prices)
    assert verdicts(gate(run, margin=0.05, max_cost=2.0))["cost"] == verdict


def test_run_without_a_ledger_spent_nothing_and_a_torn_line_counts_for_nothing(tmp_path):
    run = quiz_run(tmp_path / "run", alike(), alike())
    assert reason(gate(run, max_cost=0.0), "cost") == "0.0000 spent, 0.0000 may be"
    spend(run, 1.0)
    with (run / "ledger.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"price": 5')
    assert reason(gate(run, max_cost=2.0), "cost") == "1.0000 spent, 2.0000 may be"


def test_damaged_ledger_is_named_with_its_line(tmp_path):
    run = quiz_run(tmp_path / "run", alike(), alike())
    (run / "ledger.jsonl").write_text('{"price": 1}\n{}\n', encoding="utf-8")
    with pytest.raises(StoreError, match=r"ledger\.jsonl, line 2 is damaged"):
        gate(run, max_cost=2.0)


# Which systems


def test_candidate_must_be_named_where_there_are_several(tmp_path):
    run = chat_run(tmp_path / "run", {x: [DANISH] for x in ("base", "tuned", "other")})
    with pytest.raises(UserError, match=r"several systems \(tuned, other\); say which one with --candidate"):
        gate(run)


@pytest.mark.parametrize(
    ("candidate", "reference", "said"),
    [
        ("tunde", None, "'tunde'.*did you mean 'tuned'"),
        (None, "bas", "'bas'"),
        ("base", "base", "compared with itself"),
    ],
)
def test_wrong_name_is_refused(regressed, candidate, reference, said):
    with pytest.raises(UserError, match=said):
        gate(regressed, candidate, reference)


def test_swapped_systems_turn_the_sign(regressed):
    there, back = gate(regressed), gate(regressed, "base", "tuned")
    assert [x.comparison.difference for x in back.rows] == [-x.comparison.difference for x in there.rows]


# How often it is wrong


def _rows(p_values, signs, rows=8):
    one = Comparison("a", "b", "quiz", "score", "all", "all", n=100, p_noninferior=0.5)
    return [
        Measured("scores", replace(one, language=f"row {i}", difference=sign * 0.01, p_value=p), 0.02)
        for i, (p, sign) in enumerate(zip(p_values, signs, strict=True))
    ][:rows]


@pytest.mark.parametrize("correction", ["holm", "bh"])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_family_of_true_null_hypotheses_is_no_go_in_at_most_alpha(correction, correlation):
    """Eight rows that share nothing or most of their noise (groups and the whole share items), 1,000 times."""
    rng = np.random.default_rng(7)
    policy = GatePolicy(correction=correction).resolve(["quiz"], ["da"])
    shared, own = rng.standard_normal((1000, 1)), rng.standard_normal((1000, 8))
    z = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own
    p_values, signs = 2 * stats.norm.sf(abs(z)), np.sign(z)
    wrong = [decide("a", "b", _rows(p, s), policy).verdict == "NO-GO" for p, s in zip(p_values, signs, strict=True)]
    assert 0 < np.mean(wrong) <= 0.05


def _simulated(folder: Path, repeats: int, n: int, loss: float = 0.0, **policy) -> list[str]:
    """Verdicts on two systems that answer translations of n questions, each right the more often the easier the
    question; ``loss`` is what the candidate lacks in Welsh."""
    languages = ("da", "de", "cy")
    nothing = {x: np.zeros(n) for x in languages}
    run = quiz_run(folder / "run", nothing, nothing)
    data = RunData(run)
    pair = within_run(data, None, None, with_off_target=False)
    resolved = GatePolicy.model_validate({"n_resamples": 200, **policy}).resolve(["quiz"], languages)
    is_worse = ((data.scores["system"] == "tuned") & (data.scores["language"] == "cy")).to_numpy()
    rng, found = np.random.default_rng(11), []
    for _ in range(repeats):
        chance = np.tile(0.2 + 0.6 * rng.random(n), 6) - loss * is_worse
        scores = data.scores.assign(value=(rng.random(6 * n) < chance).astype(float))
        drawn = RunData.of_tables(data.manifest, scores, data.preferences)
        rows, _ = measure(data, replace(pair, data=drawn), resolved)
        found.append(decide("tuned", "base", rows, resolved).verdict)
    return found


@pytest.mark.parametrize("n", [12, 60])
def test_system_against_itself_is_no_go_in_at_most_alpha(tmp_path, n):
    """At alpha 0.2, so that few repeats suffice."""
    found = _simulated(tmp_path, 40, n, alpha=0.2, min_items=1)
    assert stats.binomtest(found.count("NO-GO"), len(found), 0.2, alternative="greater").pvalue > 0.05


def test_planted_loss_is_found_with_good_power(tmp_path):
    assert _simulated(tmp_path, 20, 200, loss=0.25).count("NO-GO") >= 18


# Files


def test_files_hold_the_same_verdicts(regressed, tmp_path):
    result = gate(regressed, margin=0.05)
    write_gate(tmp_path / "out", result)
    assert sorted(x.name for x in (tmp_path / "out").iterdir()) == sorted(FILES)
    stored = json.loads((tmp_path / "out" / "gate.json").read_text(encoding="utf-8"))
    assert (stored["gate_version"], stored["verdict"]) == (1, "NO-GO")
    assert {x["name"]: x["verdict"] for x in stored["rows"]} == verdicts(result)
    assert stored["policy"]["margins"] == {"quiz": {"high": 0.05, "cy": 0.05, "all": 0.05}}
    suite = ElementTree.parse(tmp_path / "out" / "gate.xml").getroot().find("testsuite")
    assert suite is not None
    kinds = {x.get("name"): x.find("failure") is not None for x in suite.iter("testcase")}
    assert kinds == {"quiz high": False, "quiz cy": True, "quiz all": True}
    counts = [suite.get(x) for x in ("tests", "failures", "errors", "skipped")]
    assert counts == ["3", "2", "0", "0"]
    text = (tmp_path / "out" / "gate.md").read_text(encoding="utf-8")
    assert text.startswith("# NO-GO\n\nNO-GO: tuned against base, 3 rows: 2 NO-GO, 1 GO.\n")
    assert "| NO-GO | quiz cy | 200 | -0.2000 | [" in text


def test_same_run_gives_the_same_bytes_wherever_it_lies(regressed, tmp_path):
    write_gate(regressed, gate(regressed))
    before = [(regressed / x).read_bytes() for x in FILES]
    moved = regressed.rename(tmp_path / "elsewhere")
    write_gate(moved, gate(moved))
    assert [(moved / x).read_bytes() for x in FILES] == before


def test_inconclusive_row_is_a_skipped_test_case(tmp_path):
    result = gate(quiz_run(tmp_path / "run", {"da": [0] * 9}, {"da": [1] * 9}))
    skipped = ElementTree.fromstring(junit(result)).find(".//skipped")
    assert skipped is not None
    assert (
        skipped.get("message")
        == "INCONCLUSIVE: 9 items, 30 are asked for (difference -1.0000 [-1.0000, -0.4017], 9 items)"
    )


def test_text_that_xml_or_markdown_can_t_hold_is_kept_harmless(tmp_path):
    compared = Comparison("a", "b", "quiz", "score", "all", "all", n=100)
    one = Measured("scores", compared, 0.02, "a|b\x00<&>\nc")
    result = decide("a", "b", [one], GatePolicy().resolve(["quiz"], ["da"]))
    skipped = ElementTree.fromstring(junit(result)).find(".//skipped")
    assert skipped is not None
    assert "a|b\ufffd<&>" in str(skipped.get("message"))
    write_gate(tmp_path, result)
    (line,) = [x for x in (tmp_path / "gate.md").read_text(encoding="utf-8").splitlines() if "quiz all" in x]
    assert "a\\|b" in line


# The command


@pytest.mark.parametrize(
    ("losses", "policy", "code", "verdict"),
    [(0, "margin: 0.1", 0, "GO"), (80, "{}", 1, "NO-GO"), (0, "min_items: 1000", 3, "INCONCLUSIVE")],
)
def test_exit_code_says_the_verdict(tmp_path, losses, policy, code, verdict):
    base = {"da": answers(N, 0.6, 0)}
    run = quiz_run(tmp_path / "run", {"da": with_losses(base["da"], losses)}, base)
    file = tmp_path / "gate.yaml"
    file.write_text(policy, encoding="utf-8")
    app = typer.Typer()
    app.command()(check)
    done = CliRunner().invoke(app, [str(run), "--policy", str(file)])
    assert done.exit_code == code
    assert f"{verdict}: tuned against base" in done.output


def test_command_writes_its_files_where_it_is_told_and_exits_with_1(cli, tmp_path):
    base = {"da": answers(N, 0.6, 0)}
    quiz_run(tmp_path / "run", {"da": with_losses(base["da"], 80)}, base)
    done = cli("check", "run", "--out", "ci/gate")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads((tmp_path / "ci" / "gate" / "gate.json").read_text(encoding="utf-8"))["verdict"] == "NO-GO"
    assert not (tmp_path / "run" / "gate.json").exists()


def test_check_that_can_t_be_made_is_exit_code_2_and_one_sentence(cli):
    done = cli("check", "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "croco-eval: nowhere is not a run directory (no manifest.json).\n"
