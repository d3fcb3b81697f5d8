"""``judge-audit``: judges whose habits are known, in run directories made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from croco_eval.harness.api.records import Judgment
from croco_eval.harness.errors import StoreError, UserError
from croco_eval.harness.store.files import write_json
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.reports.commands.judge_audit import sentences
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.stats import holm
from croco_eval.reports.tables.csv_files import write_csv
from croco_eval.reports.tables.judge_audit import COLUMNS, FILE, judge_audit, share_rows
from croco_eval.reports.tables.judge_observations import first_position
from croco_eval.reports.tables.off_target import off_target_table
from helpers.judged_run import longer_answers, make_run
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

Says = Callable[[int, str], str | None]
"""(number of the item, order) -> the verdict; None for an unreadable one."""
ORDERS = ("candidate_first", "reference_first")
SIDES = ("candidate", "reference")
LANGUAGES = ("da", "de", "cy")


def always_first(i: int, order: str) -> str:
    return "candidate" if order == "candidate_first" else "reference"


def said(*verdicts: str | None) -> Says:
    """These item by item, whatever the order."""
    return lambda i, order: verdicts[i % len(verdicts)]


def coin(seed: int, share: float = 0.5) -> Says:
    """Each judgment on its own: no order, no answer is preferred."""
    rng = np.random.default_rng(seed)
    drawn: dict[tuple[int, str], str] = {}
    return lambda i, order: drawn.setdefault((i, order), SIDES[int(rng.random() >= share)])


def judged(
    folder: Path,
    judges: Mapping[str, Says | Mapping[str, Says]],
    languages: tuple[str, ...] = ("da",),
    n: int = 40,
    orders: tuple[str, ...] = ORDERS,
    identities: Mapping[str, dict[str, Any]] | None = None,
    reason: str = "refused",
    **about: Any,
) -> Path:
    """A run of two systems or more, judged by judges whose verdicts are known, in all or each of its languages."""
    run = make_run(folder, languages=languages, n_items=n, **about)
    manifest = run.manifest()
    for judge, says in judges.items():
        for candidate in list(manifest["systems"])[1:]:
            for language in languages:
                verdict = says[language] if isinstance(says, Mapping) else says
                seal(run, judge, candidate, language, n, orders, verdict, reason)
    manifest["judges"] = {x: (identities or {}).get(x, {}) for x in judges}
    write_json(folder / "manifest.json", manifest)
    return folder


def seal(run: RunDirectory, judge, candidate, language, n, orders, says: Says, reason: str) -> None:
    rows = [
        Judgment(f"q{i}/{language}", f"q{i}", "advice", order, v := says(i, order), None if v else reason)  # pyright: ignore[reportArgumentType]
        for i in range(n)
        for order in orders
    ]
    info = {"fingerprint": {}, "signature": f"judge:{judge}", "n_items": n, "orders_per_item": len(orders)}
    run.judgments(judge, candidate, "base", "open", language).seal({"judgments": (Judgment, rows)}, info)


def found(table: pd.DataFrame, measure: str, language: str = "da", judge: str = "j", other: str = "") -> Any:
    chosen = table[
        table["measure"].eq(measure) & table["language"].eq(language) & table["judge"].eq(judge)
        & table["other_judge"].eq(other)
    ]  # fmt: skip
    assert len(chosen) == 1
    return chosen.iloc[0]


# Orders and positions


def test_judge_that_always_names_the_first_answer_is_flagged_and_never_consistent(tmp_path):
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": always_first}, LANGUAGES, n=12)))
    assert tuple(table) == COLUMNS
    for language in (*LANGUAGES, "all"):
        consistency, first = (found(table, x, language) for x in ("order_consistency", "first_position"))
        assert (consistency["value"], first["value"], first["flag"]) == (0, 1, "prefers-first")
        assert first["p_value"] == pytest.approx(2 / 2**12)
    assert found(table, "first_position", "all")["n"] == 72
    assert found(table, "first_position", "da")["p_adjusted"] == pytest.approx(3 * 2 / 2**12)
    (sentence,) = sentences(table)
    assert sentence.startswith("judge j prefers the answer shown first in 100% [76%, 100%] of 72 decided judgments")
    assert "use both orders" in sentence


def test_judge_that_prefers_the_second_answer_is_flagged_too(tmp_path):
    second: Says = lambda i, order: SIDES[order == "candidate_first"]  # noqa: E731
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": second})))
    assert found(table, "first_position")["flag"] == "prefers-second"
    assert "prefers the answer shown second in 100%" in sentences(table)[0]


def test_consistency_has_wilson_s_interval_and_a_tie_against_a_win_disagrees(tmp_path):
    says: Says = lambda i, order: "tie" if i < 4 and order == "candidate_first" else "candidate"  # noqa: E731
    row = found(judge_audit(RunData(judged(tmp_path / "run", {"j": says}, n=10))), "order_consistency")
    wilson = binomtest(6, 10).proportion_ci(method="wilson")
    assert (row["value"], row["ci_low"], row["ci_high"]) == pytest.approx((0.6, wilson.low, wilson.high))
    assert row["n"] == 10


def test_fair_judge_is_not_flagged(tmp_path):
    table = judge_audit(
        RunData(judged(tmp_path / "run", {"j": {x: coin(k, 0.6) for k, x in enumerate(LANGUAGES)}}, LANGUAGES))
    )
    tested = table[table["measure"].eq("first_position")]
    assert list(tested["n"]) == [80, 80, 80, 240]
    assert list(tested["flag"]) == [""] * 4
    assert sentences(table) == []


def test_fair_judges_have_a_significant_position_as_rarely_as_chance_allows():
    rng = np.random.default_rng(7)
    judges, n = 250, 30
    rows = [(f"j{j}", f"q{i}", order) for j in range(judges) for i in range(n) for order in ORDERS]
    table = pd.DataFrame(rows, columns=["judge", "source_id", "order"])
    leaning = np.repeat(rng.random(judges * n), 2) ** 2
    side = np.where(rng.random(len(table)) < leaning, *SIDES)
    verdict = np.where(rng.random(len(table)) < 0.2, "tie", side)
    judgments = table.assign(verdict=verdict, suite="open", language="da", complete=True, forced=False)
    p = np.array([x.p_value for x in share_rows("first_position", first_position(judgments), ["da"])])
    assert len(p) == judges
    assert (p <= 0.05).mean() <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / judges)
    assert (p <= 0.5).mean() > 0.3  # less than one half: few items decide, so p-values are coarse


def test_consistent_judge_shows_no_position_whatever_it_prefers(tmp_path):
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": said("candidate")})))
    first = found(table, "first_position")
    assert (first["value"], first["p_value"], first["flag"]) == (0.5, 1, "")
    assert found(table, "order_consistency")["value"] == 1


def test_items_with_an_unreadable_order_are_left_out_of_orders_and_positions(tmp_path):
    says: Says = lambda i, order: None if order == "reference_first" and i % 2 else "candidate"  # noqa: E731
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": says})))
    first, consistency = found(table, "first_position"), found(table, "order_consistency")
    assert (first["value"], first["n"], consistency["n"]) == (0.5, 40, 20)
    assert (first["note"], consistency["note"]) == tuple(f"an order is not readable ({x})" for x in (40, 20))


def test_translations_and_two_orders_are_one_cluster(tmp_path):
    by_item: Says = lambda i, order: always_first(i, order) if i < 5 else "candidate"  # noqa: E731
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": by_item}, LANGUAGES, n=6)))
    assert found(table, "first_position", "all")["p_value"] == pytest.approx(2 / 2**5)


def test_candidates_of_one_item_are_one_cluster(tmp_path):
    by_item: Says = lambda i, order: always_first(i, order) if i < 5 else "candidate"  # noqa: E731
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": by_item}, n=6, systems=("base", "one", "two"))))
    first = found(table, "first_position")
    assert (first["p_value"], first["n"]) == (pytest.approx(2 / 2**5), 24)


def test_judge_with_one_order_by_choice_has_a_position_but_no_consistency(tmp_path):
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": always_first}, orders=("candidate_first",))))
    assert found(table, "first_position")["flag"] == "prefers-first"
    consistency = found(table, "order_consistency")
    assert (consistency["n"], consistency["note"]) == (0, "one order by choice (40)")
    assert math.isnan(consistency["value"])


def test_judge_without_orders_has_neither(tmp_path):
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": said("candidate")}, orders=("unordered",))))
    for measure in ("first_position", "order_consistency"):
        row = found(table, measure)
        assert (row["n"], row["flag"], row["note"]) == (0, "", "shown without an order (40)")


@pytest.mark.parametrize(("ties", "n"), [(False, 0), (True, 80)])
def test_equal_answers_say_nothing_of_a_judge_that_may_not_call_a_tie(tmp_path, ties, n):
    same: Any = {"answer": lambda system, language, i: "the same"}
    folder = judged(tmp_path / "run", {"j": always_first}, identities={"j": {"judge": "llm", "ties": ties}}, **same)
    row = found(judge_audit(RunData(folder)), "first_position")
    assert (row["n"], row["flag"]) == (n, "prefers-first" if ties else "")


# Length


def test_judge_that_loves_length_is_flagged(tmp_path):
    longer: Says = lambda i, order: "reference" if i % 4 == 3 else "candidate"  # noqa: E731
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": longer})))
    row = found(table, "prefers_longer")
    assert (row["value"], row["n"], row["flag"]) == (1, 40, "prefers-longer")
    assert "judge j prefers the longer answer in 100%" in sentences(table)[0]
    assert "length-controlled" in sentences(table)[0]


def test_length_is_counted_in_characters_without_what_was_thought_aloud(tmp_path):
    def answer(system: str, language: str, i: int) -> str:
        return "abc def" if system == "base" else "<think>" + "long " * 50 + "</think>abcde"

    table = judge_audit(RunData(judged(tmp_path / "run", {"j": said("candidate")}, answer=answer)))
    assert found(table, "prefers_longer")["flag"] == "prefers-shorter"
    assert "prefers the shorter answer in 100%" in sentences(table)[0]


def test_ties_equal_lengths_and_unscored_items_are_no_part_of_the_length_preference(tmp_path):
    def answer(system: str, language: str, i: int) -> str:
        return "equal" if i < 3 else longer_answers(system, language, 0)

    says = said(*["candidate"] * 5, *["tie"] * 2, None, *["reference"] * 2)
    row = found(judge_audit(RunData(judged(tmp_path / "run", {"j": says}, n=10, answer=answer))), "prefers_longer")
    assert (row["n"], row["value"]) == (4, 0.5)
    assert row["note"] == "equal lengths (3); tie (2); unscored (1)"


def test_languages_are_a_family_of_tests(tmp_path):
    mixed = {"da": always_first, "de": coin(1), "cy": coin(2)}
    table = judge_audit(RunData(judged(tmp_path / "run", {"j": mixed}, LANGUAGES, n=30)))
    rows = table[table["measure"].eq("first_position") & table["language"].ne("all")]
    assert list(rows["p_adjusted"]) == pytest.approx(list(holm(rows["p_value"].to_numpy())))
    assert list(rows["flag"]) == ["prefers-first", "", ""]


# Agreement


def test_kappa_is_sklearn_s_on_the_items_that_both_judges_scored(tmp_path):
    rng = np.random.default_rng(5)
    a, b = (list(rng.choice([*SIDES, "tie"], 60, p=p)) for p in ([0.6, 0.2, 0.2], [0.4, 0.3, 0.3]))
    b[:20] = a[:20]
    b[30] = None
    table = judge_audit(RunData(judged(tmp_path / "run", {"a": said(*a), "b": said(*b)}, n=60)))
    row = found(table, "cohen_kappa", judge="a", other="b")
    both = [(x, y) for x, y in zip(a, b, strict=True) if y]
    assert row["value"] == pytest.approx(cohen_kappa_score(*map(list, zip(*both, strict=True))))
    assert row["n"] == 59
    assert row["ci_low"] < row["value"] < row["ci_high"]
    alpha = found(table, "krippendorff_alpha", judge="")
    assert alpha["note"] == "a, b"
    assert alpha["value"] == pytest.approx(row["value"], abs=0.1)


def test_item_s_verdict_is_that_of_its_joined_orders(tmp_path):
    half: Says = lambda i, order: "tie" if order == "candidate_first" else SIDES[i % 2]  # noqa: E731
    judges = {"a": half, "b": said(*SIDES), "c": always_first}
    table = judge_audit(RunData(judged(tmp_path / "run", judges)))
    assert found(table, "cohen_kappa", judge="a", other="b")["value"] == 1
    assert found(table, "cohen_kappa", judge="a", other="c")["value"] == 0


def test_panel_and_repeats_have_no_second_voice_in_alpha(tmp_path):
    identities = {
        "panel": {"judge": "panel", "members.a.judge": "llm", "members.b.judge": "reward"},
        "a": {"judge": "llm", "seed": 1}, "again": {"judge": "llm", "seed": 2}, "b": {"judge": "reward"},
    }  # fmt: skip
    judges = {x: coin(i) for i, x in enumerate(("a", "again", "b", "panel"))}
    table = judge_audit(RunData(judged(tmp_path / "run", judges, identities=identities)))
    assert found(table, "krippendorff_alpha", judge="")["note"] == "a, b"
    assert found(table, "cohen_kappa", judge="a", other="panel")["note"] == "a sits on panel"
    assert found(table, "cohen_kappa", judge="a", other="again")["note"] == "repeats"


def test_repeats_agree_where_the_same_item_in_the_same_order_has_the_same_verdict(tmp_path):
    again: Says = lambda i, order: "tie" if i < 10 and order == "candidate_first" else "candidate"  # noqa: E731
    identities = {"a": {"judge": "llm", "seed": 0}, "b": {"judge": "llm", "seed": 1}, "c": {"judge": "reward"}}
    judges = {"a": said("candidate"), "b": again, "c": said("tie")}
    table = judge_audit(RunData(judged(tmp_path / "run", judges, identities=identities)))
    row = found(table, "self_agreement", judge="a", other="b")
    assert (row["value"], row["n"]) == (70 / 80, 80)
    alone = found(table, "self_agreement", judge="c")
    assert (alone["n"], alone["note"]) == (0, "no repeats (80)")
    assert math.isnan(alone["value"])


def test_known_answers_count_where_the_reference_judge_knows_the_better_one(tmp_path):
    judges = {"reference": said("candidate", "reference", "tie", "candidate"), "j": said("candidate", "tie")}
    folder = judged(tmp_path / "run", judges, identities={"reference": {"judge": "reference"}})
    row = found(judge_audit(RunData(folder)), "known_answers", other="reference")
    assert (row["value"], row["n"], row["note"]) == (1 / 3, 30, "not known which is better (10)")


# Unscored, other languages, gaps


def test_reasons_are_counted_the_most_frequent_first(tmp_path):
    folder = judged(tmp_path / "run", {"j": said(None, "tie", "tie", "tie")}, reason="reply cut off")
    row = found(judge_audit(RunData(folder)), "unscored")
    assert (row["value"], row["n"], row["note"]) == (0.25, 80, "reply cut off (20)")
    rows = [Judgment(f"q{i}/da", f"q{i}", "advice", "unordered", None, "abcde"[i % 5]) for i in range(12)]
    cell = RunDirectory(folder).judgments("j", "tuned", "base", "open", "da")
    cell.seal({"judgments": (Judgment, rows)}, cell.seal_info())
    assert found(judge_audit(RunData(folder)), "unscored")["note"] == "a (3); b (3); c (2); other (4)"


def test_off_target_rates_are_those_of_the_table_and_are_read_where_they_stand(tmp_path):
    folder = judged(tmp_path / "run", {"j": said("tie")}, answer=lambda *_: "Das ist eine ganz gewöhnliche Antwort.")
    made, table = judge_audit(RunData(folder)), off_target_table(RunData(folder))
    rows = made[made["measure"].eq("off_target")]
    assert list(rows["system"]) == ["base", "tuned"]
    assert list(rows["value"]) == list(table["rate"]) == [1, 1]
    assert rows["note"].iloc[0] == "mostly de"
    write_csv(folder / "off_target.csv", table.assign(rate=0.5))
    read = judge_audit(RunData(folder))
    assert list(read[read["measure"].eq("off_target")]["value"]) == [0.5, 0.5]
    write_csv(folder / "off_target.csv", table.assign(rate=0.5).iloc[:1])
    assert list(judge_audit(RunData(folder))[lambda x: x["measure"].eq("off_target")]["value"]) == [1, 1]


def test_same_run_gives_the_same_table(tmp_path):
    folder = judged(tmp_path / "run", {"a": coin(1), "b": coin(2)}, LANGUAGES, n=30)
    pd.testing.assert_frame_equal(judge_audit(RunData(folder)), judge_audit(RunData(folder)))


def test_run_without_judgments_is_one_sentence(tmp_path):
    make_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"has no whole judgments to audit; .*judge RUN --judge NAME"):
        judge_audit(RunData(tmp_path / "run"))


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match="not a run directory"):
        judge_audit(RunData(tmp_path))


def test_command_writes_the_table_names_flagged_judges_and_what_is_missing(cli, tmp_path):
    folder = judged(tmp_path / "run", {"j": always_first}, ("da", "de"), n=12)
    cell = RunDirectory(folder).judgments("j", "tuned", "base", "open", "de")
    (cell.path / "cell.json").unlink()
    write_json(cell.path / "gap.json", {"reason": "judged 3 of 12: budget"})
    done = cli("judge-audit", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "judge j prefers the answer shown first in 100%" in done.stdout
    assert "left out: tuned, open, de: judge j: judged 3 of 12: budget" in done.stdout
    written = pd.read_csv(folder / FILE, keep_default_na=False)
    assert tuple(written) == COLUMNS
    assert written[written["measure"].eq("first_position")]["value"].tolist() == ["1.000000"]
