"""Judging a whole run: one stream over all cells, every judgment with its cell, nothing lost and nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import yaml
from croco_eval.harness import registry
from croco_eval.harness.api.judge import NO_ANSWER, Case, Judge, Ruling, Rulings
from croco_eval.harness.api.records import AnswerPair, Judgment, Order
from croco_eval.harness.config.run_config import JudgeConfig
from croco_eval.harness.errors import BudgetSpent, CrocoError, ServerError, StoreError, UserError
from croco_eval.harness.run.execute import judge_again
from croco_eval.harness.run.judging import judge_cells, judging_cells
from croco_eval.harness.run.progress import JudgingProgress
from croco_eval.harness.store.parquet import read_records
from croco_eval.harness.store.run_directory import RunDirectory, RunLock
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.tables.all import write_tables
from helpers.judged_run import make_run
from rich.console import Console

LANGUAGES = ("da", "en", "mt")


class OddJudge(Judge):
    """Prefers the candidate of even items; gives its rulings backwards, some at a time; does what ``plan`` says."""

    description: ClassVar[str] = "for tests"

    def __init__(self, batch: int = 5, fail_after: int | None = None, unanswered: Iterable[str] = ()) -> None:
        self.batch, self.fail_after, self.unanswered = batch, fail_after, set(unanswered)
        self.asked: list[Case] = []
        self.opened_at_once = 0

    @property
    def identity(self) -> dict[str, Any]:
        return {"judge": "odd", "version": "1"}

    def orders(self, pair: AnswerPair) -> tuple[Order, ...]:
        return () if pair.item.item_id.startswith("q7/") else ("candidate_first", "reference_first")

    def judge(self, cases: Iterable[Case], run: RunDirectory, tell: Callable[[str], None]) -> Rulings:
        held: list[Case] = []
        for case in cases:
            if self.fail_after is not None and len(self.asked) >= self.fail_after:
                yield [self._rule(x) for x in reversed(held)]
                raise BudgetSpent("odd stopped at its budget.")
            self.asked.append(case)
            held.append(case)
            if len(held) == self.batch:
                tell(f"{len(self.asked)} asked")
                yield [self._rule(x) for x in reversed(held)]
                held = []
        if held:
            yield [self._rule(x) for x in reversed(held)]

    def _rule(self, case: Case) -> Ruling:
        item = case.pair.item
        even = int(item.source_id[1:]) % 2 == 0
        if item.item_id in self.unanswered:
            return Ruling(
                case, Judgment(item.item_id, item.source_id, item.task, case.order, None, f"{NO_ANSWER}: 500")
            )
        return Ruling(
            case,
            Judgment(item.item_id, item.source_id, item.task, case.order, "candidate" if even else "reference"),
        )


def judge(run: RunDirectory, judge: Judge, name: str = "odd", **how: Any):
    manifest = run.manifest()
    manifest["judges"][name] = judge.identity
    (run.path / "manifest.json").write_text(json.dumps(manifest))
    cells = judging_cells(run, name)
    return judge_cells(run, judge, cells, JudgingProgress(Console(quiet=True), name, len(cells)), **how)


def judgments(run: RunDirectory, candidate: str, language: str, name: str = "odd") -> list[Judgment]:
    folder = run.judgments(name, candidate, "base", "open", language)
    return read_records(folder.path / "judgments.parquet", Judgment)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path / "run", languages=LANGUAGES, systems=("base", "one", "two"))


@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_every_judgment_finds_its_cell_and_they_are_in_order(run: RunDirectory, batch: int):
    done = judge(run, OddJudge(batch))
    assert done.n_items == {"open": 7 * 6}
    for candidate in ("one", "two"):
        for language in LANGUAGES:
            found = judgments(run, candidate, language)
            assert [(x.item_id, x.order) for x in found] == [
                (f"q{i}/{language}", order) for i in range(7) for order in ("candidate_first", "reference_first")
            ]
            assert [x.verdict for x in found[::2]] == ["candidate", "reference"] * 3 + ["candidate"]
    info = run.judgments("odd", "one", "base", "open", "da").seal_info()
    assert (info["n_items"], info["orders_per_item"], info["n_unanswered"]) == (7, 2, 0)
    assert not list(run.path.rglob("*.jsonl"))


def test_cells_are_opened_as_the_stream_reaches_them_and_sealed_as_soon_as_they_are_whole(run: RunDirectory):
    seen: list[tuple[int, int]] = []

    class Watching(OddJudge):
        def _rule(self, case: Case) -> Ruling:
            folders = list((run.path / "judgments").rglob("begun.json"))
            seen.append((len(folders), len(list((run.path / "judgments").rglob("cell.json")))))
            return super()._rule(case)

    judge(run, Watching())
    assert max(begun for begun, _ in seen) == 2, "the last judgments of one cell and the first of the next"
    assert seen[-1][1] == 5


def test_what_is_judged_is_not_judged_again(run: RunDirectory):
    judge(run, OddJudge())
    again = OddJudge()
    judge(run, again)
    assert again.asked == []


def test_a_stop_keeps_what_is_known_and_the_next_run_asks_for_the_rest_alone(run: RunDirectory):
    first = OddJudge(fail_after=40)
    with pytest.raises(BudgetSpent):
        judge(run, first)
    gaps = {x.parent.relative_to(run.path / "judgments" / "odd").as_posix(): json.loads(x.read_text())["reason"]
            for x in (run.path / "judgments").rglob("gap.json")}  # fmt: skip
    assert gaps == {
        "one__base/open/en": "judged 6 of 7: budget",
        "two__base/open/en": "not judged: budget",
        "one__base/open/mt": "not judged: budget",
        "two__base/open/mt": "not judged: budget",
    }
    second = OddJudge()
    judge(run, second)
    assert len(first.asked) + len(second.asked) == 2 * 7 * 6
    assert len({(x.cell, x.pair.item.item_id, x.order) for x in (*first.asked, *second.asked)}) == 2 * 7 * 6
    assert not list((run.path / "judgments").rglob("gap.json"))
    undisturbed = make_run(run.path.parent / "other", languages=LANGUAGES, systems=("base", "one", "two"))
    judge(undisturbed, OddJudge())
    assert [judgments(run, c, x) for c in ("one", "two") for x in LANGUAGES] == [
        judgments(undisturbed, c, x) for c in ("one", "two") for x in LANGUAGES
    ]


def test_tables_after_a_stop_hold_the_whole_cells_and_show_the_others_as_gaps(run: RunDirectory):
    with pytest.raises(BudgetSpent):
        judge(run, OddJudge(fail_after=40))
    scores = write_tables(RunData(run.path)) and pd.read_csv(run.path / "scores.csv")
    gaps = scores[scores["metric"] == "gap"]
    assert set(gaps["signature"]) == {"judge odd: judged 6 of 7: budget", "judge odd: not judged: budget"}
    whole = scores[scores["metric"] == "win_rate[odd]"]
    assert set(whole["language"]) == {"da", "high", "all"}
    assert whole["n"].max() == 7


def test_a_judging_that_was_killed_is_a_gap_too(run: RunDirectory):
    folder = run.judgments("odd", "one", "base", "open", "da")
    with pytest.raises(BudgetSpent):
        judge(run, OddJudge(fail_after=3))
    (folder.path / "gap.json").unlink()
    missing = RunData(run.path).missing
    assert "judge odd: judging was not finished" in set(missing["reason"])


def test_judgments_under_other_settings_are_not_mixed(run: RunDirectory):
    class Other(OddJudge):
        @property
        def identity(self) -> dict[str, Any]:
            return {"judge": "odd", "version": "2"}

    with pytest.raises(BudgetSpent):
        judge(run, OddJudge(fail_after=3))
    gaps = {x: x.read_text() for x in (run.path / "judgments").rglob("gap.json")}
    with pytest.raises(StoreError, match=r"the judging of one by odd.*judge\.version: 1 -> 2\); give the judge"):
        judge(run, Other())
    assert {x: x.read_text() for x in (run.path / "judgments").rglob("gap.json")} == gaps != {}


def test_no_answer_is_asked_for_again_in_an_unfinished_cell(run: RunDirectory):
    with pytest.raises(BudgetSpent):
        judge(run, OddJudge(fail_after=6, unanswered=["q0/da"]))
    again = OddJudge()
    judge(run, again)
    assert [x.pair.item.item_id for x in again.asked[:2]] == ["q0/da", "q0/da"]
    assert [x.verdict for x in judgments(run, "one", "da")][:2] == ["candidate", "candidate"]


def test_no_answer_in_a_whole_cell_is_asked_for_again_when_that_is_wanted(run: RunDirectory):
    done = judge(run, OddJudge(unanswered=["q0/da", "q1/mt"]))
    assert done.n_unanswered == 8
    plain, wanted = OddJudge(), OddJudge()
    assert judge(run, plain).n_unanswered == 8
    assert plain.asked == []
    assert judge(run, wanted, ask_unanswered=True).n_unanswered == 0
    assert Counter(x.pair.item.item_id for x in wanted.asked) == {"q0/da": 4, "q1/mt": 4}
    assert all(x.verdict for x in judgments(run, "two", "mt"))


def test_a_ruling_that_can_not_be_written_stops_the_judge(run: RunDirectory):
    closed: list[bool] = []

    class Closing(OddJudge):
        def judge(self, cases: Iterable[Case], run: RunDirectory, tell: Callable[[str], None]) -> Rulings:
            try:
                yield from super().judge(cases, run, tell)
            finally:
                closed.append(True)

    blocked = run.judgments("odd", "one", "base", "open", "da").path
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file in the way")
    with pytest.raises(StoreError):
        judge(run, Closing())
    assert closed == [True]


# The orders of an item


def frame(run: RunDirectory) -> pd.DataFrame:
    return RunData(run.path).preferences.set_index("item_id")


class Scripted(OddJudge):
    """Gives each (item, order) the verdict, reason or preference that the test wants."""

    def __init__(self, what: dict[tuple[str, str], Any]) -> None:
        super().__init__()
        self.what = what

    def _rule(self, case: Case) -> Ruling:
        item = case.pair.item
        wanted = self.what.get((item.source_id, case.order), "tie")
        verdict = wanted if wanted in ("candidate", "tie", "reference") else None
        unscored = wanted if verdict is None and isinstance(wanted, str) else None
        preference = None
        if isinstance(wanted, float):
            verdict, preference = "candidate" if wanted > 0.5 else "reference", wanted
        return Ruling(
            case,
            Judgment(item.item_id, item.source_id, item.task, case.order, verdict, unscored, "{}", preference),
        )


def test_both_orders_are_joined_into_one_preference(tmp_path: Path):
    run = make_run(tmp_path / "run", systems=("base", "one"))
    first, second = "candidate_first", "reference_first"
    what = {
        ("q0", first): "candidate", ("q0", second): "candidate",
        ("q1", first): "candidate", ("q1", second): "reference",
        ("q2", first): "candidate", ("q2", second): "tie",
        ("q3", first): "no readable verdict", ("q3", second): "candidate",
        ("q4", first): 0.9, ("q4", second): 0.4,
        ("q5", first): 0.9, ("q5", second): "reply cut off",
    }  # fmt: skip
    judge(run, Scripted(what))
    table = frame(run)
    assert table["preference"].round(6).to_dict() == pytest.approx(
        {"q0/en": 1.0, "q1/en": 0.5, "q2/en": 0.75, "q3/en": float("nan"), "q4/en": 0.65, "q5/en": float("nan"),
         "q6/en": 0.5}, nan_ok=True)  # fmt: skip
    assert table["unscored"].dropna().to_dict() == {"q3/en": "no readable verdict", "q5/en": "reply cut off"}


def test_an_item_whose_other_order_is_not_there_is_unscored(tmp_path: Path):
    run = make_run(tmp_path / "run", systems=("base", "one"))
    judge(run, OddJudge())
    folder = run.judgments("odd", "one", "base", "open", "en")
    kept = [x for x in judgments(run, "one", "en") if (x.item_id, x.order) != ("q2/en", "reference_first")]
    folder.seal({"judgments": (Judgment, kept)}, folder.seal_info())
    assert frame(run)["unscored"].dropna().to_dict() == {"q2/en": "an order was not judged"}
    assert frame(run)["preference"].isna().sum() == 1


def test_judgments_of_schema_version_1_are_read(tmp_path: Path):
    import pyarrow.parquet as pq

    run = make_run(tmp_path / "run", systems=("base", "one"))
    judge(run, OddJudge())
    before = frame(run)
    folder = run.judgments("odd", "one", "base", "open", "en")
    file = folder.path / "judgments.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["preference"]), file)
    info = folder.seal_info()
    del info["orders_per_item"], info["n_unanswered"]
    (folder.path / "cell.json").write_text(json.dumps(info))
    manifest = {**run.manifest(), "schema_version": 1}
    (run.path / "manifest.json").write_text(json.dumps(manifest))
    pd.testing.assert_frame_equal(frame(run), before)
    assert judgments(run, "one", "en")[0].preference is None


# The command's machinery


def test_a_judge_of_another_config_is_added_beside_the_others(tmp_path: Path):
    run = make_run(tmp_path / "run", judges=["reference"])
    with pytest.raises(UserError, match=r"no judge 'refrence' in the run's config \(reference\) - did you mean"):
        judge_again(run.path, "refrence", None, Console(quiet=True))
    judge_again(run.path, "facts", [JudgeConfig(name="facts", judge="reference")], Console(quiet=True))
    judge_again(run.path, "reference", None, Console(quiet=True))
    assert set(run.manifest()["judges"]) == {"facts", "reference"}
    assert yaml.safe_load(run.config_text() or "")["judges"][0]["name"] == "reference"


def test_errors_of_several_judges_are_all_told():
    from croco_eval.harness.run.execute import Outcome

    outcome = Outcome(judge_errors=[BudgetSpent("a stopped."), ServerError("b is down."), BudgetSpent("a stopped.")])
    with pytest.raises(CrocoError, match=r"^a stopped\. b is down\.$"):
        outcome.raise_if_incomplete()


def test_what_a_third_party_registers_is_called_after_a_judging_with_the_tables_there(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", n_items=2)
    found: list[tuple[bool, bool]] = []

    def export(folder: Path, console: Console) -> None:
        try:
            RunLock(folder).__enter__()
        except StoreError:
            found.append(((folder / "scores.csv").exists(), True))

    own = registry._entries("after_run")
    own_load, theirs = registry.load, registry.EntryPoint("export", "their_module:export", "croco_eval.after_run")
    monkeypatch.setitem(own, "export", theirs)
    monkeypatch.setattr(registry, "load", lambda kind, name: export if name == "export" else own_load(kind, name))
    judge_again(run.path, "facts", [JudgeConfig(name="facts", judge="reference")], Console(quiet=True))
    assert found == [(True, True)]
