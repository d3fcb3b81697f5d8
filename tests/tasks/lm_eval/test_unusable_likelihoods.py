"""What is no likelihood is no score: an empty choice, a choice that leaves no token, NaN and infinity."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch
from croco_eval.harness.api.answerer import Answerer
from croco_eval.harness.api.backend import ModelSpec
from croco_eval.harness.api.records import NO_CONTINUATION, LikelihoodRequest, Response, Score, usable_likelihood
from croco_eval.harness.backends.hf import HfBackend
from croco_eval.harness.store.files import AppendLog
from croco_eval.tasks.lm_eval.adapter import LmEvalTask, TaskSpec, task_manager
from safetensors.torch import load_file, save_file


def quiz(folder: Path, choices: Sequence[Sequence[str]], metrics: Sequence[str] = ("acc", "acc_norm")) -> LmEvalTask:
    """A multiple-choice task; the first choice is right."""
    rows = [{"question": f"The capital of country {i} is", "choices": x, "label": 0} for i, x in enumerate(choices)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows), encoding="utf-8")
    (folder / "quiz_en.yaml").write_text(
        f"task: quiz_en\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {folder / 'rows.jsonl'}}}}}\n"
        'output_type: multiple_choice\ntest_split: test\ndoc_to_text: "{{question}}"\ndoc_to_choice: "{{choices}}"\n'
        f'doc_to_target: "{{{{label}}}}"\nmetric_list: [{", ".join(f"{{metric: {x}}}" for x in metrics)}]\n'
    )
    spec = {"quiz": TaskSpec("quiz_en")}
    return LmEvalTask(task_manager(folder), spec, version="1", limit=None, few_shot=0, language="en")


class Scripted:
    """An engine whose likelihoods are given by the continuation."""

    max_length, tokenizer_name = 100, "none"

    def __init__(self, values: dict[str, float]) -> None:
        self._values = values

    def loglikelihoods(self, requests: Sequence[LikelihoodRequest], done: frozenset[int]) -> Iterator[list]:
        yield [
            (i, Response(logprob=self._values.get(x.continuation.strip(), -5.0), is_greedy=False, n_tokens=1))
            for i, x in enumerate(requests)
        ]


def run(task: LmEvalTask, engine, folder: Path) -> list[Score]:
    log = AppendLog(folder / "log.jsonl")
    return task.run(Answerer(engine, log, False, {}, lambda done, expected: None)).scores


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_item_with_one_likelihood_that_is_no_number_is_unscored_and_the_others_are_scored(
    value: float, place: int, tmp_path: Path
):
    choices = ["Oslo", "Rome", "Paris"]
    odd = [*choices]
    odd[place] = "strange"
    scores = run(quiz(tmp_path, [odd, choices], ("acc", "acc_norm")), Scripted({"strange": value}), tmp_path)
    for score in scores:
        if score.item_id.startswith("quiz/0"):
            assert score.value is None
            assert score.unscored == f"the model gave no number for a likelihood ({value})"
        else:
            assert score.value is not None
    assert len(scores) == 4
    again = run(quiz(tmp_path, [odd, choices]), Scripted({}), tmp_path)
    assert again == scores, "what was recorded is not asked for again, and counts as little as before"


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_item_with_an_empty_choice_is_unscored(empty: str, tmp_path: Path, nano: Path):
    backend = HfBackend(ModelSpec(str(nano)), log=print)
    task = quiz(tmp_path, [["Oslo", "Rome", "Paris"], ["Oslo", empty, "Paris"]])
    found = {(x.item_id, x.metric): (x.value is None, x.unscored) for x in run(task, backend.engine(None), tmp_path)}
    assert {v for (item, _), v in found.items() if item.startswith("quiz/1")} == {(True, NO_CONTINUATION)}
    assert {v for (item, _), v in found.items() if item.startswith("quiz/0")} == {(False, None)}


def test_a_continuation_that_leaves_no_token_has_no_likelihood(nano: Path, monkeypatch: pytest.MonkeyPatch):
    """As with a tokenizer that joins it to the context's last word."""
    from croco_eval.harness.backends import hf_likelihood
    from croco_eval.harness.backends.text import Fitted

    def swallowing(tokenizer, pairs, max_length):
        yield from (Fitted((5, 6), () if continuation == "x" else (7, 8), 0) for _, continuation in pairs)

    backend = HfBackend(ModelSpec(str(nano)), log=print)
    engine = backend.engine(None)
    monkeypatch.setattr(hf_likelihood, "fit_pairs", swallowing)
    requests = [LikelihoodRequest("a", i, "context", x) for i, x in enumerate(["x", "y", "", "x"])]
    found = dict(x for chunk in engine.loglikelihoods(requests, frozenset()) for x in chunk)
    assert [found[i].logprob is None for i in range(4)] == [True, False, True, True]
    assert {found[i].finish_reason for i in (0, 2, 3)} == {NO_CONTINUATION}


def test_a_model_that_gives_nan_is_scored_nowhere_and_the_run_says_why(cli, write_config, nano: Path, tmp_path: Path):
    broken = tmp_path / "broken"
    shutil.copytree(nano, broken)
    weights = load_file(broken / "model.safetensors")
    key = next(x for x in weights if "layers.3" in x and "down_proj" in x)
    save_file({**weights, key: weights[key] * torch.nan}, broken / "model.safetensors", {"format": "pt"})
    systems = [{"name": "base", "model": "croco-nano"}, {"name": "broken", "model": str(broken)}]
    (tmp_path / "tasks").mkdir()
    quiz(tmp_path / "tasks", [["Oslo", "Rome", "Paris"]] * 3)
    suites = [{"name": "quiz", "task": "quiz_{language}", "few_shot": 0}]
    write_config(systems=systems, suites=suites, languages=["en"], task_path="tasks", judges=[])
    done = cli("run", "config.yaml")
    assert done.returncode == 0, done.stderr
    scores = pd.read_parquet(tmp_path / "runs/trial/cells/broken/quiz/en/scores.parquet")
    assert scores["value"].isna().all()
    assert set(scores["unscored"]) == {"the model gave no number for a likelihood (nan)"}
    table = pd.read_csv(tmp_path / "runs/trial/scores.csv")
    row = table[(table["system"] == "broken") & (table["language"] == "en")].iloc[0]
    assert (row["n"], row["n_unscored"]) == (0, 3)


def test_a_score_is_finite_or_has_a_reason():
    plain = ("i", "s", "t", "m", "binary", True)
    for value in (math.nan, math.inf, -math.inf, float("1e999")):
        score = Score(*plain, value=value)
        assert score.value is None
        assert score.unscored == f"the metric gave no finite number ({value})"
    assert Score(*plain, value=None, unscored="because").unscored == "because"
    assert Score(*plain, value=None).unscored
    assert Score(*plain, value=0.5) == Score(*plain, value=0.5, unscored=None)


def test_any_backends_answer_is_a_likelihood_or_says_why_not():
    request, blank = LikelihoodRequest("i", 0, "c", " x"), LikelihoodRequest("i", 0, "c", " ")
    good = Response(logprob=-1.0, is_greedy=True, n_tokens=1)
    assert usable_likelihood(request, good) is good
    for odd in (Response(), Response(logprob=0.0, n_tokens=0), Response(logprob=math.nan, n_tokens=2)):
        answer = usable_likelihood(request, odd)
        assert answer.logprob is None
        assert answer.finish_reason
    assert usable_likelihood(blank, good) == Response(finish_reason=NO_CONTINUATION)
    assert usable_likelihood(request, Response(finish_reason="refused")).finish_reason == "refused"
