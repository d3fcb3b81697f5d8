"""A tuning as data: what to tune, on which file, with which settings; in this process or through accelerate.

A job is all that a trainer needs, so that ``accelerate launch`` can run it in several processes, none of which
knows of stages: those belong to the process that waits for them.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ...harness.errors import CrocoError, ModelError
from ...harness.store.files import read_json, write_json
from ...harness.store.parquet import read_records
from ..config import DpoSettings, GrpoSettings, OnlineDpoSettings, RewardSettings, ScorerConfig, SftSettings
from ..records import Answered, Pair, PreferencePair, Prompt

Trainer = Literal["sft", "dpo", "online-dpo", "grpo", "reward"]


@dataclass(frozen=True)
class Job:
    """``data``: Parquet of ``Answered`` (sft), ``Pair`` (dpo), ``Prompt`` (online) or ``PreferencePair`` (reward).

    ``probe``: Parquet of ``Answered``, answers of the reference; ``scorer``: a section of the config, for online
    trainers. ``out``: the folder of the adapter or model; the log lies beside it.
    """

    trainer: Trainer
    base: str
    out: str
    data: str
    settings: dict[str, Any]
    probe: str | None = None
    scorer: dict[str, Any] | None = None


def run(job: Job) -> list[dict[str, Any]]:
    """Trains in this process and gives the trainer's log. Raises ModelError, UserError."""
    base, out, data = Path(job.base), Path(job.out), Path(job.data)
    probe = [(x.prompt, x.answer) for x in read_records(Path(job.probe), Answered)] if job.probe else []
    if job.trainer == "sft":
        from .sft import train_sft

        answers = [(x.prompt, x.answer) for x in read_records(data, Answered)]
        return train_sft(base, answers, out, SftSettings(**job.settings), probe)
    if job.trainer == "dpo":
        settings = DpoSettings(**job.settings)
        pairs = read_records(data, Pair)
        if settings.loss_type == ("simpo",):
            from .simpo import train_simpo

            return train_simpo(base, pairs, out, settings, probe)
        from .dpo import train_dpo

        return train_dpo(base, pairs, out, settings, probe)
    if job.trainer == "reward":
        from .reward import train_reward

        preferences = [(x.prompt, x.chosen, x.rejected) for x in read_records(data, PreferencePair)]
        return train_reward(base, preferences, out, RewardSettings(**job.settings))
    return _run_online(job, base, out, read_records(data, Prompt), probe)


def _run_online(
    job: Job, base: Path, out: Path, prompts: list[Prompt], probe: list[tuple[str, str]]
) -> list[dict[str, Any]]:
    from ..scorers.live import LiveReward

    with LiveReward(ScorerConfig.model_validate(job.scorer), prompts) as reward:
        if job.trainer == "online-dpo":
            from .online_dpo import train_online_dpo

            return train_online_dpo(base, prompts, reward, out, OnlineDpoSettings(**job.settings), probe)
        from .grpo import train_grpo

        return train_grpo(base, prompts, reward, out, GrpoSettings(**job.settings), probe)


def launch(job: Job, flags: Sequence[str]) -> list[dict[str, Any]]:
    """Runs a job under ``accelerate launch FLAGS`` and gives its log. Raises ModelError with what it said last."""
    folder = Path(job.out).parent
    write_json(folder / "job.json", asdict(job))
    command = [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *flags,
        *("-m", __name__, str(folder / "job.json")),
    ]
    result, failure = folder / "trained.json", folder / "failed.json"
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if failure.exists():
        reason = read_json(failure)
        failure.unlink()
        raise ModelError(reason)
    if done.returncode or not result.exists():
        said = [x.strip() for x in done.stderr.splitlines() if x.strip()][-3:]
        raise ModelError(
            f"`accelerate launch {shlex.join(flags)}` failed with exit code {done.returncode}: {' / '.join(said)}"
        )
    log = read_json(result)
    result.unlink()
    return log


def main() -> None:
    """Runs the job of a file: what every process of ``accelerate launch`` does."""
    from accelerate import PartialState

    file = Path(sys.argv[1])
    try:
        log = run(Job(**read_json(file)))
    except CrocoError as error:
        write_json(file.parent / "failed.json", str(error))
        sys.exit(error.exit_code)
    if PartialState().is_main_process:
        write_json(file.parent / "trained.json", log)


if __name__ == "__main__":
    main()
