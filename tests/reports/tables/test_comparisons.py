"""Paired comparisons: which test is picked, what is corrected with what, what a verdict needs, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from croco_eval.harness.errors import StoreError, UserError
from croco_eval.harness.store.files import read_json, write_json
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.reports.records.comparison import COMPARISON_COLUMNS
from croco_eval.reports.records.rules import Rules, checked
from croco_eval.reports.records.run_data import RunData
from croco_eval.reports.stats.equivalence import noninferiority
from croco_eval.reports.stats.multiplicity import benjamini_hochberg, holm
from croco_eval.reports.stats.paired import paired_bootstrap
from croco_eval.reports.stats.permutation import sign_flip_permutation
from croco_eval.reports.stats.power import Design, detectable_binary, minimum_detectable_effect
from croco_eval.reports.stats.proportions import mcnemar_exact
from croco_eval.reports.stats.win_rates import win_rate
from croco_eval.reports.tables.comparisons import comparison_table, headline, raw_comparisons, verdict
from helpers.hand_built import quiz_data, write_quiz
from scipy.stats import binom

RULES = Rules(n_resamples=2000)


def right_or_wrong(n: int, rate: float, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


def changed(values: np.ndarray, lost: int = 0, won: int = 0) -> np.ndarray:
    """The same answers, so many right ones now wrong and wrong ones now right."""
    new = values.copy()
    new[np.flatnonzero(values == 1)[:lost]] = 0
    new[np.flatnonzero(values == 0)[:won]] = 1
    return new


def shares(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(0.5 + shift, 0.2, n), 0, 1)


def row(table: pd.DataFrame, language: str, metric: str = "score", candidate: str = "tuned"):
    found = table[table["language"].eq(language) & table["metric"].eq(metric) & table["candidate"].eq(candidate)]
    assert len(found) == 1
    return found.iloc[0]


N = 400
BASE = {x: right_or_wrong(N, 0.6, i) for i, x in enumerate(("da", "de", "cy", "mt"))}


# What a table says


def test_planted_gain_loss_and_equality_are_found_and_noise_is_inconclusive():
    tuned = {
        "da": changed(BASE["da"], won=60),
        "de": changed(BASE["de"], lost=60),
        "cy": BASE["cy"],
        "mt": changed(BASE["mt"], lost=18, won=20),
    }
    table = comparison_table(quiz_data({"base": BASE, "tuned": tuned}), RULES)
    verdicts = table[table["scope"].eq("language")].set_index("language")["verdict"].to_dict()
    assert verdicts == {"da": "improved", "de": "forgot", "cy": "matched", "mt": "inconclusive"}
    assert row(table, "da")["difference"] == pytest.approx(0.15)
    assert row(table, "de")["difference"] == pytest.approx(-0.15)


def test_columns_and_rows_are_the_documented_ones():
    table = comparison_table(quiz_data({"base": BASE, "a": BASE, "b": BASE}), RULES)
    assert tuple(table.columns) == COMPARISON_COLUMNS
    rows = ["da", "de", "cy", "mt", "high", "low", "all"]
    assert table[["candidate", "language"]].to_numpy().tolist() == [[x, y] for x in "ab" for y in rows]
    assert table["scope"].tolist()[:7] == ["language"] * 4 + ["group"] * 2 + ["all"]


def test_one_language_has_no_pooled_rows():
    table = comparison_table(quiz_data({"base": {"cy": BASE["cy"]}, "tuned": {"cy": BASE["cy"]}}), RULES)
    assert table["scope"].tolist() == ["language"]


def test_means_difference_effect_size_and_detectable_effect_are_over_the_items_both_have():
    ours, theirs = list(changed(BASE["da"], lost=5, won=12)), list(BASE["da"])
    ours[0] = ours[1] = theirs[2] = None
    found = row(comparison_table(quiz_data({"base": {"da": theirs}, "tuned": {"da": ours}}), RULES), "da")
    pairs = np.array([(a, b) for a, b in zip(ours, theirs, strict=True) if None not in (a, b)], dtype=float)
    difference = pairs[:, 0] - pairs[:, 1]
    assert (found["n"], found["unscored_candidate"], found["unscored_reference"]) == (N - 3, 2, 1)
    assert (found["mean_candidate"], found["mean_reference"]) == pytest.approx(tuple(pairs.mean(axis=0)))
    assert found["effect_size"] == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert found["mde"] == pytest.approx(detectable_binary(N - 3, (difference != 0).mean()))


# Which test, and that it is the one of the statistics


def test_right_or_wrong_items_of_one_language_are_tested_with_mcnemar():
    ours = changed(BASE["da"], lost=8, won=21)
    found = row(comparison_table(quiz_data({"base": BASE, "tuned": {**BASE, "da": ours}}), RULES), "da")
    interval = paired_bootstrap(ours, BASE["da"], n_resamples=2000, kind="binary")
    assert found["method"] == "mcnemar-exact; bootstrap; tango"
    assert found["p_value"] == mcnemar_exact(ours, BASE["da"]).p_value
    assert (found["ci_low"], found["ci_high"]) == (interval.ci_low, interval.ci_high)
    assert found["p_noninferior"] == noninferiority(ours, BASE["da"], 0.02, kind="binary").p_value


@pytest.mark.parametrize("kind", ["bounded", "continuous"])
def test_other_items_of_one_language_are_tested_with_sign_flips_whatever_their_values(kind):
    ours, theirs = BASE["da"], changed(BASE["da"], won=20)  # values of 0 and 1, but declared to be more
    found = row(comparison_table(quiz_data({"base": {"da": theirs}, "tuned": {"da": ours}}, kind), RULES), "da")
    assert found["method"].startswith("sign-flip; bootstrap; ")
    assert found["p_value"] == sign_flip_permutation(ours - theirs, n_resamples=2000).p_value
    assert found["p_noninferior"] == noninferiority(ours, theirs, 0.02, kind=kind).p_value


def test_languages_are_pooled_with_translations_as_clusters():
    tuned = {x: changed(v, lost=4 * i, won=11) for i, (x, v) in enumerate(BASE.items())}
    data = quiz_data({"base": BASE, "tuned": tuned})
    found = row(comparison_table(data, RULES), "all")
    ours, theirs = (np.concatenate([x[y] for y in sorted(x)]) for x in (tuned, BASE))
    sources = [f"m{i}" for _ in BASE for i in range(N)]
    languages = [x for x in sorted(BASE) for _ in range(N)]
    test = sign_flip_permutation(ours - theirs, clusters=sources, n_resamples=2000)
    interval = paired_bootstrap(ours, theirs, sources, languages, n_resamples=2000, kind="binary")
    assert found["method"] == "cluster-sign-flip; cluster-bootstrap; unseen-cluster-t"
    assert (found["p_value"], found["n"]) == (test.p_value, 4 * N)
    assert (found["ci_low"], found["ci_high"]) == (interval.ci_low, interval.ci_high)
    assert found["p_noninferior"] == noninferiority(ours, theirs, 0.02, kind="binary", clusters=sources).p_value
    mde = minimum_detectable_effect(4 * N, Design.from_se(interval.se, 4 * N, N))
    assert found["mde"] == pytest.approx(mde, rel=1e-6)


def test_sources_are_drawn_within_their_language_where_languages_share_none():
    tuned = {"da": changed(BASE["da"], won=80), "de": changed(BASE["de"][:50], lost=20)}
    base = {"da": BASE["da"], "de": BASE["de"][:50]}
    data = quiz_data({"base": base, "tuned": tuned})
    data.scores["source_id"] = data.scores["item_id"]
    found = row(comparison_table(data, RULES), "all")
    ours, theirs = (np.concatenate([x["da"], x["de"]]) for x in (tuned, base))
    languages = ["da"] * N + ["de"] * 50
    within = paired_bootstrap(ours, theirs, strata=languages, n_resamples=2000, kind="binary")
    across = paired_bootstrap(ours, theirs, n_resamples=2000, kind="binary")
    assert (found["ci_low"], found["ci_high"]) == (within.ci_low, within.ci_high) != (across.ci_low, across.ci_high)


def test_translations_that_agree_add_no_certainty():
    one = dict.fromkeys(("da", "de", "es", "fr"), BASE["da"])
    tuned = {x: changed(BASE["da"], lost=10, won=22) for x in one}
    table = comparison_table(quiz_data({"base": one, "tuned": tuned}), RULES)
    alone, pooled = row(table, "da"), row(table, "all")
    assert pooled["ci_high"] - pooled["ci_low"] == pytest.approx(alone["ci_high"] - alone["ci_low"], rel=0.05)
    assert pooled["p_value"] == pytest.approx(alone["p_value"], abs=0.02)


def test_items_of_one_language_that_share_a_source_are_clustered():
    data = quiz_data({"base": {"da": BASE["da"]}, "tuned": {"da": changed(BASE["da"], won=20)}})
    data.scores["source_id"] = [f"s{i // 2}" for i in range(N)] * 2
    found = row(comparison_table(data, RULES), "da")
    assert found["method"].startswith("cluster-sign-flip; cluster-bootstrap")


PREFERENCES = {x: np.random.default_rng(i).choice([0, 0.5, 0.75, 1], 60) for i, x in enumerate(("da", "de"))}


@pytest.fixture
def judged(tmp_path) -> Path:
    other = {x: np.random.default_rng(9 + i).choice([0, 0.5, 1], 60) for i, x in enumerate(("da", "de"))}
    nothing = {"base": {}, "tuned": {}, "other": {}}
    return write_quiz(tmp_path / "run", nothing, preferences={"tuned": PREFERENCES, "other": other})


def test_win_rate_is_tested_against_one_half(judged):
    table = comparison_table(RunData(judged), RULES)
    for language, values in (("da", [PREFERENCES["da"]]), ("all", list(PREFERENCES.values()))):
        sources, languages = list(range(60)) * len(values), [i for i in range(len(values)) for _ in range(60)]
        expected = win_rate(np.concatenate(values), sources, languages, n_resamples=2000)
        found = row(table, language, "win_rate[j]")
        assert (found["mean_candidate"], found["mean_reference"]) == (pytest.approx(expected.estimate.value), 0.5)
        assert found["difference"] == pytest.approx(expected.estimate.value - 0.5)
        assert found["p_value"] == expected.test.p_value
        ends = (expected.estimate.ci_low - 0.5, expected.estimate.ci_high - 0.5)
        assert (found["ci_low"], found["ci_high"]) == pytest.approx(ends)
        ours = np.concatenate(values)  # w - 0.5 is half of w - (1 - w)
        not_worse = noninferiority(ours, 1 - ours, 2 * 0.02, kind="bounded", clusters=sources)
        assert found["p_noninferior"] == pytest.approx(not_worse.p_value)


def test_win_rate_of_answers_that_were_all_preferred_stays_on_its_scale(tmp_path):
    always = {"tuned": {"da": [1.0] * 12}}
    folder = write_quiz(tmp_path / "run", {"base": {}, "tuned": {}}, preferences=always)
    found = row(comparison_table(RunData(folder), RULES), "da", "win_rate[j]")
    expected = win_rate([1.0] * 12, n_resamples=2000).estimate
    assert (found["ci_low"], found["ci_high"]) == pytest.approx((expected.ci_low - 0.5, 0.5))


def test_two_candidates_are_compared_by_their_preferences_over_the_reference_item_by_item(judged):
    data = RunData(judged)
    found = row(comparison_table(data, RULES, [("tuned", "other")]), "da", "win_rate[j]")
    ours, theirs = (
        data.preferences[data.preferences["candidate"].eq(x) & data.preferences["language"].eq("da")]
        .sort_values("item_id")["preference"]
        .to_numpy()
        for x in ("tuned", "other")
    )
    assert (found["mean_candidate"], found["mean_reference"]) == pytest.approx((ours.mean(), theirs.mean()))
    assert found["p_value"] == sign_flip_permutation(ours - theirs, n_resamples=2000).p_value


def test_swapping_candidate_and_reference_mirrors_every_row(judged):
    data = RunData(judged)
    for pair in (("tuned", "base"), ("tuned", "other")):
        ours, theirs = (raw_comparisons(data, RULES, [x]) for x in (pair, pair[::-1]))
        assert [x.difference for x in ours] == pytest.approx([-x.difference for x in theirs], nan_ok=True)
        assert [x.p_value for x in ours] == pytest.approx([x.p_value for x in theirs], rel=0, abs=0, nan_ok=True)


# Families


def test_languages_of_all_suites_are_one_family_and_pooled_rows_another(tmp_path):
    tuned = {"da": changed(BASE["da"], won=9), "de": changed(BASE["de"], lost=14, won=3)}
    quiz = {"base": {x: BASE[x] for x in tuned}, "tuned": tuned}
    table = comparison_table(RunData(write_quiz(tmp_path / "run", quiz, preferences={"tuned": PREFERENCES})), RULES)
    assert set(table["metric"]) == {"score", "win_rate[j]"}
    for pooled in (False, True):
        family = table[table["scope"].ne("language") == pooled]
        assert len(family) == (2 if pooled else 4)
        for p in ("p_value", "p_noninferior"):
            adjusted = "p_adjusted" if p == "p_value" else "p_noninferior_adjusted"
            assert family[adjusted].to_numpy() == pytest.approx(holm(family[p].to_numpy()))
            assert (family[adjusted] > family[p]).any()


def test_benjamini_hochberg_by_choice():
    tuned = {x: changed(v, won=6 + 2 * i) for i, (x, v) in enumerate(BASE.items())}
    table = comparison_table(quiz_data({"base": BASE, "tuned": tuned}), replace(RULES, correction="bh"))
    languages = table[table["scope"].eq("language")]
    assert languages["p_adjusted"].to_numpy() == pytest.approx(benjamini_hochberg(languages["p_value"].to_numpy()))


def test_another_candidate_changes_nothing_of_the_first():
    tuned = {x: changed(v, won=8) for x, v in BASE.items()}
    noise = {x: right_or_wrong(N, 0.5, 70 + i) for i, x in enumerate(BASE)}
    alone = comparison_table(quiz_data({"base": BASE, "tuned": tuned}), RULES)
    among = comparison_table(quiz_data({"base": BASE, "noise": noise, "tuned": tuned}), RULES)
    pd.testing.assert_frame_equal(alone, among[among["candidate"].eq("tuned")].reset_index(drop=True))


def test_order_of_rows_languages_and_systems_changes_no_number():
    tuned = {x: shares(N, 30 + i, 0.02) for i, x in enumerate(BASE)}
    base = {x: shares(N, 40 + i) for i, x in enumerate(BASE)}
    one = comparison_table(quiz_data({"base": base, "tuned": tuned}, "bounded"), RULES)
    back = {k: dict(reversed(v.items())) for k, v in (("base", base), ("other", base), ("tuned", tuned))}
    data = quiz_data(back, "bounded")
    shuffled = data.scores.sample(frac=1, random_state=3).reset_index(drop=True)
    other = comparison_table(RunData.of_tables(data.manifest, shuffled, data.preferences), RULES)
    other = other[other["candidate"].eq("tuned")].set_index("language")
    assert other.index.tolist() != one["language"].tolist()
    columns = [x for x in COMPARISON_COLUMNS if x not in ("language", "signature")]
    pd.testing.assert_frame_equal(one.set_index("language")[columns], other.loc[one["language"], columns])


# Verdicts and the sentence


@pytest.mark.parametrize(
    ("difference", "p_adjusted", "p_noninferior", "expected"),
    [
        (0.1, 0.01, 0.2, "improved"),
        (0.1, 0.01, 0.001, "improved"),
        (-0.1, 0.01, 0.2, "forgot"),
        (-0.01, 0.01, 0.001, "forgot"),  # a real loss within the margin is still a loss
        (0.1, 0.05, 0.2, "inconclusive"),
        (0.1, 0.3, 0.049, "matched"),
        (-0.01, 0.3, 0.01, "matched"),
        (0.0, 1.0, 0.05, "inconclusive"),
        (math.nan, math.nan, math.nan, "inconclusive"),
        (0.0, math.nan, 0.01, "matched"),
    ],
)
def test_verdict(difference, p_adjusted, p_noninferior, expected):
    assert verdict(difference, p_adjusted, p_noninferior, 0.05) == expected


def test_matched_needs_the_margin_that_its_suite_has():
    tuned = {"da": changed(BASE["da"], lost=8, won=8)}
    data = quiz_data({"base": {"da": BASE["da"]}, "tuned": tuned})
    strict, lax = (comparison_table(data, replace(RULES, margins={"quiz": x})) for x in (0.01, 0.06))
    assert (row(strict, "da")["verdict"], row(strict, "da")["margin"]) == ("inconclusive", 0.01)
    assert (row(lax, "da")["verdict"], row(lax, "da")["margin"]) == ("matched", 0.06)


def test_headline_counts_the_languages():
    tuned = {
        "da": changed(BASE["da"], won=60),
        "de": changed(BASE["de"], lost=60),
        "cy": BASE["cy"],
        "mt": changed(BASE["mt"], lost=18, won=20),
    }
    table = comparison_table(quiz_data({"base": BASE, "tuned": tuned}), RULES)
    assert headline(table, "tuned") == (
        "tuned in quiz: at or above base in 2 of 4 languages: "
        "1 improved, 1 non-inferior at 2 points; 1 forgot; 1 inconclusive."
    )


def test_headline_has_a_line_per_suite_and_says_what_was_not_compared(tmp_path):
    quiz = {"base": {"da": BASE["da"], "de": BASE["de"]}, "tuned": {"da": BASE["da"]}}
    data = RunData(write_quiz(tmp_path / "run", quiz, preferences={"tuned": PREFERENCES}))
    first, second = headline(comparison_table(data, RULES), "tuned").splitlines()
    assert first.startswith("tuned in quiz: at or above base in 1 of 1 languages")
    assert first.endswith("0 inconclusive; 1 not compared.")
    assert second.startswith("tuned in chat, win_rate[j]: ")


# Two equal systems


@pytest.mark.parametrize("kind", ["binary", "bounded"])
def test_equal_systems_are_told_apart_in_any_language_at_most_at_alpha(kind):
    rng, pairs, values = np.random.default_rng(5), [(f"tuned{i}", f"base{i}") for i in range(200)], {}
    for pair in pairs:
        hard = rng.normal(size=30)
        for system in pair:
            noisy = {x: hard + rng.normal(size=30) for x in ("da", "de", "cy")}
            values[system] = {x: v > 0 if kind == "binary" else 1 / (1 + np.exp(-v)) for x, v in noisy.items()}
    table = comparison_table(quiz_data(values, kind), Rules(n_resamples=999), pairs)
    for scopes in (["language"], ["group", "all"]):
        claims = table[table["scope"].isin(scopes)].groupby("candidate")["verdict"]
        wrong = claims.agg(lambda x: x.isin(["improved", "forgot"]).any()).sum()
        assert wrong <= binom.ppf(0.999, len(pairs), 0.05)


def test_system_compared_with_its_own_copy_is_matched_or_inconclusive():
    table = comparison_table(quiz_data({"base": BASE, "copy": BASE}), RULES)
    assert set(table["verdict"]) == {"matched"}
    assert set(table["p_value"]) == {1.0}


# What can't be compared


def resign(folder: Path, system: str, language: str, signature: str) -> None:
    file = RunDirectory(folder).cell(system, "quiz", language).path / "cell.json"
    write_json(file, {**read_json(file), "signature": signature})


def test_cells_that_came_about_differently_are_not_compared(tmp_path):
    two = {x: BASE[x] for x in ("da", "de")}
    folder = write_quiz(tmp_path / "run", {"base": two, "tuned": two})
    resign(folder, "tuned", "de", "suite:quiz|data:de2|seed:0")
    table = comparison_table(RunData(folder), RULES)
    refused, pooled = row(table, "de"), row(table, "all")
    assert (refused["n"], refused["verdict"], refused["method"]) == (0, "inconclusive", "none")
    assert refused["signature"] == "base and tuned differ in data (de1, de2)"
    assert np.isnan(refused[["difference", "p_value", "p_noninferior", "mde"]].astype(float)).all()
    assert pooled["n"] == N
    assert pooled["method"].endswith(" (1 of 2 languages)")


def test_missing_cell_is_a_row_with_its_reason(tmp_path):
    folder = write_quiz(
        tmp_path / "run",
        {"base": {"da": BASE["da"]}, "tuned": {"da": BASE["da"]}},
        languages=["da", "de"],
        gaps=[("quiz", "de", "the suite has no data in this language")],
    )
    table = comparison_table(RunData(folder), RULES)
    assert (row(table, "de")["n"], row(table, "de")["signature"]) == (
        0,
        "tuned: the suite has no data in this language",
    )


def test_systems_with_the_same_signature_and_different_items_are_refused():
    data = quiz_data({"base": {"da": BASE["da"]}, "tuned": {"da": BASE["da"]}})
    data.scores.loc[450:, "item_id"] = [f"x{i}" for i in range(350)]
    with pytest.raises(
        StoreError, match=r"quiz in da: tuned and base have the same signature but only 50 of 750 items"
    ):
        comparison_table(data, RULES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": math.nan}, "item m7/da has no value and no reason for it"),
        ({"value": math.inf}, "item m7/da has an infinite value"),
        ({"value": 1.5}, r"item m7/da has a value outside \[0, 1\]"),
        ({"value": 0.5}, "item m7/da is binary and has a value other than 0 and 1"),
        ({"unscored": "cut off"}, "item m7/da has a value and a reason for having none"),
        ({"item_id": "m8/da"}, "item m8/da stands twice"),
    ],
)
def test_records_that_contradict_themselves_are_refused(change, message):
    data = quiz_data({"base": {"da": BASE["da"]}, "tuned": {"da": BASE["da"]}})
    for column, value in change.items():
        data.scores.loc[N + 7, column] = value
    with pytest.raises(StoreError, match=f"cell tuned, quiz, da: {message}"):
        comparison_table(data, RULES)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("tunde", "base"), r"no system 'tunde' \(base, tuned\) - did you mean 'tuned'"),
        (("tuned", "tuned"), "'tuned' can't be compared with itself"),
    ],
)
def test_pair_that_makes_no_sense_is_refused(pair, message):
    with pytest.raises(UserError, match=message):
        comparison_table(quiz_data({"base": BASE, "tuned": BASE}), RULES, [pair])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"alpha": 0.0}, "alpha must lie between 0 and 0.5, not 0.0"),
        ({"margin": -0.02}, "margin must be a positive number"),
        ({"margins": {"quiz": 0}}, "margin of quiz must be a positive number"),
        ({"correction": "hom"}, "unknown correction 'hom' - did you mean 'holm'"),
        ({"n_resamples": 10}, "n_resamples must be at least 100"),
        ({"level": 1.0}, "level of intervals must lie between 0 and 1"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules, message):
    with pytest.raises(UserError, match=message):
        checked(Rules(**rules))


def test_margin_that_is_no_share_is_refused_where_values_are_shares():
    with pytest.raises(UserError, match=r"suite quiz, score: margin must be below 1 .* not 2"):
        comparison_table(quiz_data({"base": BASE, "tuned": BASE}), Rules(margin=2))


def test_run_without_any_result_gives_rows_without_numbers(tmp_path):
    folder = write_quiz(tmp_path / "run", {"base": {}, "tuned": {}}, languages=["da", "de"])
    table = comparison_table(RunData(folder), RULES)
    assert table["language"].tolist() == ["da", "de", "all"]
    assert set(table["n"]) == {0}
    assert set(table["verdict"]) == {"inconclusive"}
    assert "not compared with base in any language" in headline(table, "tuned")
