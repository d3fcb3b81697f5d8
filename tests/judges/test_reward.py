"""The judge that asks a reward model, with a small one of random weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.judge import Case, JudgeContext, JudgingCell
from croco_eval.harness.api.records import AnswerPair, Item, Judgment
from croco_eval.harness.backends.hf_rewards import HfRewardModel
from croco_eval.harness.errors import ModelError, UserError
from croco_eval.harness.store.run_directory import RunDirectory
from croco_eval.judges import reward
from croco_eval.judges.reward import RewardJudge, sigmoid
from helpers.reward_models import save_reward_model
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

ANSWERS = ["", "Copenhagen.", "The capital is Copenhagen.", "x x x x", "Ukendt.", "No idea, ask somebody else!"]
FLIPPED = {"candidate": "reference", "reference": "candidate", "tie": "tie"}
MakeJudge = Callable[..., RewardJudge]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, nano: Path) -> Path:
    return save_reward_model(tmp_path_factory.mktemp("reward"), nano)


@pytest.fixture
def make(model: Path) -> MakeJudge:
    return lambda **options: RewardJudge(**({"model": str(model)} | options))


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every answer that the model is asked about."""
    asked: list[str] = []
    plain = HfRewardModel.rewards

    def rewards(self, conversations):
        asked.extend(x[-1]["content"] for x in conversations)
        return plain(self, conversations)

    monkeypatch.setattr(HfRewardModel, "rewards", rewards)
    return asked


def pair(candidate: str, reference: str, prompt: str = "What is the capital of Denmark?") -> AnswerPair:
    return AnswerPair(Item("q/en", "q", "facts", prompt), "en", candidate, reference)


def cases(*pairs: AnswerPair) -> Iterator[Case]:
    cell = JudgingCell("reward", "tuned", "base", "open", "en")
    return (Case(cell, x, "unordered") for x in pairs)


def judge(judge: RewardJudge, *pairs: AnswerPair) -> list[Judgment]:
    rulings = [x for batch in judge.judge(cases(*pairs), RunDirectory(Path("unused")), lambda _: None) for x in batch]
    assert [x.case.pair for x in rulings] == list(pairs)
    return [x.judgment for x in rulings]


def rewards_of(model: Path, *answers: str, prompt: str = "What is the capital of Denmark?") -> list[float]:
    talks = [[{"role": "user", "content": prompt}, {"role": "assistant", "content": x}] for x in answers]
    return [x or math.nan for x in HfRewardModel(ModelSpec(str(model))).rewards(talks)]


def test_the_answer_with_the_higher_reward_wins_and_the_rewards_are_kept(make: MakeJudge, model: Path):
    rewards = rewards_of(model, *ANSWERS)
    assert len(set(rewards)) == len(ANSWERS)
    pairs = [(i, j) for i in range(len(ANSWERS)) for j in range(len(ANSWERS)) if i != j]
    found = judge(make(), *(pair(ANSWERS[i], ANSWERS[j]) for i, j in pairs))
    for (i, j), judgment in zip(pairs, found, strict=True):
        assert judgment.verdict == ("candidate" if rewards[i] > rewards[j] else "reference")
        kept = json.loads(judgment.details)
        assert (kept["candidate"], kept["reference"]) == pytest.approx((rewards[i], rewards[j]), abs=1e-4)
        assert (judgment.order, judgment.unscored, judgment.preference) == ("unordered", None, None)
    assert {x.verdict for x in found} == {"candidate", "reference"}


@pytest.mark.parametrize("graded", [False, True])
def test_swapping_candidate_and_reference_mirrors_the_preference(make: MakeJudge, graded: bool):
    pairs = [(a, b) for a in ANSWERS for b in ANSWERS]
    one = judge(make(graded=graded), *(pair(a, b) for a, b in pairs))
    other = judge(make(graded=graded), *(pair(b, a) for a, b in pairs))
    assert [FLIPPED[str(x.verdict)] for x in one] == [x.verdict for x in other]
    if graded:
        assert [1 - (x.preference or 0) for x in one] == pytest.approx([x.preference for x in other], abs=1e-4)
        assert len({x.preference for x in one}) > 10


@pytest.mark.parametrize("graded", [False, True])
def test_a_system_against_itself_is_a_tie_everywhere(make: MakeJudge, graded: bool):
    found = judge(make(graded=graded), *(pair(x, x) for x in ANSWERS * 30))
    assert {x.verdict for x in found} == {"tie"}
    assert {x.preference for x in found} == ({0.5} if graded else {None})


def test_rewards_within_the_tie_band_tie_and_one_beyond_it_does_not(make: MakeJudge, model: Path):
    low, high = sorted(ANSWERS, key=lambda x: rewards_of(model, x)[0])[:2]
    (found,) = judge(make(), pair(high, low))
    kept = json.loads(found.details)
    difference = kept["candidate"] - kept["reference"]
    assert difference > 0.001
    for band, verdict in ((difference, "tie"), (difference + 0.001, "tie"), (difference - 0.001, "candidate")):
        assert judge(make(tie_band=band), pair(high, low))[0].verdict == verdict


def test_a_graded_preference_is_the_bradley_terry_probability(make: MakeJudge, model: Path):
    a, b = rewards_of(model, ANSWERS[1], ANSWERS[2])
    (found,) = judge(make(graded=True), pair(ANSWERS[1], ANSWERS[2]))
    assert found.preference == pytest.approx(math.exp(a) / (math.exp(a) + math.exp(b)), abs=1e-5)
    assert (found.verdict == "candidate") == (a > b)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_sigmoid_is_symmetric_and_never_overflows(x: float):
    assert 0 <= sigmoid(x) <= 1
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1)
    if abs(x) < 700:
        assert sigmoid(x) == pytest.approx(1 / (1 + math.exp(-x)), abs=1e-12)


def test_an_answer_is_scored_once_however_often_it_is_compared(make: MakeJudge, scored: list[str]):
    """Three candidates against one reference, in batches of their own."""
    references = [f"reference {i}" for i in range(100)]
    candidates = [[f"candidate {name} {i}" for i in range(100)] for name in "abc"]
    pairs = [pair(own[i], references[i], prompt=f"{i}?") for own in candidates for i in range(100)]
    judge(make(), *pairs)
    assert sorted(scored) == sorted([*references, *(x for own in candidates for x in own)])


def test_the_same_answer_to_another_prompt_is_another_text(make: MakeJudge, scored: list[str]):
    judge(make(), pair("a", "b", prompt="one?"), pair("a", "b", prompt="two?"))
    assert sorted(scored) == ["a", "a", "b", "b"]


def test_only_so_many_rewards_are_remembered_and_those_in_use_longest(
    make: MakeJudge, scored: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reward, "_REMEMBERED", 3)
    monkeypatch.setattr(reward, "_CASES_AT_ONCE", 1)
    judge(make(), *(pair(f"answer {i}", "reference") for i in range(6)), pair("answer 0", "reference"))
    assert scored.count("reference") == 1
    assert scored.count("answer 0") == 2


def test_cases_are_read_as_they_are_judged(make: MakeJudge):
    read = 0

    def endless() -> Iterator[Case]:
        nonlocal read
        while True:
            read += 1
            yield from cases(pair(f"answer {read}", "reference"))

    stream = make().judge(endless(), RunDirectory(Path("unused")), lambda _: None)
    assert next(stream)
    assert read < 200
    stream.close()


def test_nothing_to_judge_loads_no_model(make: MakeJudge, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(HfRewardModel, "__init__", lambda *_: pytest.fail("a model was loaded"))
    assert judge(make()) == []


def test_reasoning_is_no_part_of_the_answer(make: MakeJudge, scored: list[str]):
    (found,) = judge(make(), pair("<think>Let me see.</think>Copenhagen.", "Copenhagen."))
    assert found.verdict == "tie"
    assert scored == ["Copenhagen."]


def test_an_answer_too_long_for_the_model_is_unscored_and_says_whose_it_is(make: MakeJudge):
    long = "very long " * 300
    found = judge(make(), pair(long, "short"), pair("short", long), pair(long, long), pair("short", "other"))
    assert [x.verdict is None for x in found] == [True, True, True, False]
    assert found[0].unscored == "candidate: too long for the model"
    assert found[1].unscored == "reference: too long for the model"
    assert json.loads(found[0].details)["candidate"] is None
    assert isinstance(json.loads(found[0].details)["reference"], float)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_reward_that_is_not_finite_is_unscored(nano: Path, tmp_path: Path, broken: float):
    save_reward_model(tmp_path, nano)
    weights = load_file(tmp_path / "model.safetensors")
    weights["score.weight"] = torch.full_like(weights["score.weight"], broken)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (found,) = judge(RewardJudge(model=str(tmp_path)), pair("a", "b"))
    assert (found.verdict, found.preference) == (None, None)
    assert found.unscored == "candidate: reward is not a finite number"
    assert json.loads(found.details) == {"candidate": None, "reference": None}


def test_a_model_with_two_logits_is_refused_before_anything_runs(nano: Path, tmp_path: Path):
    save_reward_model(tmp_path, nano, num_labels=2)
    with pytest.raises(ModelError, match=r"gives 2 logits; a reward model .* exactly one"):
        RewardJudge(model=str(tmp_path)).check()


def test_a_model_that_is_not_there_is_refused_before_anything_runs():
    with pytest.raises(UserError, match="unknown model 'croco-nanno' - did you mean 'croco-nano'"):
        RewardJudge(model="croco-nanno").check()


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_vllm_that_is_not_installed_is_named(make: MakeJudge):
    with pytest.raises(UserError, match=r"pip install 'croco-eval\[vllm\]'"):
        make(backend="vllm").check()
    with pytest.raises(UserError, match=r"pip install 'croco-eval\[vllm\]'"):
        judge(make(backend="vllm"), pair("a", "b"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "option 'model' is missing"),
        ({"model": "m", "tie_bnd": 1}, "no option 'tie_bnd' - did you mean 'tie_band'"),
        ({"model": "m", "tie_band": -1}, "option 'tie_band'"),
        ({"model": "m", "tie_band": math.inf}, "option 'tie_band'"),
        ({"model": "m", "tie_band": 0.1, "graded": True}, "leave one of them out"),
        ({"model": "m", "backend": "vllm", "device": "cuda:1"}, "leave device out"),
        ({"model": "m", "engine_options": {"max_model_len": 10}}, "for backend vllm"),
    ],
)
def test_wrong_options_are_refused_by_name(options: dict, message: str):
    with pytest.raises(UserError, match=message):
        RewardJudge(**options)


def test_identity_holds_the_weights_and_what_can_change_a_verdict(make: MakeJudge, nano: Path, tmp_path: Path):
    same = make().identity
    assert json.loads(json.dumps(same)) == same
    assert make(batch_tokens=64).identity == same
    moved = tmp_path / "moved"
    save_reward_model(moved, nano)
    assert RewardJudge(model=str(moved)).identity == same
    other = save_reward_model(tmp_path / "other", nano, seed=1)
    for changed in ({"model": str(other)}, {"tie_band": 0.1}, {"graded": True}, {"dtype": "bfloat16"}):
        assert make(**changed).identity != same


def test_a_run_judged_by_a_reward_model_that_lies_beside_the_config(cli, write_config, nano: Path, tmp_path: Path):
    """The reference's double ties everywhere; verdicts and graded preferences agree."""
    save_reward_model(tmp_path / "study" / "reward", nano)
    base = {"model": "croco-nano", "generation": {"max_new_tokens": 12}}
    tuned = {**base, "adapter": "croco-nano-sft"}
    systems = [{"name": "base", **base}, {"name": "same", **base}, {"name": "sft", **tuned}]
    judges = [
        {"name": "rm", "judge": "reward", "options": {"model": "./reward"}},
        {"name": "graded", "judge": "reward", "options": {"model": "reward", "graded": True}},
    ]
    suites = [{"name": "locale-open", "limit": 2}]
    write_config("study/config.yaml", systems=systems, judges=judges, suites=suites, languages=["mt"])
    done = cli("run", "study/config.yaml")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "trial"
    written = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert written["judges"][0]["options"]["model"] == str(tmp_path / "study" / "reward")
    table = pd.read_csv(run / "preferences.csv").set_index("item_id")
    assert table["unscored"].isna().all()
    assert set(table.loc[table["candidate"] == "same", "preference"]) == {0.5}
    sft = table[table["candidate"] == "sft"]
    both = pd.DataFrame({x: sft.loc[sft["judge"] == x, "preference"] for x in ("rm", "graded")})
    assert len(both) >= 3
    assert set(both["rm"]) <= {0.0, 0.5, 1.0}
    assert ((both["graded"] > 0.5) == (both["rm"] > 0.5)).all()
    assert ((both["graded"] == 0.5) == (both["rm"] == 0.5)).all()
    assert both["graded"].nunique() > 3


def test_the_judge_is_told_of_the_run_like_any_other(make: MakeJudge):
    bound = make()
    bound.bind(JudgeContext("rm", seed=3, languages=("en",)))
    assert bound.identity == make().identity
    assert bound.orders(pair("a", "b")) == ("unordered",)
