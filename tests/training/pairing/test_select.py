"""From stored candidates and rewards to pairs, against the rule in plain words."""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from croco_eval.harness.errors import DataError, StoreError
from croco_eval.harness.store.parquet import write_records
from croco_eval.harness.store.texts import texts_file
from croco_eval.training.pairing.candidates import Candidates, read_candidates
from croco_eval.training.pairing.rule import TARGETS, PairRule
from croco_eval.training.pairing.select import select_pairs
from croco_eval.training.records import Candidate, Prompt, Reward
from hypothesis import given, settings
from hypothesis import strategies as st

Row = tuple[str, str, int, str, float | None, str]
"""Source, language, sample, answer, reward, kind."""


@pytest.fixture(scope="module", autouse=True)
def _without_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def store(folder: Path, rows: Sequence[Row], in_language: Sequence[bool | None] = ()) -> tuple[Path, Path]:
    """The datasets that the stages sample and score leave."""
    paths = folder / "candidates.parquet", folder / "rewards.parquet"
    told = in_language or [None] * len(rows)
    candidates = [
        Candidate(f"{source}/{code}", source, code, sample, answer, "stop", "gold" if kind == "gold" else "generation",
                  "base", at_home)
        for (source, code, sample, answer, _, kind), at_home in zip(rows, told, strict=True)
    ]  # fmt: skip
    rewards = [
        Reward(f"{source}/{code}", sample, value, None if value is not None else "failed")
        for source, code, sample, _, value, _ in rows
    ]
    write_records(paths[0], Candidate, candidates)
    write_records(paths[1], Reward, rewards)
    return paths


def pairs_of(rule: PairRule, prompts: Sequence[Prompt], candidates: Candidates, seed: int = 0):
    """Pairs as rows, skips, summary."""
    pairs = select_pairs(rule, prompts, candidates, seed)
    rows = [x for table in pairs.tables() for x in table.to_pylist()]
    return rows, pairs.skips, pairs.summary()


def of_one_source(*rows: tuple[str, str, float | None, str]) -> list[Row]:
    return [("s", code, i, answer, value, kind) for i, (code, answer, value, kind) in enumerate(rows)]


PROMPTS = [Prompt(f"s/{x}", "s", x, f"{x}?") for x in ("da", "en")]


def test_a_pool_of_all_languages_pairs_across_them(tmp_path: Path):
    rows = of_one_source(("da", "a", 1.0, "g"), ("da", "b", 0.5, "g"), ("en", "c", 3.0, "g"), ("en", "d", 2.0, "g"))
    stored = read_candidates(*store(tmp_path, rows))
    (pair,), _, _ = pairs_of(PairRule(pool="all"), PROMPTS, stored)
    assert (pair["chosen"], pair["rejected"], pair["prompt_language"], pair["rejected_language"]) == (
        "c",
        "b",
        "en",
        "da",
    )
    (pair,), _, _ = pairs_of(PairRule(pool="all", prompt_source="rejected"), PROMPTS, stored)
    assert pair["prompt"] == "da?"
    assert len(pairs_of(PairRule(pool="language"), PROMPTS, stored)[0]) == 2


def test_gold_answers_are_members_only_when_asked_for(tmp_path: Path):
    rows = of_one_source(("da", "a", 1.0, "g"), ("da", "b", 2.0, "g"), ("da", "gold", 1.5, "gold"))
    stored = read_candidates(*store(tmp_path, rows))
    (pair,), _, _ = pairs_of(PairRule(), PROMPTS, stored)
    assert (pair["chosen"], pair["pool_size"]) == ("b", 2)
    (pair,), _, _ = pairs_of(PairRule(members="generations+gold"), PROMPTS, stored)
    assert (pair["chosen"], pair["pool_size"]) == ("b", 3)
    (pair,), _, _ = pairs_of(PairRule(members="gold-chosen"), PROMPTS, stored)
    assert (pair["chosen"], pair["rejected"]) == ("gold", "a")


def test_a_chosen_gold_answer_needs_no_reward_and_is_never_paired_with_itself(tmp_path: Path):
    rows = of_one_source(
        ("da", "a", 1.0, "g"), ("da", "same", 0.0, "g"), ("da", "same", None, "gold"), ("en", "x", 1.0, "g")
    )
    pairs, skips, _ = pairs_of(PairRule(members="gold-chosen"), PROMPTS, read_candidates(*store(tmp_path, rows)))
    assert pairs == []
    assert skips == {
        "candidate: failed": 1,
        "pool: no gold answer": 1,
        "pool: chosen and rejected are the same text": 1,
    }
    rows[1] = ("s", "da", 1, "another", 0.0, "g")
    (pair,), _, (summary,) = pairs_of(PairRule(members="gold-chosen"), PROMPTS, read_candidates(*store(tmp_path, rows)))
    assert (pair["chosen"], pair["rejected"]) == ("same", "another")
    assert math.isnan(pair["chosen_score"])
    assert summary.reward_gap is None


def test_what_cannot_be_used_is_counted_by_reason(tmp_path: Path):
    rows: list[Row] = [
        *of_one_source(("da", "", 9.0, "g"), ("da", "a", 1.0, "g"), ("da", "b", None, "g"), ("da", "c", 0.0, "g")),
        ("s", "da", 7, "d", math.nan, "g"),
        ("s", "da", 8, "e", math.inf, "g"),
        ("s", "da", 1, "again", -5.0, "g"),
        ("t", "da", 0, "no prompt", 1.0, "g"),
        ("t", "da", 1, "nor here", 0.0, "g"),
        ("u", "da", 0, "alone", 1.0, "g"),
        ("v", "da", 0, "x", 1.0, "g"),
        ("v", "da", 1, "y", 1.0, "g"),
        ("w", "da", 0, "", None, "g"),
    ]
    prompts = [Prompt(f"{x}/da", x, "da", "?") for x in "suvw"]
    (pair,), skips, (summary,) = pairs_of(PairRule(), prompts, read_candidates(*store(tmp_path, rows)))
    assert (pair["chosen"], pair["rejected"], pair["pool_size"]) == ("a", "c", 2)
    assert skips == {
        "candidate: empty answer": 1,
        "candidate: failed": 2,
        "candidate: the reward is not a finite number": 2,
        "candidate: a second row of the same sample": 1,
        "pool: no prompt in this language": 1,
        "pool: only one scored candidate": 1,
        "pool: no candidate below the chosen one": 1,
        "pool: no scored candidate": 1,
    }
    assert (summary.language, summary.pairs, summary.reward_gap) == ("da", 1, 1.0)


def test_off_target_rates_are_of_the_answers_whose_language_can_be_told(tmp_path: Path):
    rows: list[Row] = [(str(i), "da", k, f"answer {i} {k}", float(k), "g") for i in range(4) for k in range(2)]
    told = [True, True, False, False, False, None, None, True]
    prompts = [Prompt(f"{i}/da", str(i), "da", "?") for i in range(4)]
    _, _, (summary,) = pairs_of(PairRule(), prompts, read_candidates(*store(tmp_path, rows, told)))
    assert (summary.chosen_off_target, summary.chosen_told) == (1 / 3, 3)
    assert (summary.rejected_off_target, summary.rejected_told) == (2 / 3, 3)
    _, _, (summary,) = pairs_of(PairRule(), prompts, read_candidates(*store(tmp_path, rows)))
    assert (summary.chosen_off_target, summary.chosen_told) == (None, 0)


def test_rewards_of_other_candidates_are_refused(tmp_path: Path):
    rows = of_one_source(("da", "a", 1.0, "g"), ("da", "b", 0.0, "g"))
    candidates, rewards = store(tmp_path, rows)
    write_records(rewards, Reward, [Reward("s/da", 1, 1.0), Reward("s/da", 0, 0.0)])
    with pytest.raises(DataError, match=r"rewards\.parquet, row 1: the reward is of another candidate"):
        read_candidates(candidates, rewards)
    write_records(rewards, Reward, [Reward("s/da", 0, 1.0)])
    with pytest.raises(DataError, match="holds 1 rewards for the 2 rows"):
        read_candidates(candidates, rewards)
    pd.DataFrame({"prompt_id": ["s/da"]}).to_parquet(rewards)
    with pytest.raises(StoreError, match="has no column 'sample'"):
        read_candidates(candidates, rewards)
    rewards.write_bytes(b"no parquet")
    with pytest.raises(StoreError, match="can't be read"):
        read_candidates(candidates, rewards)


def test_datasets_that_another_program_wrote_give_the_same_pairs(tmp_path: Path):
    rng = np.random.default_rng(3)
    rows: list[Row] = [
        (str(i), "da", k, f"answer {i} {k} ø" * int(rng.integers(1, 9)), float(rng.normal()), "g")
        for i in rng.permutation(9).tolist()
        for k in range(5)
    ]
    prompts = [Prompt(f"{i}/da", str(i), "da", "?") for i in range(9)]
    paths = store(tmp_path, rows)
    expected = pairs_of(PairRule(), prompts, read_candidates(*paths))
    texts_file(paths[0]).unlink()
    for path in paths:
        frame = pd.read_parquet(path).drop(columns="in_language", errors="ignore")
        if path == paths[0]:
            frame["answer"] = [x[3] for x in rows]
        frame.to_parquet(path, row_group_size=7)
    assert pairs_of(PairRule(), prompts, read_candidates(*paths)) == expected
    assert len(expected[0]) == 9


def in_plain_words(
    rows: Sequence[Row], prompts: dict[tuple[str, str], str], rule: PairRule, languages: Sequence[str]
) -> tuple[list[tuple], Counter[str]]:
    """(prompt, chosen, rejected, pool size) in the order in which pools first appear, and the skips."""
    skips: Counter[str] = Counter()
    pools: dict[tuple, list[tuple[float | None, Row]]] = {}
    seen: set[tuple] = set()
    for row in rows:
        source, code, sample, answer, value, _ = row
        repeated = (source, code, sample) in seen
        seen.add((source, code, sample))
        if code not in languages:
            continue
        if value is None:
            skips["candidate: failed"] += 1
        elif not math.isfinite(value):
            skips["candidate: the reward is not a finite number"] += 1
        if value is not None and not math.isfinite(value):
            value = None
        if value is not None and not answer:
            skips["candidate: empty answer"] += 1
            value = None
        if value is not None and repeated:
            skips["candidate: a second row of the same sample"] += 1
            value = None
        pools.setdefault((source,) if rule.pool == "all" else (source, code), []).append((value, row))
    found = []
    for pool in pools.values():
        outcome = one_pool(pool, rule)
        if isinstance(outcome, str):
            skips[f"pool: {outcome}"] += 1
            continue
        (_, best), (_, worse), size = outcome
        shown = worse if rule.pool == "all" and rule.prompt_source == "rejected" else best
        prompt = prompts.get((best[0], shown[1]))
        if prompt is None:
            skips["pool: no prompt in this language"] += 1
        elif best[3] == worse[3]:
            skips["pool: chosen and rejected are the same text"] += 1
        else:
            found.append((prompt, best[3], worse[3], size))
    return found, skips


def one_pool(pool: list, rule: PairRule):
    """(chosen, rejected, size), or why there is no pair."""
    scored = [x for x in pool if x[0] is not None and (x[1][5] != "gold" or rule.members == "generations+gold")]
    if rule.members == "gold-chosen":
        gold = next((x for x in pool if x[1][5] == "gold" and x[1][3]), None)
        if gold is None:
            return "no gold answer"
        n_gold = sum(x[1][5] == "gold" and bool(x[1][3]) for x in pool)
        if not scored:
            return "only one scored candidate" if n_gold == 1 else "no candidate below the chosen one"
        usual = by_rule(scored, rule.reject_target, "max")
        return gold, scored[0] if isinstance(usual, str) else usual[1], len(scored) + n_gold
    return by_rule(scored, rule.reject_target, rule.chosen_target)


def by_rule(scored: list, rejected: str, chosen: str):
    if not scored:
        return "no scored candidate"
    values = np.array([x[0] for x in scored])
    sigmas = {"mean_minus_2sigma": -2, "mean_minus_sigma": -1, "mean": 0, "mean_plus_sigma": 1, "mean_plus_2sigma": 2}
    points = {x: values.mean() + n * values.std() for x, n in sigmas.items()}
    points |= {"min": values.min(), "max": values.max(), "q1": np.quantile(values, 0.25)}
    best = min(scored, key=lambda x: abs(x[0] - points[chosen]))
    below = [x for x in scored if x[0] < best[0]]
    if not below:
        return "only one scored candidate" if len(scored) == 1 else "no candidate below the chosen one"
    return best, min(below, key=lambda x: abs(x[0] - points[rejected])), len(scored)


some_rows = st.lists(
    st.tuples(
        st.sampled_from("st"),
        st.sampled_from(["da", "en", "mt"]),
        st.integers(0, 9),
        st.sampled_from(["", "a", "ø", "b"]),
        st.sampled_from([None, math.nan, math.inf, -3.0, 0.0, 0.5, 1.0, 2.0, 7.0]),
        st.sampled_from(["g", "g", "g", "gold"]),
    ),
    max_size=25,
)
some_rule = st.builds(
    PairRule,
    pool=st.sampled_from(["language", "all"]),
    reject_target=st.sampled_from(TARGETS),
    chosen_target=st.sampled_from(["max", "max", "mean_plus_2sigma", "mean"]),
    prompt_source=st.sampled_from(["chosen", "rejected"]),
    members=st.sampled_from(["generations", "generations+gold", "gold-chosen"]),
)


@settings(max_examples=150, deadline=None)
@given(
    some_rows, some_rule, st.sets(st.tuples(st.sampled_from("st"), st.sampled_from(["da", "en", "mt"]))), st.booleans()
)
def test_pairs_and_skips_are_those_of_the_rule_in_plain_words(rows, rule, known, restricted):
    languages = ["da", "mt"] if restricted else ["da", "en", "mt"]
    prompts = [Prompt(f"{source}/{code}", source, code, f"{source} {code}?") for source, code in sorted(known)]
    with tempfile.TemporaryDirectory() as folder:
        stored = read_candidates(*store(Path(folder), rows), languages)
        found, skips, summary = pairs_of(rule, prompts, stored)
    texts = {(x.source_id, x.language): x.prompt for x in prompts}
    expected, reasons = in_plain_words(rows, texts, rule, languages)
    assert [(x["prompt"], x["chosen"], x["rejected"], x["pool_size"]) for x in found] == expected
    assert skips == reasons
    assert sum(x.pairs for x in summary) == len(expected)


def test_a_random_prompt_language_depends_on_the_seed_alone(tmp_path: Path):
    rows: list[Row] = [
        (str(i), code, k, f"{i} {code} {k}", float(k), "g") for i in range(20) for code in ("da", "en") for k in (0, 1)
    ]
    prompts = [Prompt(f"{i}/{x}", str(i), x, f"{i} {x}?") for i in range(20) for x in ("da", "en")]
    stored = read_candidates(*store(tmp_path, rows))
    rule = PairRule(pool="all", prompt_source="random")
    first, again, other = ([x["prompt"] for x in pairs_of(rule, prompts, stored, seed)[0]] for seed in (1, 1, 2))
    assert first == again != other
