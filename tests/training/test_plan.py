"""The plan of a training run: what each step reads and writes, the order, and that all who use it agree."""

from __future__ import annotations

from concurrent import futures
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml
from croco_eval.harness.errors import UserError
from croco_eval.training import run as running
from croco_eval.training.arms import resolve_arms, teacher_of
from croco_eval.training.config import TrainConfig, read_train_config
from croco_eval.training.estimate import show_plan
from croco_eval.training.plan import ALL, Step, by_urgency, in_order, steps
from croco_eval.training.stages.folder import TrainingDirectory

ARMS: dict[str, Any] = {
    "sft": {"trainer": "sft", "seeds": [1], "settings": {"answers": "gold"}},
    "mono": {"trainer": "dpo", "seeds": [1, 2]},
    "off-policy": {"trainer": "dpo", "sample": {"policy": {"name": "other", "model": "croco-nano"}}},
    "online": {"trainer": "online-dpo"},
    "teacher": {"trainer": "dpo", "languages": ["en"]},
    "icr": {"trainer": "dpo", "seeds": [1], "pair": {"reward": "icr"}},
}
SCORERS: list[dict[str, Any]] = [
    {"name": "reference"},
    {"name": "sft", "scorer": "reference"},
    {"name": "icr", "scorer": "implicit", "options": {"model": "croco-nano", "adapter": {"arm": "teacher"}}},
]


def config(folder: Path, **changes: Any) -> TrainConfig:
    settings = {
        "name": "toy",
        "languages": ["da", "en"],
        "policy": {"name": "base", "model": "croco-nano"},
        "prompts": {"corpus": "locale", "limit": 2},
        "scorers": SCORERS,
        "arms": ARMS,
        "estimate": {"prompts": 2},
        "out": str(folder / "out"),
        **changes,
    }
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return read_train_config(path)


def names(settings: TrainConfig, plan: Any) -> list[str]:
    at = TrainingDirectory.of(settings)
    return [at.label(x.writes if isinstance(x, Step) else x) for x in plan]


TRANSLATE = {"source": {"corpus": "locale"}, "translator": {"name": "t", "model": "croco-nano"}}


@pytest.mark.parametrize("changes", [{}, {"arms": {}}, {"prompts": None, "translate": TRANSLATE}])
def test_dry_run_run_and_workers_do_the_same_steps_and_keep_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
):
    settings = config(tmp_path, **changes)
    done: list[Path] = []

    class Written:
        """In place of what runs a step: notes it, and that what it reads was made before."""

        def __init__(self, *_: object) -> None: ...

        def run(self, step: Step) -> None:
            planned = {x.writes for x in steps(settings)}
            assert planned.intersection(step.reads) <= set(done)
            done.append(step.writes)

    class Pool:
        """In place of processes."""

        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None: ...

        def shutdown(self, **_: object) -> None: ...

        def submit(self, work: Any, *given: Any) -> Future[list[str]]:
            future: Future[list[str]] = Future()
            future.set_result(work(*given))
            return future

    monkeypatch.setattr(running, "Runner", Written)
    monkeypatch.setattr(futures, "ProcessPoolExecutor", Pool)
    running.run(settings, ALL, lambda message: None, None)  # pyright: ignore[reportArgumentType]
    one_by_one = names(settings, done)
    done.clear()
    running.run_in_processes(settings, 2, lambda message: None)
    said: list[str] = []
    show_plan(settings, ALL, [], said.append)
    shown = [x.split(":")[0].replace("score ", "score/") for x in said[:-1]]
    assert sorted(one_by_one) == sorted(names(settings, done)) == sorted(shown)
    assert len(set(shown)) == len(shown)


def test_a_step_says_what_it_reads_and_waits_for_those_of_the_plan_that_write_it(tmp_path: Path):
    settings = config(tmp_path)
    plan = {names(settings, [x])[0]: x for x in steps(settings)}
    assert names(settings, plan["pair"].reads) == ["sample", "score/reference"]
    assert names(settings, plan["icr/pair"].reads) == ["sample", "score/icr"]
    assert names(settings, plan["score/icr"].after) == ["sample", "teacher/dpo"]
    assert names(settings, plan["off-policy/pair"].after) == ["off-policy/sample", "off-policy/score/reference"]
    assert names(settings, plan["mono/seed-1/dpo"].after) == ["sample", "pair"]
    assert names(settings, plan["sft/seed-1/sft"].after) == ["sample"], (
        "of the base's own answers the drift is measured"
    )
    (alone,) = steps(settings, ["icr"], ["dpo"])
    assert (names(settings, [alone]), alone.after) == (["icr/seed-1/dpo"], ())


def test_stages_go_one_after_the_other_and_an_arm_after_the_one_whose_adapter_rewards_it(tmp_path: Path):
    turned = config(tmp_path, arms=dict(reversed(ARMS.items())))
    order = names(turned, in_order(steps(turned)))
    assert order[-3:] == ["score/icr", "icr/pair", "icr/seed-1/dpo"]
    assert order[:2] == ["sample", "off-policy/sample"] or order[:2] == ["off-policy/sample", "sample"]
    assert order.index("teacher/pair") < order.index("sft/seed-1/sft") < order.index("mono/seed-1/dpo")


def test_what_others_wait_for_goes_first_and_of_adapters_those_that_sample(tmp_path: Path):
    settings = config(tmp_path)
    order = names(settings, by_urgency(steps(settings)))
    assert order[:3] == ["sample", "score/reference", "teacher/pair"]
    assert order.index("teacher/dpo") < order.index("pair") < order.index("mono/seed-1/dpo")
    assert order.index("online/online-dpo") < order.index("mono/seed-1/dpo")


def test_arms_that_wait_for_each_other_are_refused(tmp_path: Path):
    arms = {**ARMS, "teacher": {"trainer": "dpo", "pair": {"reward": "icr"}}}
    settings = config(tmp_path, arms=arms)
    for stages in (ALL, ["pair"]):
        with pytest.raises(UserError, match="wait for each other's adapters: teacher, icr/seed-1"):
            steps(settings, stages=stages)


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        ({"arm": "techer"}, "did you mean 'teacher'"),
        ({"arm": "mono"}, "several seeds; name one: 'mono/seed-1'"),
        ({"of": "teacher"}, "adapter is a folder, a packaged name, or {arm: NAME}"),
    ],
)
def test_a_scorer_that_asks_for_no_arm_s_adapter_is_refused(tmp_path: Path, adapter: dict[str, str], said: str):
    settings = config(tmp_path)
    scorer = settings.scorers[2].model_copy(update={"options": {"model": "croco-nano", "adapter": adapter}})
    with pytest.raises(UserError, match=said.replace("{", r"\{").replace("}", r"\}")):
        teacher_of(scorer, resolve_arms(settings))


def test_a_reward_that_no_scorer_gives_is_refused(tmp_path: Path):
    arms = {"mono": {"trainer": "dpo", "pair": {"reward": "references"}}}
    with pytest.raises(UserError, match=r"arms\.mono\.pair\.reward: 'references' is not one of the scorers"):
        steps(config(tmp_path, arms=arms))


def test_unknown_stages_and_a_translation_that_no_section_asks_for_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="did you mean 'dpo'"):
        steps(config(tmp_path), stages=["dop"])
    with pytest.raises(UserError, match="has no section `translate`"):
        steps(config(tmp_path), stages=["translate"])
