"""The gateway to lm-eval: turns its tasks into ours and forwards its requests to a harness backend.

The only module that knows lm-eval. Statistics are ours, so its bootstrap is off; its response cache, whose key
leaves the model out, is not used.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("LMEVAL_LOG_LEVEL", "ERROR")

import lm_eval
import numpy as np
from jinja2 import TemplateError
from lm_eval import evaluator
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Kind

from ...harness.api.answerer import PROMPT_TOO_LONG, Answerer
from ...harness.api.records import GenerationRequest, Item, LikelihoodRequest, MetricKind, Score
from ...harness.api.suite import TaskResult
from ...harness.errors import DataError, UserError, first_line
from ...harness.registry import did_you_mean
from ...harness.store.fingerprint import digest, seed_for
from ...harness.text.encoding import BEGINS, RenderedChat
from ..draw import draw

_DEFAULT_NEW_TOKENS = 256
_FEW_SHOT_SEED = 1234
_BINARY = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
_PAIR_NAMES = {"f1": "macro_f1"}
"""What our tables compute from lm-eval's (gold, predicted) pairs, where it is not what lm-eval's name says."""

_NO_PROMPT = ("task", "task_alias", "metadata", "dataset_kwargs", "custom_dataset")
"""Settings that shape neither a prompt nor a score: the documents themselves are hashed."""


@dataclass(frozen=True)
class TaskSpec:
    """An lm-eval task, or a group of them, and what replaces or completes its YAML.

    ``overrides``: settings that replace the YAML's. ``rows``: gives the data set (split -> rows) in place of lm-eval's
    own download. ``source_id``: (document, its number) -> what translations of an item share, or None.
    """

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    rows: Callable[[], dict[str, Any]] | None = None
    source_id: Callable[[Mapping[str, Any], int], str | None] | None = None


@dataclass(frozen=True)
class ScorePolicy:
    """How lm-eval's metrics become scores: the primary one (``metric`` or ``metric,filter``), and the kind of those
    that are not 0 or 1."""

    primary: str | None = None
    kinds: Mapping[str, MetricKind] | None = None


def task_manager(*folders: Path) -> TaskManager:
    """The tasks whose YAML files lie below some folders, and no others. Raises UserError if a folder isn't there."""
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"task_path {str(folder)!r} is not a folder.")
    with _quiet():
        return TaskManager(include_path=[str(x) for x in folders], include_defaults=False)


@cache
def own_tasks(folders: Sequence[str], ours: Path | None = None) -> TaskManager:
    """lm-eval's own tasks in some folders of its installation, such as ``belebele`` or ``mgsm/direct``, and those in a
    folder of ours."""
    root = Path(lm_eval.__file__).parent / "tasks"
    return task_manager(*(root / x for x in folders), *([ours] if ours else []))


class LmEvalTask:
    """One or several lm-eval tasks that together are one suite in one language.

    ``specs``: by the name the task has in our tables. The members of a group have their own names, less the group's.
    Data are loaded and documents built when they are first needed.
    """

    def __init__(
        self,
        manager: TaskManager,
        specs: Mapping[str, TaskSpec],
        *,
        version: str,
        limit: int | None,
        few_shot: int | None,
        language: str,
        policy: ScorePolicy | None = None,
        estimators: Mapping[str, Any] | None = None,
    ) -> None:
        self.manager, self.specs, self._version = manager, specs, version
        self._limit, self._few_shot, self._language = limit, few_shot, language
        self._policy = policy or ScorePolicy()
        self._estimators = estimators or {}

    @cached_property
    def _leaves(self) -> dict[str, tuple[TaskSpec, str]]:
        """Our task name -> its spec and the name of one lm-eval task; a group is taken apart."""
        leaves = {}
        for name, spec in self.specs.items():
            members = _members(self.manager, spec.name)
            for member in members:
                own = member.removeprefix(f"{spec.name}_")
                leaves[name if members == [spec.name] else own] = (spec, member)
        if not leaves:
            raise DataError(f"no task in language {self._language!r}.")
        return leaves

    @cached_property
    def _tasks(self) -> dict[str, Any]:
        """Our task name -> lm-eval task. Raises DataError for anything that keeps a task from being read."""
        return {name: self._load(spec, member) for name, (spec, member) in self._leaves.items()}

    def _load(self, spec: TaskSpec, lm_name: str) -> Any:
        overrides = dict(spec.overrides)
        if spec.rows is not None:
            rows = spec.rows()
            overrides["custom_dataset"] = lambda **_: rows
        # lm-eval merges overrides into a registered task only for the members of a group.
        asked = {"group": f"{lm_name}_", "task": [{"task": lm_name, **overrides}]} if overrides else lm_name
        try:
            with _quiet():
                (task,) = self.manager.load([asked])["tasks"].values()
        except Exception as error:  # YAML, its functions and the data sets can all fail in their own ways
            raise DataError(f"task {lm_name!r} can't be loaded: {type(error).__name__}: {first_line(error)}") from error
        self._set_few_shot(task)
        self._check_few_shot(task, lm_name)
        return task

    def _set_few_shot(self, task: Any) -> None:
        if self._few_shot is not None:
            task.set_config(key="num_fewshot", value=self._few_shot)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=_FEW_SHOT_SEED)

    def _check_few_shot(self, task: Any, lm_name: str) -> None:
        wanted = task.get_config("num_fewshot")
        if wanted and _may_show_the_item_itself(task):
            raise DataError(
                f"task {lm_name!r} has no examples besides its own items, so an item might be its own example: set "
                "`few_shot: 0` for the suite, or `fewshot_split` in the YAML."
            )
        have = len(list(task.fewshot_docs())) if wanted else 0
        if have < wanted:
            raise DataError(
                f"task {lm_name!r} wants {wanted} few-shot examples in language {self._language!r}, and its data hold "
                f"{have}: set `few_shot: {have}` for the suite, or give it the missing split."
            )

    @cached_property
    def _documents(self) -> dict[str, dict[int, dict[str, Any]]]:
        """Our task name -> number of a document in its data set -> the document."""
        documents = {}
        for name, task in self._tasks.items():
            try:
                rows = dict(enumerate(task.eval_docs))
            except Exception as error:  # a data set's own code
                raise DataError(
                    f"task {name!r}: its documents can't be read: {type(error).__name__}: {first_line(error)}"
                ) from error
            if not rows:
                raise DataError(f"task {name!r} has no documents in language {self._language!r}.")
            documents[name] = self._limited(name, rows)
        return documents

    def _limited(self, name: str, rows: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """The documents that the limit keeps."""
        sources = [self._ids(name, number, row)[1] for number, row in rows.items()]
        return {number: rows[number] for number in draw(sources, self._limit)}

    @property
    def n_items(self) -> int:
        return sum(len(x) for x in self._documents.values())

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Version, digests of documents (few-shot ones too) and of the tasks' settings, and few-shot numbers."""
        examples = {name: list(x.fewshot_docs()) for name, x in self._tasks.items() if x.get_config("num_fewshot")}
        return {
            "version": self._version,
            "data": digest([{k: list(v.values()) for k, v in self._documents.items()}, examples]),
            "prompt": digest({name: _settings(task) for name, task in self._tasks.items()}),
            "few_shot": max(task.get_config("num_fewshot") for task in self._tasks.values()),
            "items": self.n_items,
            "lm_eval": lm_eval.__version__,
        }

    def run(self, answerer: Answerer) -> TaskResult:
        """Runs lm-eval's evaluator over all documents with our backend behind it, and reads its samples."""
        chosen = {k: list(v) for k, v in self._documents.items() if len(v) < len(self._tasks[k].eval_docs)}
        ids = {name: [self._ids(name, k, row) for k, row in rows.items()] for name, rows in self._documents.items()}
        forward = ForwardingLM(answerer, ids)
        tasks = {name: _renamed(task, name) for name, task in self._tasks.items()}
        try:
            with _quiet(), np.errstate(all="ignore"):  # an empty choice has no length to be divided by
                results: Any = evaluator.evaluate(
                    lm=forward,
                    task_dict={"tasks": tasks, "groups": {}, "group_map": {}},
                    samples=chosen or None,
                    bootstrap_iters=0,
                    log_samples=True,
                    apply_chat_template=answerer.chat_template,
                    fewshot_as_multiturn=answerer.chat_template,
                )
        except (TemplateError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"task {', '.join(tasks)}: its templates or metrics failed: {type(error).__name__}: {first_line(error)}"
            ) from error
        logged = results["samples"]
        items = [
            self._item(name, x, number)
            for name, found in ids.items()
            for x, number in zip(found, self._documents[name], strict=True)
        ]
        scores = [x for name, found in ids.items() for x in self._scores(name, logged[name], found)]
        scores = [_without_value(x, forward.unscored.get((x.task, x.item_id))) for x in scores]
        return TaskResult(items, scores, self._estimators)

    def _ids(self, name: str, number: int, row: Mapping[str, Any]) -> tuple[str, str]:
        """(item_id, source_id) of a document: its own fields, or its number. ``metadata.source_id`` in the YAML names
        the field that translations share."""
        item_id = str(row.get("item_id") or f"{name}/{number}/{self._language}")
        of_document = self._leaves[name][0].source_id
        field = (self._tasks[name].config.metadata or {}).get("source_id", "source_id")
        if of_document is not None:
            shared = of_document(row, number)
            return item_id, item_id if shared is None else f"{name}/{shared}"
        if "source_id" in row:
            return item_id, str(row["source_id"])
        return item_id, item_id if row.get(field) is None else f"{name}/{row[field]}"

    def _item(self, name: str, ids: tuple[str, str], number: int) -> Item:
        row = self._documents[name][number]
        metadata = {k: v for k, v in row.items() if k not in ("item_id", "source_id", "prompt")}
        text = self._tasks[name].doc_to_text(row)
        prompt = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False, default=str)
        return Item(*ids, name, prompt, json.dumps(metadata, ensure_ascii=False, default=str))

    def _scores(self, name: str, samples: list[dict[str, Any]], ids: list[tuple[str, str]]) -> Iterator[Score]:
        """All metrics of all items. The primary one is the policy's, or else the first of the task's first filter."""
        names = [_metric_name(m, s["filter"]) for s in samples for m in s["metrics"] if m in s]
        primary = self._policy.primary if self._policy.primary in names else names[0]
        place = {number: i for i, number in enumerate(self._documents[name])}
        for sample in samples:
            item_id, source_id = ids[place[sample["doc_id"]]]
            for metric in (x for x in sample["metrics"] if x in sample):
                value = _item_value(sample[metric])
                full_name = _metric_name(metric, sample["filter"])
                is_pair = isinstance(sample[metric], tuple)
                yield Score(
                    item_id=item_id,
                    source_id=source_id,
                    task=name,
                    metric=_PAIR_NAMES.get(full_name, full_name) if is_pair else full_name,
                    kind=self._kind(metric, is_pair),
                    primary=full_name == primary,
                    value=value.number,
                    unscored=value.unscored,
                    gold=value.gold,
                    predicted=value.predicted,
                )

    def _kind(self, metric: str, is_pair: bool) -> MetricKind:
        """Known before the values are: from the policy, from the name, or because the metric compares labels."""
        if self._policy.kinds and metric in self._policy.kinds:
            return self._policy.kinds[metric]
        return "binary" if metric in _BINARY or is_pair else "continuous"


class ForwardingLM(LM):
    """A model as lm-eval knows it, which hands all requests to an ``Answerer``."""

    def __init__(self, answerer: Answerer, ids: Mapping[str, list[tuple[str, str]]]) -> None:
        super().__init__()
        self._answerer = answerer
        self.ids = ids
        self.unscored: dict[tuple[str, str], str] = {}
        """(task, item_id) -> why no metric of the item counts: an answer that is missing is not a bad one."""

    @property
    def tokenizer_name(self) -> str:
        return self._answerer.tokenizer_name

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return self._answerer.chat(chat_history, continue_final=not add_generation_prompt)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        pairs = [cast(tuple[str, str], x.args) for x in requests]
        asked = [
            LikelihoodRequest(*self._key(x), self._prompt(context), continuation)
            for x, (context, continuation) in zip(requests, pairs, strict=True)
        ]
        answers = self._answerer.loglikelihoods(asked)
        for instance, answer in zip(requests, answers, strict=True):
            if answer.logprob is None:
                self._leave_out(instance, answer.finish_reason or "the model gave no likelihood")
        return [(x.logprob if x.logprob is not None else 0.0, bool(x.is_greedy)) for x in answers]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise DataError("tasks of output type loglikelihood_rolling (perplexity of whole documents) are not supported.")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        asked = [self._generation(x) for x in requests]
        answers = self._answerer.generate(asked)
        missing: list[str | None] = []
        for instance, answer in zip(requests, answers, strict=True):
            if (answer.finish_reason or "").startswith(PROMPT_TOO_LONG):
                self._leave_out(instance, str(answer.finish_reason))
            elif answer.text is None:
                missing.append(answer.finish_reason)
        if missing:
            raise DataError(
                f"{len(missing)} of {len(answers)} requests have no answer ({missing[0]}), so the task can't be scored."
            )
        return [x.text or "" for x in answers]

    def _leave_out(self, instance: Instance, reason: str) -> None:
        self.unscored.setdefault((instance.task_name or "", self._key(instance)[0]), reason)

    def _prompt(self, text: str) -> str:
        """A prompt as lm-eval made it; one that it made of a rendered chat is still one."""
        return RenderedChat(text) if self._answerer.chat_template and BEGINS in text else text

    def _key(self, instance: Instance) -> tuple[str, int]:
        return self.ids[instance.task_name or ""][instance.doc_id or 0][0], instance.idx

    def _generation(self, instance: Instance) -> GenerationRequest:
        """The task's own settings; an answer may fill half of the model's window at most."""
        prompt, settings = cast(tuple[str, dict[str, Any]], instance.args)
        item_id, index = self._key(instance)
        until = settings.get("until") or []
        allowed = int(settings.get("max_gen_toks") or settings.get("max_new_tokens") or _DEFAULT_NEW_TOKENS)
        sampled = bool(settings.get("do_sample", settings.get("temperature", 0.0)))
        return GenerationRequest(
            item_id=item_id,
            index=index,
            prompt=self._prompt(prompt),
            max_new_tokens=min(allowed, self._answerer.max_length // 2),
            temperature=float(settings.get("temperature") or 1.0) if sampled else 0.0,
            top_p=float(settings.get("top_p", 1.0)),
            top_k=int(settings.get("top_k", 0)),
            stop=(until,) if isinstance(until, str) else tuple(until),
            seed=seed_for(item_id, index),
        )


def _metric_name(metric: str, filter_name: str) -> str:
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def _members(manager: TaskManager, name: str) -> list[str]:
    """The tasks that a name stands for: itself, or all members of a group or tag, however deep."""
    entry = manager.task_index.get(name)
    if entry is None or entry.kind not in (Kind.GROUP, Kind.TAG):
        return [name]
    parts = sorted(entry.tags) if entry.kind is Kind.TAG else (entry.cfg or {}).get("task", [])
    names = [x if isinstance(x, str) else x["task"] for x in parts]
    return sorted(y for x in names for y in _members(manager, x))


def _renamed(task: Any, name: str) -> Any:
    """The task under our name: lm-eval writes it into every request."""
    task.set_config(key="task", value=name)
    return task


def _may_show_the_item_itself(task: Any) -> bool:
    """Whether lm-eval takes the examples from the evaluated items; it leaves out the item only if the YAML says so."""
    named = task.fewshot_cfg.split is not None or task.fewshot_cfg.samples is not None
    return not named and not task.has_training_docs() and not task.has_validation_docs()


def _settings(task: Any) -> dict[str, Any]:
    """A task's settings as JSON: all that shape a prompt or a score; functions by the code they were read from."""
    settings = task.config.to_dict(keep_callable=False) if hasattr(task.config, "to_dict") else dict(task.config)
    return {k: str(v) for k, v in sorted(settings.items()) if k not in _NO_PROMPT}


def _without_value(score: Score, reason: str | None) -> Score:
    """The score, or what stands in its place if there is a ``reason`` why it doesn't count."""
    return score if reason is None else replace(score, value=None, unscored=reason, gold=None, predicted=None)


@dataclass(frozen=True)
class _Value:
    number: float | None
    unscored: str | None = None
    gold: str | None = None
    predicted: str | None = None


def _item_value(raw: Any) -> _Value:
    """The value that a metric gives an item: a number; a pair (gold, predicted), which counts as right or wrong; truth
    values of the item's parts, which count as their share; or a text that says why there is no number."""
    if isinstance(raw, tuple) and len(raw) == 2:
        return _Value(float(raw[0] == raw[1]), None, str(raw[0]), str(raw[1]))
    if isinstance(raw, list) and raw and all(isinstance(x, bool) for x in raw):
        return _Value(sum(raw) / len(raw), None, str(len(raw)), str(sum(raw)))
    if isinstance(raw, str):
        return _Value(None, raw)
    try:
        number = float(raw)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        number = float("nan")
    return _Value(number) if math.isfinite(number) else _Value(None, "the metric gave no number")


@contextmanager
def _quiet() -> Iterator[None]:
    """lm-eval and tqdm write progress and advice to stderr; ours is the only progress shown."""
    loggers = [logging.getLogger(x) for x in ("lm_eval", "datasets")]
    levels = [x.level for x in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def check_task_name(manager: TaskManager, name: str, folder: str) -> None:
    """Raises UserError, with the near names, if the manager knows no such task."""
    if name not in manager.task_index:
        raise UserError(
            f"no lm-eval task {name!r} under {folder}{did_you_mean(name, manager.all_tasks)}; "
            f"found: {', '.join(sorted(manager.all_tasks)[:10]) or 'none'}."
        )
