"""The study in miniature: every arm of a training config tuned, evaluated beside its base, and the findings reported.

OUT/train    the training run: candidates, rewards, pairs, adapters
OUT/run.yaml the evaluation: the base and each adapter, one system per arm and seed
OUT/run      its run directory, with report/report.md
OUT/report   study.md: which findings hold, by the tests of the statistics
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...harness.config.run_config import ArmsConfig, RunConfig, dump_config, read_config
from ...harness.errors import UserError
from ...harness.store.files import write_atomically
from ..arms import Arm, resolve_arms, teacher_name
from ..config import TrainConfig, read_train_config
from ..nano.shipped import STUDY
from ..plan import ALL
from ..run import run, run_in_processes
from ..stages.folder import Say, TrainingDirectory

if TYPE_CHECKING:
    from rich.console import Console

TRAINING, EVALUATION = "nano-study.yaml", "nano-study-run.yaml"
"""The packaged configs."""

_ROLES = {
    "on_policy": "mono",
    "off_policy": "off-policy",
    "online": "online",
    "offline": "mono",
    "dpo": "mono",
    "sft": "sft",
    "multi": "multi",
    "mono": "mono",
}
"""Way of tuning (``ArmsConfig``) -> the arm that stands for it, by its first seed, in ``policy.csv``."""


def run_study(
    out: Path, workers: int, console: Console, command: str, training: Path | None, evaluation: Path | None
) -> Path:
    """Runs the study into ``out``, or finishes it; gives the path of its report. What is done is not done again.

    ``training``, ``evaluation``: configs in place of the packaged ones. ``command`` is quoted in the report. Raises a
    CrocoError in one sentence.
    """
    from ...harness.run.execute import execute
    from ...reports.records.run_data import RunData
    from ...reports.report.write import write_report
    from ...reports.study.write_study import write_study
    from ...reports.tables.all import run_tables
    from .learning import learned_rewards

    def say(message: str) -> None:
        console.print(message, markup=False, highlight=False, soft_wrap=True)

    config = training_config(training, out)
    evaluated = evaluation_config(evaluation, config, out, workers)
    _tune(config, workers, console, say)
    folder = out / "run"
    write_atomically(out / "run.yaml", dump_config(evaluated))
    execute(evaluated, folder, console).raise_if_incomplete()
    say(str(write_report(run_tables(RunData(folder)))))
    tuned = resolve_arms(config)
    written = write_study(
        folder,
        out / "report",
        arms={k: [system_of(x) for x in v] for k, v in by_family(evaluated_arms(config)).items()},
        logs=[_how_it_went(x, config) for x in tuned],
        learned=learned_rewards(config, tuned, say),
        candidates=_candidates(config),
        command=command,
    )
    say(str(written))
    return written


def keep_first_seeds(study: Path, out: Path, training: Path | None) -> list[Path]:
    """Keeps the first seed's adapter of every evaluated arm in ``out``, as the package holds them: as float16.

    ``study``: the folder of a study that is done. Raises UserError for an adapter that isn't there.
    """
    from ..nano.packed import keep_adapter

    kept: list[Path] = []
    config = training_config(training, study)
    for name, arms in by_family(evaluated_arms(config)).items():
        adapter = TrainingDirectory.of(config).adapter(arms[0])
        if not adapter.is_dir():
            raise UserError(f"{adapter} is not there: finish the study first (croco-eval nano study).")
        kept.append(out / f"{STUDY}{name}")
        keep_adapter(adapter, kept[-1])
    return kept


def training_config(path: Path | None, out: Path) -> TrainConfig:
    """The training config of the study, with ``out/train`` as its folder. Raises UserError."""
    if path is not None:
        config = read_train_config(path)
    else:
        with as_file(files("croco_eval.configs") / TRAINING) as packaged:
            config = read_train_config(packaged)
    if not config.arms:
        raise UserError(f"training config {config.name!r} has no `arms`: a study needs some.")
    return config.model_copy(update={"out": str((out / "train").resolve())})


def evaluation_config(path: Path | None, training: TrainConfig, out: Path, workers: int) -> RunConfig:
    """The evaluation: the one system of the config, which is the reference, and one for each arm and seed.

    Raises UserError if the config has other systems or another model than the training's policy.
    """
    if path is not None:
        config = read_config(path)
    else:
        with as_file(files("croco_eval.configs") / EVALUATION) as packaged:
            config = read_config(packaged)
    if len(config.systems) != 1 or config.systems[0].model != training.policy.model:
        raise UserError(f"run config {config.name!r}: its one system must be the base, {training.policy.model!r}.")
    base = config.systems[0]
    arms, at = evaluated_arms(training), TrainingDirectory.of(training)
    tuned = [base.model_copy(update={"name": system_of(x), "adapter": str(at.adapter(x))}) for x in arms]
    firsts = {name: system_of(found[0]) for name, found in by_family(arms).items()}
    roles = {role: firsts[arm] for role, arm in _ROLES.items() if arm in firsts}
    return config.model_copy(
        update={
            "systems": [base, *tuned],
            "reference": base.name,
            "arms": ArmsConfig.model_validate(roles),
            "workers": workers,
        }
    )


def evaluated_arms(config: TrainConfig) -> list[Arm]:
    """What is evaluated: all arms but those that only give their adapter to a scorer."""
    teachers = {teacher_name(x) for x in config.scorers}
    return [x for x in resolve_arms(config) if x.name not in teachers and x.family not in teachers]


def by_family(arms: Sequence[Arm]) -> dict[str, list[Arm]]:
    """Arms by name, each with its seeds."""
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        found.setdefault(arm.family, []).append(arm)
    return found


def system_of(arm: Arm) -> str:
    """The arm's name in the evaluation: ``mono-42``."""
    return arm.family if arm.seed is None else f"{arm.family}-{arm.seed}"


def _tune(config: TrainConfig, workers: int, console: Console, say: Say) -> None:
    if workers > 1:
        run_in_processes(config, workers, say)
        return
    from ...harness.run.progress import RunProgress

    progress = RunProgress(console, len(ALL), "stage")
    with progress.shown():
        run(config, ALL, say, progress.lane(0))


def _how_it_went(arm: Arm, config: TrainConfig) -> dict[str, Any]:
    """The arm and its seed, the rows it learnt from, its steps, and the mean of the last fifth of its log."""
    import pandas as pd

    stage = TrainingDirectory.of(config).tuned(arm)
    log = pd.read_csv(stage.path / "log.csv")
    last = log.tail(max(1, len(log) // 5)).drop(columns=["step", "epoch", "learning_rate", "grad_norm"])
    return {
        "arm": arm.family,
        "seed": arm.settings.seed,
        "trainer": arm.trainer,
        "rows": stage.seal_info()["rows"],
        "steps": int(log["step"].iloc[-1]),
        **last.mean().to_dict(),
    }


def _candidates(config: TrainConfig) -> Any:
    """The policy's own candidates with their reward and, as ``score``, their known quality; None without a scorer of
    known answers."""
    import pandas as pd

    at = TrainingDirectory.of(config)
    truth = next((x.name for x in config.scorers if (x.scorer or x.name) == "reference"), None)
    if truth is None or not at.score(None, truth).is_sealed:
        return None
    columns = ["prompt_id", "source_id", "language", "kind"]
    table = pd.read_parquet(at.sample().data, columns=columns)
    for column, scorer in (("reward", config.reward_name), ("score", truth)):
        table[column] = pd.read_parquet(at.score(None, scorer).data, columns=["reward"])["reward"]
    return table[table["kind"].eq("generation")].drop(columns="kind").reset_index(drop=True)
