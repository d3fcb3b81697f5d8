"""Runs the steps of a training plan, in this process or in several. What is done is not done again."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..harness.errors import DataError, ModelError, UserError
from ..harness.store.fingerprint import digest
from ..harness.store.parquet import write_records
from .arms import Arm, resolve_arms, teacher_of
from .config import ScorerConfig, TrainConfig
from .plan import ALL, Step, by_urgency, in_order, steps
from .records import Answered, Candidate, Pair, PreferencePair, Prompt, Reward
from .stages.folder import Say, Stage, TrainingDirectory

if TYPE_CHECKING:
    from ..harness.models.sources import ModelSource
    from ..harness.models.tuning import Tuning
    from ..harness.run.progress import Progress
    from .trainers.job import Job

_PROBED = 32
_SAID = ("loss", "reward_accuracy", "reward_margin", "reward", "kl")
_UNITS: dict[type, str] = {Pair: "pairs", Answered: "answers", Prompt: "prompts", PreferencePair: "preferences"}


def run(
    config: TrainConfig, stages: Sequence[str], say: Say, progress: Progress, arms: Sequence[str] = (),
    accelerate: str | None = None,
) -> None:  # fmt: skip
    """Runs these stages of the arms of these names (all by default), or finishes them.

    ``say`` tells the user something, ``progress`` shows answers and rewards; ``accelerate`` holds flags of ``accelerate
    launch`` for the trainers. Raises a CrocoError in one sentence.
    """
    runner = Runner(config, say, progress, accelerate)
    for step in in_order(steps(config, arms, stages)):
        runner.run(step)


def run_in_processes(config: TrainConfig, workers: int, say: Say) -> None:
    """Runs all stages that the arms need, a step as soon as a process is free and what it waits for is done: for small
    models on a CPU. Tells when steps begin, and what they said when they end. Raises a CrocoError."""
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    from ..harness.run.processes import end_with_parent

    left, begun = by_urgency(steps(config, stages=ALL)), time.monotonic()
    total, running, done = len(left), dict[Future[list[str]], Step](), set[Path]()
    context, at = multiprocessing.get_context("spawn"), TrainingDirectory.of(config)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        try:
            while left or running:
                for step in [x for x in left if done.issuperset(x.after)][: workers - len(running)]:
                    left.remove(step)
                    running[pool.submit(_work, config, step)] = step
                    say(f"{time.monotonic() - begun:.0f} s: {at.label(step.writes)} ...")
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    done.add(running.pop(future).writes)
                    for line in future.result():
                        say(f"{len(done)}/{total}, {time.monotonic() - begun:.0f} s: {line}")
        except BrokenProcessPool as error:
            raise ModelError("a worker process ended without a word; was it out of memory?") from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _work(config: TrainConfig, step: Step) -> list[str]:
    from ..harness.run.progress import Unseen

    said: list[str] = []
    Runner(config, said.append, Unseen()).run(step)
    return said


class Runner:
    """Runs single steps of a config, whose inputs must be there."""

    def __init__(self, config: TrainConfig, say: Say, progress: Progress, accelerate: str | None = None) -> None:
        self._config, self._say, self._progress = config, say, progress
        try:
            self._accelerate = None if accelerate is None else shlex.split(accelerate)
        except ValueError as error:
            raise UserError(f"--accelerate {accelerate!r}: {error}.") from None
        self._at = TrainingDirectory.of(config)
        self._arms = resolve_arms(config)

    def run(self, step: Step) -> None:
        """Runs a step, or finishes it. Raises a CrocoError."""
        if step.arm is None:
            self._translate() if step.stage == "translate" else self._train_reward()
        elif step.stage == "sample":
            self._sample(step.arm)
        elif step.scorer is not None:
            self._score(step.arm, step.scorer)
        elif step.stage == "pair":
            from .stages.pair import pair

            pair(self._config, step.arm, self._say)
        else:
            self._tune(step.arm)

    def _translate(self) -> None:
        from .stages.translate import translate

        for x in translate(self._config, self._progress, self._say):
            uncertain = f" ({x.uncertain:,} in a language that can't be told)" if x.uncertain else ""
            lost = ", ".join(f"{n:,} x {reason}" for reason, n in x.dropped.items())
            self._say(
                f"translate {x.language}: {x.kept:,} of {x.prompts:,} prompts{uncertain}{lost and f'; dropped: {lost}'}"
            )

    def _sample(self, arm: Arm) -> None:
        from .stages.sample import sample

        stage, prompts = self._at.sample(arm), self._prompts()
        self._say(f"{self._label(stage)}: {len(prompts):,} prompts x {arm.config.sample.n}")
        shared = arm.config.model_copy(update={"languages": self._config.languages})
        sample(shared, prompts, stage, self._progress, self._say)

    def _score(self, arm: Arm, section: ScorerConfig) -> None:
        from .scorers.base import make_scorer
        from .stages.score import score

        prompts, candidates = self._prompts(), self._at.sample(arm).read(Candidate)
        stage = self._at.score(arm, section.name)
        score(make_scorer(self._ready(section)), section.name, prompts, candidates, stage, self._progress)
        info = stage.seal_info()
        self._say(f"{self._label(stage)}: {info['rows']:,} rewards, {info['unscored']:,} unscored")

    def _prompts(self, languages: Sequence[str] | None = None) -> list[Prompt]:
        """The prompts of these languages, all by default."""
        from .stages.prompts import load_prompts

        return [x for x in load_prompts(self._config) if languages is None or x.language in languages]

    def _label(self, stage: Stage) -> str:
        return self._at.label(stage.path)

    def _ready(self, section: ScorerConfig) -> ScorerConfig:
        """The scorer with the folder of the adapter that it asks for. Raises UserError if that is not tuned yet."""
        teacher = teacher_of(section, self._arms)
        if teacher is None:
            return section
        self._at.tuned(teacher).require()
        return section.model_copy(update={"options": {**section.options, "adapter": str(self._at.adapter(teacher))}})

    def _tune(self, arm: Arm) -> None:
        """Tunes the adapter of an arm and keeps log, figure and what made it beside it."""
        from ..harness.models.tuning import write_tuning
        from .trainers.job import Job

        base, stage = self._base(), self._at.tuned(arm)
        rows, made_from = self._training_data(arm)
        settings = arm.settings.model_dump(mode="json")
        if stage.enter({**settings, "base": base.digest, "data": digest(made_from)}):
            return
        data, probed, adapter = stage.data, stage.path / "probe.parquet", self._at.adapter(arm)
        write_records(data, type(rows[0]), rows)
        probe = self._probe()
        if probe:
            write_records(probed, Answered, probe)
        scorer = self._ready(arm.scorer).model_dump(mode="json") if arm.is_online else None
        job = Job(
            arm.trainer, str(base.path), str(adapter), str(data), settings, str(probed) if probe else None, scorer
        )
        log = self._trained(stage, job, rows)
        write_tuning(adapter, self._tuning(arm))
        self._finish(stage, log, len(rows), adapter)

    def _training_data(self, arm: Arm) -> tuple[Sequence[Any], Any]:
        """The rows that an arm learns from, and what they were made from. Raises DataError if there are none."""
        if arm.trainer == "dpo":
            stage = self._at.pairs(arm)
            pairs = stage.read(Pair)
            if not pairs:
                raise DataError(f"no pair was found in {stage.path}: see its cell.json for the reasons.")
            return pairs, stage.require()["fingerprint"]
        prompts = self._prompts(arm.config.languages)
        if arm.is_online:
            from .scorers.base import make_scorer

            return prompts, [[asdict(x) for x in prompts], make_scorer(self._ready(arm.scorer)).identity]
        answers = self._answers(arm, prompts)
        return answers, [asdict(x) for x in answers]

    def _answers(self, arm: Arm, prompts: Sequence[Prompt]) -> list[Answered]:
        """What supervised tuning learns from: gold answers, or the best candidates of the arm's languages."""
        from .stages.answers import best_answers, gold_answers

        if not arm.needs_candidates:
            return gold_answers(prompts)
        candidates = self._at.sample(arm).read(Candidate)
        rewards = self._at.score(arm, arm.config.reward_name).read(Reward)
        wanted = [x for x in zip(candidates, rewards, strict=True) if x[0].language in arm.config.languages]
        return best_answers(prompts, [x for x, _ in wanted], [y for _, y in wanted], arm.config.sft.pool)

    def _probe(self) -> list[Answered]:
        """Some of the base's own answers, to measure the divergence from it on; none where it was not sampled."""
        stage = self._at.sample()
        if self._config.sample.policy is not None or not stage.is_sealed:
            return []
        prompts = {x.prompt_id: x.prompt for x in self._prompts()}
        first = [x for x in stage.read(Candidate) if x.sample == 0 and x.kind == "generation" and x.answer]
        step = max(1, len(first) // _PROBED)
        return [Answered(prompts[x.prompt_id], x.answer) for x in first[::step][:_PROBED]]

    def _tuning(self, arm: Arm) -> Tuning:
        """How an adapter came about, for the runs and reports that meet it later."""
        from ..harness.models.tuning import Tuning

        gold = not (arm.is_online or arm.needs_candidates)
        other = None if arm.is_online or gold else arm.config.sample.policy
        return Tuning(
            arm=arm.name,
            trainer=arm.trainer,
            data="online" if arm.is_online else "gold" if gold else "off-policy" if other else "on-policy",
            sampled_from=None if gold else (other or self._config.policy).name,
            pool=None if arm.is_online or gold else (arm.config.pair if arm.trainer == "dpo" else arm.config.sft).pool,
            reward=None if gold else arm.config.reward_name,
            languages=tuple(arm.config.languages),
            seed=arm.settings.seed,
        )

    def _train_reward(self) -> None:
        from ..harness.models.sources import find_model
        from .stages.prompts import read_preference_pairs
        from .trainers.job import Job

        settings, stage = self._config.reward, self._at.reward
        rows = read_preference_pairs(settings.preferences, settings.seed)
        base = find_model(settings.model) if settings.model else self._base()
        kept = settings.model_dump(mode="json", exclude={"preferences", "model"})
        if stage.enter({**kept, "base": base.digest, "data": digest([asdict(x) for x in rows])}):
            return
        write_records(stage.data, PreferencePair, rows)
        made = stage.path / "model"
        job = Job("reward", str(base.path), str(made), str(stage.data), settings.model_dump(mode="json"))
        self._finish(stage, self._trained(stage, job, rows), len(rows), made)

    def _trained(self, stage: Stage, job: Job, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """Says what is learnt from, trains, and gives the log."""
        from .trainers import job as jobs

        self._say(f"{self._label(stage)}: {len(rows):,} {_UNITS[type(rows[0])]}")
        return jobs.run(job) if self._accelerate is None else jobs.launch(job, self._accelerate)

    def _base(self) -> ModelSource:
        from ..harness.models.sources import find_model

        policy = self._config.policy
        if policy.adapter:
            raise UserError(
                "tuning starts from a base model; policy.adapter is for sampling from a tuned one (sample.policy)."
            )
        return find_model(policy.model, policy.revision)

    def _finish(self, stage: Stage, log: list[dict[str, Any]], rows: int, made: Path) -> None:
        """Keeps log and figure, seals the stage, and says how it went."""
        from .trainers.log import draw_log, log_rows, write_log

        label = self._label(stage)
        write_log(stage.path, log)
        draw_log(stage.path, log, label)
        stage.conclude(rows, {"last": log[-1:]})
        last = log_rows(log)[-1] if log else {}
        shown = [f"{name.replace('_', ' ')} {last[name]:.3f}" for name in _SAID if last.get(name) is not None]
        self._say(f"{label}: {', '.join(shown)}; {made}")
