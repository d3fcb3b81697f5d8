"""The stages in their order: what each reads, and where it leaves what it made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..harness.errors import DataError, UserError
from ..harness.models.tuning import Tuning, write_tuning
from ..harness.registry import did_you_mean
from ..harness.run.progress import Progress
from ..harness.store.files import write_json
from ..harness.store.fingerprint import digest
from ..harness.store.parquet import write_records
from .arms import Arm, choose_arms, in_waves, resolve_arms, scorers_for, teacher_of, with_adapter
from .config import ScorerConfig, TrainConfig
from .records import Answered, Candidate, Pair, Preference, Prompt, Reward
from .scorers.base import make_scorer
from .stages.folder import Stage
from .stages.pair import pair_jobs, run_pair_jobs
from .stages.prompts import load_prompts, read_preferences
from .stages.sample import Say, sample
from .stages.score import score
from .stages.translate import translate

STAGES = ("translate", "sample", "score", "pair", "reward", "sft", "dpo", "online-dpo", "grpo")
ALL = ("translate", "sample", "score", "pair", "sft", "dpo", "online-dpo", "grpo")
"""What ``train all`` runs, as far as the arms need it."""
_PROBED = 32


class Pipeline:
    """A training run in its folder. ``say`` tells the user something; ``progress`` shows answers and rewards.

    ``arms`` restricts to arms of these names; ``accelerate`` holds flags of ``accelerate launch`` for the trainers.
    """

    def __init__(
        self,
        config: TrainConfig,
        say: Say,
        progress: Progress,
        arms: Sequence[str] = (),
        accelerate: str | None = None,
    ) -> None:
        if config.out is None:
            raise ValueError("a training config is read with read_train_config, which resolves `out`")
        self.config, self._say, self._progress, self._accelerate = config, say, progress, accelerate
        self.root = Path(config.out)
        self._all_arms = resolve_arms(config, self.root)
        self.arms = choose_arms(self._all_arms, arms)
        self._done: set[Path] = set()

    def stage(self, name: str, folder: Path | None = None) -> Stage:
        """A stage below the run's folder or an arm's: ``sample``, ``score NAME``, ``pair``, or a trainer's name."""
        return Stage(folder or self.root, name)

    def run(self, names: Sequence[str]) -> None:
        """Runs stages, or finishes them; what is done is not done again. Raises a CrocoError in one sentence."""
        for name in names:
            if name not in STAGES:
                near = did_you_mean(name, STAGES) or f"; known: {', '.join(STAGES)}."
                raise UserError(f"unknown stage {name!r}{near}")
        for number, arms in enumerate(in_waves(self.arms)):
            for name in names:
                if name not in ("translate", "reward"):
                    self._run(name, arms)
                elif number == 0:
                    self._prepare(name, alone=len(names) == 1)

    def _prepare(self, name: str, alone: bool) -> None:
        """What is made once for all arms."""
        if name == "reward":
            self._train_reward()
        elif self.config.translate is not None or alone:
            self._translate()

    def _run(self, name: str, arms: Sequence[Arm]) -> None:
        """A stage of some arms."""
        if name == "pair":
            run_pair_jobs(pair_jobs(self.config, arms), lambda: load_prompts(self.config), self._say)
        elif name in ("sample", "score"):
            for arm in _places(arms):
                self._sample(arm) if name == "sample" else self._score(arm, arms)
        else:
            for arm in (x for x in arms if x.trainer == name):
                self._tune(arm)

    def _translate(self) -> None:
        if self.config.translate is None:
            raise UserError("the config has no section `translate`: its prompts come as they are.")
        for x in translate(self.config, self.root, self._progress, self._say):
            uncertain = f" ({x.uncertain:,} in a language that can't be told)" if x.uncertain else ""
            lost = ", ".join(f"{n:,} x {reason}" for reason, n in x.dropped.items())
            self._say(
                f"translate {x.language}: {x.kept:,} of {x.prompts:,} prompts{uncertain}{lost and f'; dropped: {lost}'}"
            )

    def _sample(self, arm: Arm) -> None:
        stage = self.stage("sample", arm.sampled_in)
        if not self._is_new(stage):
            return
        prompts = load_prompts(self.config)
        self._say(f"{_label(stage, self.root)}: {len(prompts):,} prompts x {arm.config.sample.n}")
        shared = arm.config.model_copy(update={"languages": self.config.languages})
        sample(shared, prompts, stage, self._progress, self._say)

    def _candidates(self, arm: Arm) -> tuple[list[Prompt], list[Candidate]]:
        return load_prompts(self.config), self.stage("sample", arm.sampled_in).read(Candidate)

    def _score(self, arm: Arm, arms: Sequence[Arm]) -> None:
        prompts, candidates = self._candidates(arm)
        for section in scorers_for(arm, arms, self.root):
            stage = self.stage(f"score {section.name}", arm.sampled_in)
            if self._is_new(stage):
                score(make_scorer(self._ready(section)), section.name, prompts, candidates, stage, self._progress)
                info = stage.seal_info()
                self._say(f"{_label(stage, self.root)}: {info['rows']:,} rewards, {info['unscored']:,} unscored")

    def _is_new(self, stage: Stage) -> bool:
        """Whether this run of the pipeline has not come to the stage before."""
        new = stage.path not in self._done
        self._done.add(stage.path)
        return new

    def _ready(self, section: ScorerConfig) -> ScorerConfig:
        """The scorer with the adapter that it asks for. Raises UserError if that is not tuned yet."""
        if (teacher := teacher_of(section)) is not None:
            for arm in choose_arms(self._all_arms, [teacher]):
                self.stage(arm.trainer, arm.folder).require()
        return with_adapter(section, self._all_arms)

    def _scored(self, arm: Arm) -> tuple[list[Prompt], list[Candidate], list[Reward]]:
        """What an arm pairs or learns from: candidates of its languages with its reward."""
        prompts, candidates = self._candidates(arm)
        rewards = self.stage(f"score {arm.config.reward_name}", arm.sampled_in).read(Reward)
        wanted = set(arm.config.languages)
        chosen = [(x, y) for x, y in zip(candidates, rewards, strict=True) if x.language in wanted]
        return [x for x in prompts if x.language in wanted], [x for x, _ in chosen], [y for _, y in chosen]

    def _tune(self, arm: Arm) -> None:
        """Tunes the adapter of an arm and keeps log, figure and what made it beside it."""
        from .trainers.job import Job

        base = self._base()
        stage = self.stage(arm.trainer, arm.folder)
        rows, made_from = self._training_data(arm)
        fingerprint = {**arm.settings.model_dump(mode="json"), "base": base.digest, "data": digest(made_from)}
        if stage.enter(fingerprint):
            return
        kind = type(rows[0])
        write_records(stage.path / "data.parquet", kind, rows)
        probe = self._probe(arm)
        if probe:
            write_records(stage.path / "probe.parquet", Answered, probe)
        self._say(f"{_label(stage, self.root)}: {len(rows):,} {_UNITS[kind]}")
        online = arm.trainer in ("online-dpo", "grpo")
        job = Job(
            trainer=arm.trainer,
            base=str(base.path),
            out=str(stage.path / "adapter"),
            data=str(stage.path / "data.parquet"),
            settings=arm.settings.model_dump(mode="json"),
            probe=str(stage.path / "probe.parquet") if probe else None,
            scorer=self._ready(arm.scorer).model_dump(mode="json") if online else None,
        )
        self._finish(stage, self._trained(job), len(rows), self._tuning(arm))

    def _training_data(self, arm: Arm) -> tuple[Sequence[Any], Any]:
        """The rows that an arm learns from, and what they were made from. Raises DataError if there are none."""
        if arm.trainer == "dpo":
            stage = self.stage("pair", arm.paired_in)
            pairs = stage.read(Pair)
            if not pairs:
                raise DataError(f"no pair was found in {stage.path}: see its cell.json for the reasons.")
            return pairs, stage.require()["fingerprint"]
        if arm.trainer == "sft":
            answers = self._answers(arm)
            return answers, [asdict(x) for x in answers]
        prompts = [x for x in load_prompts(self.config) if x.language in arm.config.languages]
        return prompts, [[asdict(x) for x in prompts], make_scorer(self._ready(arm.scorer)).identity]

    def _answers(self, arm: Arm) -> list[Answered]:
        from .stages.answers import best_answers, gold_answers

        if arm.config.sft.answers == "gold":
            return gold_answers([x for x in load_prompts(self.config) if x.language in arm.config.languages])
        return best_answers(*self._scored(arm), arm.config.sft.pool)

    def _probe(self, arm: Arm) -> list[Answered]:
        """Some of the base's own answers, to measure the divergence from it on; none where it was not sampled."""
        own = self.config.sample.policy is None and self.stage("sample").is_sealed
        if not own:
            return []
        prompts = {x.prompt_id: x.prompt for x in load_prompts(self.config)}
        first = [
            x for x in self.stage("sample").read(Candidate) if x.sample == 0 and x.kind == "generation" and x.answer
        ]
        step = max(1, len(first) // _PROBED)
        return [Answered(prompts[x.prompt_id], x.answer) for x in first[::step][:_PROBED]]

    def _tuning(self, arm: Arm) -> Tuning:
        """What an arm is, for whoever meets its adapter later."""
        online = arm.trainer in ("online-dpo", "grpo")
        gold = not (online or arm.needs_candidates)
        other = None if online or gold else arm.config.sample.policy
        policy = other.name if other else self.config.policy.name
        return Tuning(
            arm.name,
            arm.trainer,
            "online" if online else "gold" if gold else "off-policy" if other else "on-policy",
            None if gold else policy,
            arm.config.pair.pool if arm.trainer == "dpo" else arm.config.sft.pool if not (online or gold) else None,
            None if gold else arm.config.reward_name,
            tuple(arm.config.languages),
            arm.settings.seed,
        )

    def _train_reward(self) -> None:
        from ..harness.models.sources import find_model
        from .trainers.job import Job

        settings = self.config.reward
        rows = read_preferences(settings.preferences, settings.seed)
        base = find_model(settings.model) if settings.model else self._base()
        stage = self.stage("reward")
        kept = settings.model_dump(mode="json", exclude={"preferences", "model"})
        if stage.enter({**kept, "base": base.digest, "data": digest([asdict(x) for x in rows])}):
            return
        write_records(stage.path / "data.parquet", Preference, rows)
        self._say(f"reward: {len(rows):,} preferences")
        data = str(stage.path / "data.parquet")
        job = Job("reward", str(base.path), str(stage.path / "model"), data, settings.model_dump(mode="json"))
        self._finish(stage, self._trained(job), len(rows), None)

    def _trained(self, job: Any) -> list[dict[str, Any]]:
        from .trainers.job import launch, run

        return run(job) if self._accelerate is None else launch(job, self._accelerate)

    def _base(self):
        from ..harness.models.sources import find_model

        policy = self.config.policy
        if policy.adapter:
            raise UserError(
                "tuning starts from a base model; policy.adapter is for sampling from a tuned one (sample.policy)."
            )
        return find_model(policy.model, policy.revision)

    def _finish(self, stage: Stage, log: list[dict[str, Any]], rows: int, tuning: Tuning | None) -> None:
        """Keeps log, figure and what the adapter is; says how it went."""
        from .trainers.log import draw_log, log_rows, write_log

        write_log(stage.path, log)
        draw_log(stage.path, log, _label(stage, self.root))
        made = stage.path / ("model" if tuning is None else "adapter")
        if tuning is not None:
            write_tuning(made, tuning)
        write_json(stage.path / "cell.json", {"fingerprint": stage.begun_with(), "rows": rows, "last": log[-1:]})
        last = log_rows(log)[-1] if log else {}
        shown = [f"{name.replace('_', ' ')} {last[name]:.3f}" for name in _SAID if last.get(name) is not None]
        self._say(f"{_label(stage, self.root)}: {', '.join(shown)}; {made}")


def _places(arms: Sequence[Arm]) -> Iterable[Arm]:
    """One arm for each folder in which candidates lie that the arms need."""
    return {x.sampled_in: x for x in reversed(arms) if x.needs_candidates}.values()


_SAID = ("loss", "reward_accuracy", "reward_margin", "reward", "kl")
_UNITS: dict[type, str] = {Pair: "pairs", Answered: "answers", Prompt: "prompts", Preference: "preferences"}


def _label(stage: Stage, root: Path) -> str:
    """A stage as people are told of it: ``pair``, ``multi/pair``, ``mono/seed-43/dpo``."""
    return str(stage.path.relative_to(root)).removeprefix("arms/")
