"""The stages in their order: what each reads, and where it leaves what it made."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..harness.errors import DataError, UserError
from ..harness.fingerprint import digest
from ..harness.models import ModelSource, find_model
from ..harness.progress import Progress
from ..harness.registry import did_you_mean
from ..harness.store import write_atomically, write_json
from .config import TrainConfig
from .pairs.rule import best_candidates
from .records import Candidate, Pair, Prompt, Reward
from .stages.folder import Stage
from .stages.pair import PairSummary, pair
from .stages.prompts import load_prompts
from .stages.sample import Say, sample
from .stages.score import make_scorer, score

STAGES = ("sample", "score", "pair", "sft", "dpo")
_LOG_COLUMNS = ("step", "epoch", "loss", "rewards/accuracies", "rewards/margins", "grad_norm", "learning_rate")


class Pipeline:
    """A training run in its folder. ``say`` tells the user something; ``progress`` shows answers and rewards."""

    def __init__(self, config: TrainConfig, say: Say, progress: Progress) -> None:
        if config.out is None:
            raise ValueError("a training config is read with read_train_config, which resolves `out`")
        self.config, self._say, self._progress = config, say, progress
        self.root = Path(config.out)

    def stage(self, name: str) -> Stage:
        """The folder of a stage: ``sample``, ``score NAME``, ``pair``, ``sft`` or ``dpo``."""
        return Stage(self.root, name)

    def run(self, names: Sequence[str]) -> None:
        """Runs stages, or finishes them; what is done is not done again. Raises a CrocoError in one sentence."""
        known: dict[str, Callable[[], None]] = {
            "sample": self._sample, "score": self._score, "pair": self._pair, "sft": self._sft, "dpo": self._dpo,
        }  # fmt: skip
        for name in names:
            if name not in known:
                raise UserError(f"unknown stage {name!r}{did_you_mean(name, STAGES)}; known: {', '.join(STAGES)}.")
        for name in names:
            known[name]()

    def _sample(self) -> None:
        prompts = load_prompts(self.config)
        self._say(f"sample: {len(prompts):,} prompts x {self.config.sample.n}")
        sample(self.config, prompts, self.stage("sample"), self._progress, self._say)

    def _candidates(self) -> tuple[list[Prompt], list[Candidate]]:
        return load_prompts(self.config), self.stage("sample").read(Candidate)

    def _score(self) -> None:
        prompts, candidates = self._candidates()
        for section in self.config.scorers:
            stage = self.stage(f"score {section.name}")
            score(make_scorer(section), section.name, prompts, candidates, stage, self._progress)
            info = stage.seal_info()
            self._say(f"score {section.name}: {info['rows']:,} rewards, {info['unscored']:,} unscored")

    def _rewards(self) -> list[Reward]:
        return self.stage(f"score {self.config.reward_name}").read(Reward)

    def _made_from(self) -> dict[str, Any]:
        """What candidates and rewards came from."""
        stages = (self.stage("sample"), self.stage(f"score {self.config.reward_name}"))
        return {x.name: x.require()["fingerprint"] for x in stages}

    def _pair(self) -> None:
        prompts, candidates = self._candidates()
        stage = self.stage("pair")
        settings = self.config.pair
        found = pair(settings, prompts, candidates, self._rewards(), stage, self._made_from(), self.config.seed)
        for reason, n in stage.seal_info()["skips"].items():
            self._say(f"pair: {n:,} x {reason}")
        for x in found:
            self._say(_sentence(x))

    def _sft(self) -> None:
        from .sft import train_sft

        prompts, candidates = self._candidates()
        settings = self.config.sft
        answers = _best_answers(prompts, candidates, self._rewards(), settings.pool)
        stage, base = self.stage("sft"), self._base()
        fingerprint = {**settings.model_dump(mode="json"), "base": base.digest, "data": digest(answers)}
        if stage.enter(fingerprint):
            return
        self._say(f"sft: {len(answers):,} answers")
        self._finish(stage, train_sft(Path(base.path), answers, stage.path / "adapter", settings), len(answers))

    def _dpo(self) -> None:
        from .dpo import train_dpo

        stage, base = self.stage("dpo"), self._base()
        pairs = self.stage("pair").read(Pair)
        if not pairs:
            raise DataError("no pair was found, so there is nothing to train on: see `pair/cell.json` for the reasons.")
        settings = self.config.dpo
        made_from = self.stage("pair").require()["fingerprint"]
        fingerprint = {**settings.model_dump(mode="json"), "base": base.digest, "pairs": digest(made_from)}
        if stage.enter(fingerprint):
            return
        self._say(f"dpo: {len(pairs):,} pairs")
        self._finish(stage, train_dpo(Path(base.path), pairs, stage.path / "adapter", settings), len(pairs))

    def _base(self) -> ModelSource:
        policy = self.config.policy
        if policy.adapter:
            raise UserError(
                "tuning starts from a base model; policy.adapter is for sampling from a tuned one (sample.policy)."
            )
        return find_model(policy.model, policy.revision)

    def _finish(self, stage: Stage, log: list[dict[str, Any]], rows: int) -> None:
        """Keeps the trainer's log as CSV beside the adapter, and says where the adapter is."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_LOG_COLUMNS)
        writer.writerows([row.get(x) for x in _LOG_COLUMNS] for row in log)
        write_atomically(stage.path / "log.csv", text.getvalue())
        write_json(stage.path / "cell.json", {"fingerprint": stage.begun_with(), "rows": rows, "last": log[-1:]})
        last = log[-1] if log else {}
        accuracy = f", reward accuracy {last['rewards/accuracies']:.2f}" if "rewards/accuracies" in last else ""
        self._say(f"{stage.name}: loss {last.get('loss', float('nan')):.3f}{accuracy}; {stage.path / 'adapter'}")


def _best_answers(
    prompts: Sequence[Prompt], candidates: Sequence[Candidate], rewards: Sequence[Reward], pool: str
) -> list[tuple[str, str]]:
    """(prompt, answer with the highest reward) of each pool, in the order in which pools first appear."""
    texts = {x.prompt_id: x.prompt for x in prompts}
    names: dict[tuple[str, ...], int] = {}
    keys = [
        names.setdefault((x.source_id,) if pool == "all" else (x.source_id, x.language), len(names)) for x in candidates
    ]
    usable = [
        x.reward if x.reward is not None and y.kind == "generation" and y.answer else float("nan")
        for x, y in zip(rewards, candidates, strict=True)
    ]
    _, rows = best_candidates(usable, keys)
    return [(texts[candidates[i].prompt_id], candidates[i].answer) for i in rows.tolist()]


def _sentence(x: PairSummary) -> str:
    return (
        f"pair {x.language}: {x.pairs:,} pairs, reward gap {x.reward_gap:.3f}, length gap {x.length_gap:+.0f} "
        f"characters, off target {x.chosen_off_target:.0%} of chosen and {x.rejected_off_target:.0%} of rejected"
    )
