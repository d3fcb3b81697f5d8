"""The panel: what it makes of its members' judgments, whom it waits for, and what it refuses."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from croco_eval.harness.api.judge import NO_ANSWER
from croco_eval.harness.api.records import Judgment, Order, Verdict
from croco_eval.harness.config.run_config import JudgeConfig, parse_config
from croco_eval.harness.errors import JudgeError, StoreError, UserError
from croco_eval.harness.run.execute import judge_again
from croco_eval.harness.run.judging import judge_cells, judging_cells
from croco_eval.harness.run.plan import make_judges
from croco_eval.harness.run.progress import JudgingProgress
from croco_eval.harness.store.parquet import read_records
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.judges.panel import PanelJudge, majority, verdict_of
from helpers.judged_run import make_run
from helpers.scripted_server import Act, Body, ScriptedServer, longer_wins, refuse, say, texts, verdict
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

CONSOLE = Console(file=io.StringIO())
VERDICTS: list[Verdict] = ["candidate", "tie", "reference"]
FLIPPED: dict[Verdict, Verdict] = {"candidate": "reference", "reference": "candidate", "tie": "tie"}


def judgment(verdict: Verdict | None, order: Order = "unordered", **more: Any) -> Judgment:
    return Judgment("q", "q", "advice", order, verdict, **more)


def llm(server: ScriptedServer, model: str, **options: Any) -> dict[str, Any]:
    asked = {"base_url": server.base_url, "model": model, "prompt_language": "english"}
    return {"name": model, "judge": "llm", "options": {**asked, **options}}


def panel(*members: str, **options: Any) -> dict[str, Any]:
    return {"name": "panel", "options": {"judges": list(members), **options}}


def shorter_wins(body: Body) -> Act:
    _, a, b = texts(body)
    return verdict("tie" if len(a) == len(b) else "A" if len(a) < len(b) else "B")


def scripted(body: Body, times: int) -> Act:
    """Judges by the name of the model that is asked for."""
    question, *_ = texts(body)
    if body["model"] == "mute" and "Question 0" in question:
        return say("I would rather not say.")
    return {
        "long": lambda: longer_wins(body, times),
        "short": lambda: shorter_wins(body),
        "mute": lambda: longer_wins(body, times),
        "even": lambda: verdict("tie"),
        "down": lambda: refuse(500) if "Question 1" in question else longer_wins(body, times),
    }[body["model"]]()


@pytest.fixture
def server():
    with ScriptedServer(scripted) as server:
        yield server


def judge(run: RunDirectory, *names: str, more: Sequence[Any] = ()) -> list[JudgeError]:
    """Lets judges of the run's config, and ``more`` that are listed after or instead of them, judge; no tables."""
    config = parse_config(run.config_text() or "", "config.yaml", run.path)
    listed = {x.name: x for x in (*config.judges, *map(JudgeConfig.model_validate, more))}
    made = make_judges(listed.values(), config)
    errors: list[JudgeError] = []
    for name in names:
        cells = judging_cells(run, name)
        try:
            judge_cells(run, made[name], cells, JudgingProgress(CONSOLE, name, len(cells)), ask_unanswered=True)
        except JudgeError as error:
            errors.append(error)
    return errors


def judgments(run: RunDirectory, judge: str, language: str = "en", candidate: str = "tuned") -> dict[str, Judgment]:
    """By item; for judges with one judgment of each."""
    folder = run.judgments(judge, candidate, "base", "open", language)
    return {x.item_id.split("/")[0]: x for x in read_records(folder.path / "judgments.parquet", Judgment)}


def members_of(judgment: Judgment) -> dict[str, dict[str, Any]]:
    return json.loads(judgment.details)["members"]


def test_two_opposite_judges_tie_and_their_disagreement_is_kept(tmp_path: Path, server: ScriptedServer):
    run = make_run(tmp_path / "run", [llm(server, "long"), llm(server, "short"), panel("long", "short")])
    assert judge(run, "long", "short") == []
    judge_again(run.path, "panel", None, CONSOLE).raise_if_incomplete()
    found = judgments(run, "panel")
    assert len(found) == 8
    for i, x in enumerate(found.values()):
        assert (x.order, x.verdict, x.preference, x.unscored) == ("unordered", "tie", 0.5, None)
        long, short = members_of(x)["long"], members_of(x)["short"]
        assert long == {"verdict": "reference" if i % 4 == 3 else "candidate", "preference": 0.0 if i % 4 == 3 else 1.0}
        assert short == {"verdict": FLIPPED[long["verdict"]], "preference": 1 - long["preference"]}
        assert json.loads(x.details)["spread"] == 1.0
    asked = len(server.requests)
    assert asked == 2 * 2 * 8, "each member is asked once, the panel asks nothing"
    rates = pd.read_csv(run.path / "preferences.csv").groupby("judge")["preference"].mean()
    assert rates["panel"] == 0.5


def test_majority_follows_two_of_three_and_mean_weighs_them(tmp_path: Path, server: ScriptedServer):
    judges = [llm(server, x) for x in ("long", "mute", "short")]
    joined = [
        {"name": x, "judge": "panel", "options": {"judges": ["long", "mute", "short"], "join": x, "minimum": 2}}
        for x in ("majority", "mean")
    ]
    run = make_run(tmp_path / "run", [*judges, *joined])
    assert judge(run, "long", "mute", "short", "majority", "mean") == []
    by_majority, by_mean = judgments(run, "majority"), judgments(run, "mean")
    assert [x.verdict for x in by_majority.values()] == [
        "tie", "candidate", "candidate", "reference", "candidate", "candidate", "candidate", "reference",
    ]  # fmt: skip
    assert {x.preference for x in by_majority.values()} == {None}
    means = [x.preference for x in by_mean.values()]
    assert means == pytest.approx([1 / 2, 2 / 3, 2 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3, 1 / 3], abs=1e-6)
    assert members_of(by_majority["q0"])["mute"] == {"unscored": "no readable verdict"}


def test_an_item_with_fewer_readable_members_than_the_minimum_is_unscored(tmp_path: Path, server: ScriptedServer):
    run = make_run(tmp_path / "run", [llm(server, "long"), llm(server, "mute"), panel("long", "mute")])
    assert judge(run, "long", "mute", "panel") == []
    found = judgments(run, "panel")
    assert (found["q0"].verdict, found["q0"].preference) == (None, None)
    assert found["q0"].unscored == "1 of 2 members have a preference, 2 are wanted"
    assert members_of(found["q0"])["long"]["preference"] == 1.0
    assert found["q1"].verdict == "candidate"


def test_a_member_with_nothing_to_say_about_an_item_counts_as_unreadable(tmp_path: Path, server: ScriptedServer):
    judges = ["reference", llm(server, "long")]
    strict = panel("reference", "long")
    lenient = {**panel("reference", "long", minimum=1), "name": "lenient", "judge": "panel"}
    run = make_run(tmp_path / "run", [*judges, strict, lenient])
    assert judge(run, "reference", "long", "panel", "lenient") == []
    assert {x.verdict for x in judgments(run, "panel").values()} == {None}
    found = judgments(run, "lenient")
    assert found["q0"].verdict == "candidate"
    assert members_of(found["q0"])["reference"] == {"unscored": "has nothing to say about this item"}


def test_members_that_were_not_answered_are_joined_when_they_are(
    tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
):
    from croco_eval.harness.calls import client

    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)
    run = make_run(tmp_path / "run", [llm(server, "long"), llm(server, "down", max_retries=0), panel("long", "down")])
    assert judge(run, "long", "down", "panel") == []
    found = judgments(run, "panel")
    assert str(found["q1"].unscored).startswith(f"{NO_ANSWER}: 1 of 2 members")
    assert str(members_of(found["q1"])["down"]["unscored"]).startswith(NO_ANSWER)
    server.script = longer_wins
    assert judge(run, "down", "panel") == []
    assert judgments(run, "panel")["q1"].verdict == "candidate"
    assert {k: x for k, x in judgments(run, "panel").items() if k != "q1"} == {
        k: x for k, x in found.items() if k != "q1"
    }


def test_a_panel_judges_what_it_can_waits_for_the_rest_and_goes_on(tmp_path: Path, server: ScriptedServer):
    judges = [llm(server, "long"), llm(server, "even"), panel("long", "even")]
    run = make_run(tmp_path / "run", judges, languages=("da", "en"))
    assert judge(run, "long", "even") == []
    whole = run.judgments("even", "tuned", "base", "open", "en")
    (whole.path / "cell.json").rename(whole.path / "away")
    (error,) = judge(run, "panel")
    assert isinstance(error, JudgeError)
    assert "panel 'panel' waits for judgments of even (1 cell)" in str(error)
    assert run.judgments("panel", "tuned", "base", "open", "da").is_sealed
    assert not run.judgments("panel", "tuned", "base", "open", "en").is_sealed
    (whole.path / "away").rename(whole.path / "cell.json")
    assert judge(run, "panel") == []
    assert judgments(run, "panel")["q0"].preference == 0.75


def test_a_panel_can_sit_on_a_panel(tmp_path: Path, server: ScriptedServer):
    upper = {"name": "upper", "judge": "panel", "options": {"judges": ["panel", "long"]}}
    run = make_run(tmp_path / "run", [llm(server, "long"), llm(server, "short"), panel("long", "short"), upper])
    assert judge(run, "long", "short", "panel", "upper") == []
    assert judgments(run, "upper")["q0"].preference == 0.75


def test_a_panel_of_another_config_joins_judges_of_the_run(tmp_path: Path, server: ScriptedServer):
    run = make_run(tmp_path / "run", [llm(server, "long"), llm(server, "short")])
    assert judge(run, "long", "short") == []
    added = [JudgeConfig.model_validate(panel("long", "short"))]
    judge_again(run.path, "panel", added, CONSOLE).raise_if_incomplete()
    assert judgments(run, "panel")["q0"].verdict == "tie"


def test_judgments_that_were_made_by_other_settings_are_not_joined(tmp_path: Path, server: ScriptedServer):
    run = make_run(tmp_path / "run", [llm(server, "long"), llm(server, "short")])
    assert judge(run, "long", "short") == []
    changed = [llm(server, "short", ties=False), panel("long", "short")]
    with pytest.raises(StoreError, match="ties"):
        judge(run, "short", more=changed)
    (error,) = judge(run, "panel", more=changed)
    assert "short judged tuned, open, en with other settings (judge.ties: True -> False" in str(error)


def test_a_panel_that_has_begun_is_not_continued_with_other_members(tmp_path: Path, server: ScriptedServer):
    run = make_run(tmp_path / "run", [llm(server, x) for x in ("long", "short", "even")])
    assert judge(run, "long", "short", "even") == []
    assert judge(run, "panel", more=[panel("long", "short")]) == []
    for other in (panel("long", "even"), panel("long", "short", join="majority"), panel("long", "short", minimum=1)):
        with pytest.raises(StoreError, match=r"judge\.(members|join|minimum)"):
            judge(run, "panel", more=[other])


@pytest.mark.parametrize(
    ("judges", "message"),
    [
        (["reference", panel("reference", "refrence")], "'refrence' is not one of the judges listed before it .* mean"),
        ([panel("reference", "panel"), "reference"], "'reference' is not one of the judges listed before it"),
        (["reference", panel("reference", "panel")], "'panel' is not one of the judges listed before it"),
        (["reference", panel("reference")], "option 'judges'"),
        (["reference", panel("reference", "reference")], "sits on a panel once"),
        (["reference", panel("reference", "x", minimum=3)], "minimum 3 is more than the 2 judges"),
        (["reference", panel("reference", "x", minimum=0)], "option 'minimum'"),
        (["reference", panel("reference", "x", joins="mean")], "no option 'joins' - did you mean 'join'"),
    ],
)
def test_wrong_options_are_refused_by_name(tmp_path: Path, judges: Sequence[Any], message: str):
    run = make_run(tmp_path / "run", judges)
    with pytest.raises(UserError, match=message):
        judge(run, "panel")


@given(st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=7))
def test_a_majority_is_more_than_half_and_the_same_from_both_sides(verdicts: list[Verdict]):
    found = majority(verdicts)
    counts = {x: verdicts.count(x) for x in VERDICTS}
    assert found == next((x for x in VERDICTS if counts[x] > len(verdicts) / 2), "tie")
    assert majority([FLIPPED[x] for x in verdicts]) == FLIPPED[found]


def test_a_preference_is_a_tie_only_in_the_middle():
    assert [verdict_of(x) for x in (0, 0.4999, 0.1 + 0.2 + 0.2, 0.5001, 1)] == [
        "reference", "reference", "tie", "candidate", "candidate",
    ]  # fmt: skip


def test_identity_is_made_of_the_members():
    assert PanelJudge(judges=["a", "b"]).identity["minimum"] == 2
    assert PanelJudge(judges=["a", "b"], minimum=1).identity != PanelJudge(judges=["a", "b"]).identity


def test_a_run_with_a_panel_of_two_models_of_a_server(cli, write_config, server: ScriptedServer, tmp_path: Path):
    judges = [llm(server, "long"), llm(server, "short"), panel("long", "short")]
    systems = [{"name": x, "model": "croco-nano", "generation": {"max_new_tokens": n}} for x, n in (("a", 6), ("b", 9))]
    write_config(judges=judges, systems=systems, suites=[{"name": "locale-open", "limit": 1}], languages=["en"])
    done = cli("run", "config.yaml")
    assert done.returncode == 0, done.stderr
    run = RunDirectory(tmp_path / "runs" / "trial")
    assert run.manifest()["judges"]["panel"]["members.short.model"] == "short"
    preferences = pd.read_csv(run.path / "preferences.csv").pivot(index="item_id", columns="judge", values="preference")
    assert len(preferences)
    assert (preferences["panel"] == 0.5).all()
    assert (preferences["long"] + preferences["short"] == 1).all()
    assert "win_rate[panel]" in done.stdout
