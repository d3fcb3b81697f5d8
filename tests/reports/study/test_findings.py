"""The study's findings from hand-built comparisons, and its report from a hand-built run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from croco_eval.harness.errors import UserError
from croco_eval.reports.records.rules import Rules
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.study.claims import Answer, agreed, all_of, any_of, better, no_better, not_worse, spread_of
from croco_eval.reports.study.findings import Evidence, Finding, Measure, findings
from croco_eval.reports.study.rankings import language_rankings, rankings_answer
from croco_eval.reports.study.study_document import claim_sentence
from croco_eval.reports.study.write_study import training_table, write_study
from croco_eval.reports.tables.all import write_tables
from helpers.hand_built import write_config, write_quiz

HOLDS, FAILS, OPEN = Answer.HOLDS, Answer.FAILS, Answer.OPEN
QUIZ, CHAT = Measure("quiz", "score"), Measure("chat", "win_rate[j]")
RULES = Rules(n_resamples=500)


def row(candidate, reference, measure, difference, verdict, low=None, high=None, p=None):
    """A comparison whose interval is ±0.01 around the difference unless it is given."""
    p = (0.001 if verdict in ("improved", "forgot") else 0.5) if p is None else p
    return {
        "candidate": candidate, "reference": reference, "suite": measure.suite, "metric": measure.metric,
        "scope": "all", "language": "all", "n": 100, "difference": difference, "verdict": verdict, "margin": 0.02,
        "ci_low": difference - 0.01 if low is None else low, "ci_high": difference + 0.01 if high is None else high,
        "p_adjusted": p,
    }  # fmt: skip


def rows(*of):
    """Comparisons of seeds 1, 2, ... of x against the base: (difference, verdict[, low, high])."""
    return pd.DataFrame([row(f"x-{i}", "base", CHAT, *values) for i, values in enumerate(of, 1)])


GAIN, LOSS, SAME, WIDE = (0.05, "improved"), (-0.05, "forgot"), (0.0, "matched"), (0.03, "inconclusive", -0.1, 0.16)


@pytest.mark.parametrize(
    ("claim", "seeds", "answer"),
    [
        (better, [GAIN, GAIN, GAIN], HOLDS),
        (better, [GAIN, GAIN, WIDE], OPEN),
        (better, [LOSS, LOSS, SAME], FAILS),
        (better, [WIDE], OPEN),
        (not_worse, [GAIN, SAME, SAME], HOLDS),
        (not_worse, [LOSS, LOSS], FAILS),
        (not_worse, [SAME, LOSS], OPEN),
        (not_worse, [WIDE, WIDE], OPEN),
        (no_better, [SAME, LOSS], HOLDS),
        (no_better, [GAIN, GAIN], FAILS),
        (no_better, [(0.005, "improved"), (0.004, "improved")], FAILS),
        (no_better, [WIDE, SAME], OPEN),
    ],
)
def test_a_claim_holds_or_fails_only_if_every_seed_says_so(claim: Callable, seeds: list, answer: Answer):
    alpha = (0.05,) if claim is better else ()
    assert claim("x", rows(*seeds), *alpha).answer == answer


def test_two_chances_need_a_smaller_p_value():
    table = rows((0.05, "improved", 0.001, 0.1, 0.04))
    assert better("x", table, 0.05).answer == HOLDS
    assert better("x", table, 0.025).answer == OPEN


def test_what_was_not_compared_can_not_be_told():
    nothing = rows((np.nan, "inconclusive", np.nan, np.nan)).assign(n=0)
    assert better("x", nothing, 0.05).answer == not_worse("x", nothing).answer == OPEN
    assert better("x", rows(GAIN).head(0), 0.05).answer == OPEN
    assert "for want of these arms" in claim_sentence(better("x", rows(GAIN).head(0), 0.05))
    assert "x-1: not compared" in claim_sentence(better("x", nothing, 0.05))


def test_answers_join_as_in_logic():
    assert [agreed(x) for x in ([HOLDS], [HOLDS, FAILS], [])] == [HOLDS, OPEN, OPEN]
    assert [all_of(x) for x in ([HOLDS, HOLDS], [HOLDS, OPEN], [OPEN, FAILS])] == [HOLDS, OPEN, FAILS]
    assert [any_of(x) for x in ([FAILS, HOLDS], [FAILS, OPEN], [FAILS, FAILS])] == [HOLDS, OPEN, FAILS]


def test_the_spread_between_seeds_stands_beside_the_one_over_items():
    found = spread_of(rows((0.01, "matched"), (0.03, "matched"), (0.05, "matched")))
    assert found.mean == pytest.approx(0.03)
    assert found.seed_sd == pytest.approx(0.02)
    assert found.item_se == pytest.approx(0.01 / 1.96, rel=1e-3)
    assert np.isnan(spread_of(rows(GAIN)).seed_sd)


def study(**changes: tuple) -> list[Finding]:
    """The findings of a world in which all hold, but for some comparisons: ``mono_base_chat=LOSS``."""
    world = {
        "mono_base_chat": GAIN, "multi_base_chat": WIDE, "mono_base_quiz": SAME, "multi_base_quiz": SAME,
        "mono_sft_quiz": GAIN, "mono_off_chat": GAIN, "online_mono_chat": SAME, **changes,
    }  # fmt: skip
    table = [
        row(f"{a}-{seed}", "base" if b == "base" else f"{b}-{seed}", {"quiz": QUIZ, "chat": CHAT}[suite], *values)
        for name, values in world.items()
        for a, b, suite in [name.split("_")]
        for seed in (1, 2, 3)
    ]
    arms = {x: [f"{x.split('-')[0]}-{seed}" for seed in (1, 2, 3)] for x in ("sft", "mono", "multi", "online")}
    arms["off-policy"] = ["off-1", "off-2", "off-3"]
    return findings(Evidence(pd.DataFrame(table), arms, "base", QUIZ, CHAT), [], RULES)


@pytest.mark.parametrize(
    ("changes", "answers"),
    [
        ({}, [OPEN, HOLDS, HOLDS, HOLDS, HOLDS, HOLDS]),
        ({"mono_base_chat": SAME}, [OPEN, OPEN, HOLDS, HOLDS, HOLDS, HOLDS]),
        ({"mono_base_chat": SAME, "multi_base_chat": LOSS}, [OPEN, FAILS, HOLDS, HOLDS, HOLDS, HOLDS]),
        ({"mono_sft_quiz": WIDE}, [OPEN, HOLDS, OPEN, HOLDS, HOLDS, HOLDS]),
        ({"mono_sft_quiz": SAME}, [OPEN, HOLDS, FAILS, HOLDS, HOLDS, HOLDS]),
        ({"mono_base_quiz": LOSS}, [OPEN, HOLDS, FAILS, HOLDS, HOLDS, FAILS]),
        ({"multi_base_quiz": WIDE}, [OPEN, HOLDS, HOLDS, HOLDS, HOLDS, OPEN]),
        ({"mono_off_chat": LOSS}, [OPEN, HOLDS, HOLDS, FAILS, HOLDS, HOLDS]),
        ({"mono_off_chat": WIDE}, [OPEN, HOLDS, HOLDS, OPEN, HOLDS, HOLDS]),
        ({"online_mono_chat": GAIN}, [OPEN, HOLDS, HOLDS, HOLDS, FAILS, HOLDS]),
        ({"online_mono_chat": WIDE}, [OPEN, HOLDS, HOLDS, HOLDS, OPEN, HOLDS]),
    ],
)
def test_each_finding_follows_from_its_own_tests(changes: dict, answers: list[Answer]):
    assert [x.answer for x in study(**changes)] == answers


def candidates(**agreement: float) -> pd.DataFrame:
    """Forty prompts of four candidates per language; a share of them ranked as the known scores are, else reversed."""
    rng = np.random.default_rng(0)
    made = []
    for language, share in agreement.items():
        for prompt in range(40):
            sign = 1 if rng.random() < share else -1
            made += [(language, f"{prompt}/{language}", sign * x, x) for x in rng.permutation(4)]
    return pd.DataFrame(made, columns=["language", "prompt_id", "reward", "score"])


def test_rankings_must_be_better_than_chance_in_every_language_but_english():
    answers = [
        rankings_answer(language_rankings(candidates(**x), RULES))
        for x in ({"da": 0.95, "mt": 0.9}, {"da": 0.95, "mt": 0.5}, {"da": 0.95, "mt": 0.05}, {"en": 0.95})
    ]
    assert answers == [HOLDS, OPEN, FAILS, OPEN]
    assert rankings_answer(language_rankings(candidates(da=0.9, en=0.02), RULES)) == HOLDS
    assert language_rankings(None, RULES) == []


def learned(arm: str, seed: int, share: float) -> pd.DataFrame:
    """What an arm learnt: a share of eighty prompts whose answers its log-ratio orders as their rewards, else
    reversed."""
    table = candidates(da=share, mt=share).rename(columns={"reward": "log_ratio", "score": "reward"})
    return table.assign(arm=arm, seed=seed, source_id=table["prompt_id"].str.partition("/")[0])


def test_what_an_arm_learnt_is_told_from_chance_and_left_out_where_it_is_not_known():
    logs = [{"arm": x, "seed": y} for x, y in (("mono", 1), ("mono", 2), ("sft", 1), ("multi", 1))]
    rows = pd.concat([learned("mono", 1, 0.95), learned("mono", 2, 0.05), learned("sft", 1, 0.5)])
    found = training_table(logs, rows, RULES)
    assert found["ordered"].round(1).tolist()[:3] == pytest.approx([0.9, 0.0, 0.5], abs=0.11)
    assert (found["ordered_low"] > 0.5).tolist() == [True, False, False, False]
    assert (found["ordered_high"] < 0.5).tolist() == [False, True, False, False]
    assert np.isnan(found.loc[3, "ordered"])
    assert "ordered" not in training_table(logs, None, RULES)


def run(folder: Path) -> Path:
    """A base, an arm with two seeds that answers better and knows as much, and one that forgets."""
    knows, forgets, better_answers = [1, 0] * 20, [0] * 40, [0.9, 0.7] * 20
    more = [1, 0] * 12 + [1, 1] * 8
    systems = {"base": knows, "mono-1": more, "mono-2": more, "sft-1": forgets, "sft-2": forgets}
    values = {x: {"da": y, "mt": y} for x, y in systems.items()}
    likes = {x: {"da": y, "mt": y} for x, y in {"mono-1": better_answers, "mono-2": better_answers,
                                               "sft-1": [0.5, 0.4] * 20, "sft-2": [0.5, 0.4] * 20}.items()}  # fmt: skip
    write_quiz(folder, values, preferences=likes)
    write_config(folder, list(systems), ["locale", "locale-open"], statistics={"n_resamples": 500})
    write_tables(RunData(folder))
    return folder


def test_the_report_says_what_the_tests_say(tmp_path: Path):
    logs = [{"arm": "mono", "seed": 1, "trainer": "dpo", "rows": 9, "steps": 3, "loss": 0.5, "reward_margin": 0.7}]
    arms = {"mono": ["mono-1", "mono-2"], "sft": ["sft-1", "sft-2"]}
    given = {"arms": arms, "logs": logs, "candidates": candidates(da=0.95, en=1.0), "command": "croco-eval nano study"}
    given["learned"] = learned("mono", 1, 0.9)
    written = write_study(run(tmp_path / "run"), tmp_path / "report", **given)
    text = written.read_text(encoding="utf-8")
    found = pd.read_csv(tmp_path / "report" / "findings.csv").groupby("finding", sort=False)["finding_answer"].first()
    assert found.tolist()[:3] == ["holds", "holds", "holds"]
    assert "mono better than sft in quiz: holds. Mean +0.700" in text
    assert "mono-1 against base +0.300" in text
    assert "can't be told, for want of these arms" in text
    trained = pd.read_csv(tmp_path / "report" / "training.csv").iloc[0]
    assert trained["ordered"] == pytest.approx(0.9, abs=0.08)
    assert trained["ordered_low"] < trained["ordered"] < trained["ordered_high"]
    assert f"{trained['ordered']:.3f} [" in text
    assert "](figures/seeds.png)" in text
    assert (tmp_path / "report" / "figures" / "seeds.pdf").stat().st_size > 1000
    spread = pd.read_csv(tmp_path / "report" / "arms.csv").set_index(["arm", "metric", "language"])
    assert spread.loc[("mono", "win_rate[j]", "all"), "mean"] == pytest.approx(0.3)
    assert spread.loc[("mono", "win_rate[j]", "all"), "verdicts"] == "improved improved"
    assert write_study(tmp_path / "run", tmp_path / "report", **given).read_text(encoding="utf-8") == text


def test_a_run_without_a_judged_suite_is_no_study(tmp_path: Path):
    folder = write_quiz(tmp_path, {"base": {"da": [1, 0]}, "mono-1": {"da": [1, 1]}})
    write_config(folder, ["base", "mono-1"], ["locale"])
    write_tables(RunData(folder))
    with pytest.raises(UserError, match="one structured suite and one open-ended one, with a judge"):
        write_study(
            folder, tmp_path / "report", arms={"mono": ["mono-1"]}, logs=[], learned=None, candidates=None, command=""
        )
