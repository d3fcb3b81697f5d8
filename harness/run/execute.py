"""Runs a plan: cells, then judgments, then what follows a run. Whatever was done before is not done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml
from rich.console import Console

from .. import registry
from ..api.judge import Judge
from ..config.run_config import JudgeConfig, RunConfig, dump_config, flatten, parse_config
from ..config.server_config import SystemServer
from ..errors import BudgetSpent, CrocoError, DataError, JudgeError, ModelError, ServerError, StoreError, UserError
from ..store.files import write_atomically, write_json
from ..store.fingerprint import NEUTRAL_SECTIONS, differing
from ..store.run_directory import RunDirectory, RunLock
from .cells import run_cells
from .judging import judge_cells, judging_cells
from .manifest import make_manifest
from .plan import Gap, Plan, make_judges, make_plan
from .processes import run_in_processes
from .progress import JudgingProgress, RunProgress


@dataclass
class Outcome:
    """What kept a run from being whole: tasks whose data could not be used, and judges that could not go on."""

    gaps: list[Gap] = field(default_factory=list)
    judge_errors: list[CrocoError] = field(default_factory=list)

    def raise_if_incomplete(self) -> None:
        """Raises the error that says what is missing, if anything is; the tables hold the rest."""
        if self.judge_errors:
            first = self.judge_errors[0]
            raise type(first)(" ".join(dict.fromkeys(map(str, self.judge_errors)))) from first
        if self.gaps:
            names = ", ".join(f"{x.suite} in {x.language}" for x in self.gaps)
            raise DataError(f"{len(self.gaps)} of the tasks could not be run ({names}); the tables hold the rest.")


def execute(config: RunConfig, folder: Path, console: Console, summary: bool = True) -> Outcome:
    """Runs a configuration into ``folder``, or finishes what is there; without ``summary``, what is done after the run
    prints nothing.

    Raises a CrocoError that says what is wrong if nothing could be run.
    """
    plan = make_plan(config)
    for judge in plan.judges.values():
        judge.check()
    run = RunDirectory(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} can't be made: {error.strerror or error}.") from error
    with RunLock(folder):
        _check_config(run, plan)
        write_json(folder / "manifest.json", make_manifest(plan, run))
        gaps = [*plan.gaps, *_run(plan, run, console)]
        write_json(folder / "gaps.json", [asdict(x) for x in gaps])
        errors = _judge(run, plan.judges, console)
        write_json(folder / "manifest.json", make_manifest(plan, run))
        _after_run(folder, console if summary else Console(quiet=True))
    return Outcome([x for x in gaps if x.failed], errors)


def judge_again(folder: Path, name: str, judges: list[JudgeConfig] | None, console: Console) -> Outcome:
    """Lets one judge, of the run's config or of ``judges``, judge the answers of a run; loads no system's model.

    Raises a CrocoError that says what is wrong if nothing could be judged.
    """
    run = RunDirectory.open(folder)
    config = parse_config(run.config_text() or "", str(folder / "config.yaml"), folder)
    known = {x.name: x for x in (config.judges if judges is None else judges)}
    if name not in known:
        where = "the run's config" if judges is None else "the config file"
        more = "." if judges is not None else "; --config names a file with further ones."
        hint = registry.did_you_mean(name, known) or more
        raise UserError(f"there is no judge {name!r} in {where} ({', '.join(known) or 'it has none'}){hint}")
    listed = {**{x.name: x for x in config.judges}, **known}
    judge = make_judges(listed.values(), config, name)[name]
    judge.check()
    with RunLock(folder):
        manifest = run.manifest()
        manifest["judges"][name] = judge.identity
        errors = _judge(run, {name: judge}, console, ask_unanswered=True)
        write_json(folder / "manifest.json", manifest)
        _after_run(folder, console)
    return Outcome(judge_errors=errors)


def _after_run(folder: Path, console: Console) -> None:
    """Calls what is registered in ``croco_eval.after_run``: first the package's own tables and summary."""
    for name in sorted(registry.names("after_run"), key=lambda x: x != "tables"):
        registry.load("after_run", name)(folder, console)


def _check_config(run: RunDirectory, plan: Plan) -> None:
    """Writes the resolved config, or refuses if the directory holds one that differs in more than neutral settings."""
    text = dump_config(_with_all_options(plan.config))
    old = run.config_text()
    if old is None and any(run.path.glob("[!.]*")):
        raise StoreError(f"{run.path} holds files but no config.yaml, so it is not a run; name another folder.")
    neutral = [f"judges.{name}.options.{x}" for name, judge in plan.judges.items() for x in judge.neutral_options]
    neutral += [f"systems.{x.name}.server.{y}" for x in plan.systems if x.config.server for y in SystemServer.NEUTRAL]
    neutral += NEUTRAL_SECTIONS
    before, now = (flatten(yaml.safe_load(x)) for x in (_completed(run, old) if old else text, text))
    if changed := differing(before, now, neutral):
        raise StoreError(
            f"{run.path} was made with another config ({'; '.join(changed)}); "
            "give the run another name or folder, or restore the config."
        )
    if old != text:
        write_atomically(run.path / "config.yaml", text)


def _completed(run: RunDirectory, text: str) -> str:
    """A run's config with the settings that it could not name, because they are younger than it, at their defaults."""
    return dump_config(_with_all_options(parse_config(text, str(run.path / "config.yaml"), run.path)))


def _with_all_options(config: RunConfig) -> RunConfig:
    """The config with every default of the judges' own options written out."""
    judges = []
    for x in config.judges:
        options = registry.load("judges", x.judge or x.name)(**x.options).all_options
        judges.append(x if options is None else x.model_copy(update={"options": dict(options)}))
    return config.model_copy(update={"judges": judges})


def _run(plan: Plan, run: RunDirectory, console: Console) -> list[Gap]:
    """All cells, in this process or in several; gives the tasks whose data can't be used."""

    def say(message: str) -> None:
        console.print(message, style="yellow", markup=False)

    workers = min(plan.config.workers, len({(x.suite, x.language) for x in plan.cells}))
    progress = RunProgress(console, len(plan.cells), "cell", lanes=max(1, workers))
    with progress.shown():
        if workers > 1:
            return run_in_processes(plan, run, workers, progress, say)
        return run_cells(plan, run, plan.cells, progress.lane(0), say)


def _judge(
    run: RunDirectory, judges: Mapping[str, Judge], console: Console, ask_unanswered: bool = False
) -> list[CrocoError]:
    """Every judge over all its cells, one judge after the other; gives what kept a judge from finishing."""

    def say(message: str) -> None:
        console.print(message, style="yellow", markup=False, soft_wrap=True)

    errors: list[CrocoError] = []
    for name, judge in judges.items():
        cells = judging_cells(run, name)
        progress = JudgingProgress(console, name, len(cells))
        try:
            with progress.shown():
                judged = judge_cells(run, judge, cells, progress, ask_unanswered)
        except (JudgeError, ModelError, ServerError, BudgetSpent, UserError) as error:
            errors.append(error)
            continue
        for suite in dict.fromkeys(x.suite for x in cells):
            if judged.n_items[suite] == 0:
                say(f"judge {name} has nothing to say about the items of suite {suite}")
        if judged.n_unanswered:
            again = f"croco-eval judge {run.path} --judge {name}"
            say(f"judge {name} gave no answer for {judged.n_unanswered:,} judgments; '{again}' asks again")
    return errors
