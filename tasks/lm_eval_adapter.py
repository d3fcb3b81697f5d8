"""The gateway to lm-eval: its tasks as tasks of ours, its requests forwarded to a harness backend.

The only module that knows lm-eval. Statistics are ours, so its bootstrap is off; its response cache, whose key
leaves the model out, is not used.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("LMEVAL_LOG_LEVEL", "ERROR")

import lm_eval
from jinja2 import TemplateError
from lm_eval import evaluator
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from ..harness.errors import DataError, UserError
from ..harness.fingerprint import digest
from ..harness.records import GenerationRequest, Item, LikelihoodRequest, MetricKind, Score
from ..harness.registry import did_you_mean
from ..harness.suites import Answerer, TaskResult

_DEFAULT_NEW_TOKENS = 256
_FEW_SHOT_SEED = 1234
_BINARY = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
_LIKELIHOOD_OUTPUTS = ("multiple_choice", "loglikelihood")


@dataclass(frozen=True)
class ScorePolicy:
    """How lm-eval's metrics become scores: the primary one, and the kind of those that are not 0 or 1."""

    primary: str | None = None
    kinds: Mapping[str, MetricKind] | None = None


def task_manager(folder: Path) -> TaskManager:
    """The tasks whose YAML files lie below a folder, and no others. Raises UserError if the folder isn't there."""
    if not folder.is_dir():
        raise UserError(f"task_path {str(folder)!r} is not a folder.")
    with _quiet():
        return TaskManager(include_path=str(folder), include_defaults=False)


class LmEvalTask:
    """One or several lm-eval tasks that together are one suite in one language.

    ``specs`` maps the name a task has in our tables to lm-eval's name and the settings to override in its YAML.
    Data are loaded and documents built when they are first needed.
    """

    def __init__(
        self,
        manager: TaskManager,
        specs: Mapping[str, tuple[str, dict[str, Any]]],
        *,
        version: str,
        limit: int | None,
        few_shot: int | None,
        language: str,
        policy: ScorePolicy | None = None,
    ) -> None:
        self.manager, self.specs, self._version = manager, specs, version
        self._limit, self._few_shot, self._language = limit, few_shot, language
        self._policy = policy or ScorePolicy()

    @cached_property
    def _tasks(self) -> dict[str, Any]:
        """Our task name -> lm-eval task. Raises DataError for anything that keeps a task from being read."""
        tasks = {}
        for name, (lm_name, overrides) in self.specs.items():
            # lm-eval merges overrides into a registered task only for the members of a group.
            spec = {"group": name, "task": [{"task": lm_name, **overrides}]} if overrides else lm_name
            try:
                with _quiet():
                    loaded = self.manager.load([spec])["tasks"]
            except Exception as error:  # YAML, its functions and the data sets can all fail in their own ways
                raise DataError(f"task {lm_name!r} can't be loaded: {_reason(error)}") from error
            for loaded_name, task in loaded.items():
                self._set_few_shot(task)
                tasks[name if len(loaded) == 1 else f"{name}.{loaded_name}"] = task
        if not tasks:
            raise DataError(f"no task in language {self._language!r}.")
        return tasks

    def _set_few_shot(self, task: Any) -> None:
        if self._few_shot is not None:
            task.set_config(key="num_fewshot", value=self._few_shot)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=_FEW_SHOT_SEED)

    @cached_property
    def _documents(self) -> dict[str, list[dict[str, Any]]]:
        documents = {}
        for name, task in self._tasks.items():
            try:
                rows = list(task.eval_docs)
            except Exception as error:  # a data set's own code
                raise DataError(f"task {name!r}: its documents can't be read: {_reason(error)}") from error
            if not rows:
                raise DataError(f"task {name!r} has no documents in language {self._language!r}.")
            documents[name] = rows[: self._limit] if self._limit else rows
        return documents

    @property
    def n_items(self) -> int:
        return sum(len(x) for x in self._documents.values())

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Version, digests of documents (few-shot ones too) and of the tasks' settings, and few-shot numbers."""
        examples = {name: list(x.fewshot_docs()) for name, x in self._tasks.items() if x.get_config("num_fewshot")}
        return {
            "version": self._version,
            "data": digest([self._documents, examples]),
            "prompt": digest({name: _settings(task) for name, task in self._tasks.items()}),
            "few_shot": max(task.get_config("num_fewshot") for task in self._tasks.values()),
            "items": self.n_items,
            "lm_eval": lm_eval.__version__,
        }

    def run(self, answerer: Answerer) -> TaskResult:
        """Runs lm-eval's evaluator over all documents with our backend behind it, and reads its samples."""
        counts = {name: len(rows) for name, rows in self._documents.items()}
        samples = {name: list(range(n)) for name, n in counts.items()}
        forward = ForwardingLM(answerer, {name: self._item_ids(name) for name in counts})
        tasks = {name: _renamed(task, name) for name, task in self._tasks.items()}
        try:
            with _quiet():
                results: Any = evaluator.evaluate(
                    lm=forward,
                    task_dict={"tasks": tasks, "groups": {}, "group_map": {}},
                    samples=samples,
                    bootstrap_iters=0,
                    log_samples=True,
                    apply_chat_template=answerer.chat_template,
                    fewshot_as_multiturn=answerer.chat_template,
                )
        except (TemplateError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"task {', '.join(tasks)}: its templates or metrics failed: {_reason(error)}") from error
        logged = results["samples"]
        items = [self._item(name, i, forward) for name, n in counts.items() for i in range(n)]
        scores = [x for name in counts for x in self._scores(name, logged[name], forward.ids[name])]
        return TaskResult(items, scores)

    def _item_ids(self, name: str) -> list[tuple[str, str]]:
        """(item_id, source_id) of each document: its own fields, or its number. ``metadata.source_id`` in the YAML
        names the field that translations share."""
        field = (self._tasks[name].config.metadata or {}).get("source_id", "source_id")
        ids = []
        for number, row in enumerate(self._documents[name]):
            item_id = str(row.get("item_id") or f"{name}/{number}/{self._language}")
            if "source_id" in row:
                source_id = str(row["source_id"])
            else:
                source_id = item_id if row.get(field) is None else f"{name}/{row[field]}"
            ids.append((item_id, source_id))
        return ids

    def _item(self, name: str, number: int, forward: ForwardingLM) -> Item:
        item_id, source_id = forward.ids[name][number]
        row = self._documents[name][number]
        metadata = {k: v for k, v in row.items() if k not in ("item_id", "source_id", "prompt")}
        text = self._tasks[name].doc_to_text(row)
        prompt = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False, default=str)
        return Item(item_id, source_id, name, prompt, json.dumps(metadata, ensure_ascii=False, default=str))

    def _scores(self, name: str, samples: list[dict[str, Any]], ids: list[tuple[str, str]]) -> Iterator[Score]:
        """All metrics of all items. The primary one is the policy's, or the first, by the task's first filter."""
        for sample in samples:
            item_id, source_id = ids[sample["doc_id"]]
            metrics = [x for x in sample["metrics"] if x in sample]
            primary = self._policy.primary if self._policy.primary in metrics else metrics[0]
            for metric in metrics:
                value, gold, predicted = _item_value(sample[metric])
                yield Score(
                    item_id=item_id,
                    source_id=source_id,
                    task=name,
                    metric=metric if sample["filter"] == "none" else f"{metric},{sample['filter']}",
                    kind=self._kind(metric, predicted is not None),
                    primary=metric == primary and sample["filter"] == samples[0]["filter"],
                    value=value,
                    unscored=None if value is not None else "the metric gave no number",
                    gold=gold,
                    predicted=predicted,
                )

    def _kind(self, metric: str, is_pair: bool) -> MetricKind:
        """Known before the values are: from the policy, from the name, or because the metric compares labels."""
        if self._policy.kinds and metric in self._policy.kinds:
            return self._policy.kinds[metric]
        return "binary" if metric in _BINARY or is_pair else "continuous"


class ForwardingLM(LM):
    """lm-eval's idea of a model: hands its requests to an ``Answerer``."""

    def __init__(self, answerer: Answerer, ids: Mapping[str, list[tuple[str, str]]]) -> None:
        super().__init__()
        self._answerer = answerer
        self.ids = ids

    @property
    def tokenizer_name(self) -> str:
        return self._answerer.tokenizer_name

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return self._answerer.chat(chat_history, continue_final=not add_generation_prompt)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        asked = [LikelihoodRequest(*self._key(x), *x.args) for x in requests]
        return [(x.logprob or 0.0, bool(x.is_greedy)) for x in self._answerer.loglikelihoods(asked)]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise DataError("tasks of output type loglikelihood_rolling (perplexity of whole documents) are not supported.")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        asked = [self._generation(x) for x in requests]
        return [x.text or "" for x in self._answerer.generate(asked)]

    def _key(self, instance: Instance) -> tuple[str, int]:
        return self.ids[instance.task_name or ""][instance.doc_id or 0][0], instance.idx

    def _generation(self, instance: Instance) -> GenerationRequest:
        prompt, settings = cast(tuple[str, dict[str, Any]], instance.args)
        item_id, index = self._key(instance)
        until = settings.get("until") or []
        sampled = bool(settings.get("do_sample", settings.get("temperature", 0.0)))
        return GenerationRequest(
            item_id=item_id,
            index=index,
            prompt=prompt,
            max_new_tokens=int(settings.get("max_gen_toks") or settings.get("max_new_tokens") or _DEFAULT_NEW_TOKENS),
            temperature=float(settings.get("temperature") or 1.0) if sampled else 0.0,
            top_p=float(settings.get("top_p", 1.0)),
            top_k=int(settings.get("top_k", 0)),
            stop=(until,) if isinstance(until, str) else tuple(until),
            seed=int(digest([item_id, index]), 16) % 2**63,
        )


def _renamed(task: Any, name: str) -> Any:
    """The task under our name: lm-eval writes it into every request."""
    task.set_config(key="task", value=name)
    return task


def _settings(task: Any) -> dict[str, Any]:
    """A task's settings as JSON: all that shape a prompt or a score; functions by the code they were read from."""
    settings = task.config.to_dict(keep_callable=False) if hasattr(task.config, "to_dict") else dict(task.config)
    return {
        k: str(v) for k, v in sorted(settings.items()) if k not in ("task", "task_alias", "metadata", "dataset_kwargs")
    }


def _item_value(raw: Any) -> tuple[float | None, str | None, str | None]:
    """(value, gold, predicted). Metrics over (gold, predicted) pairs, such as F1, count an item as right or wrong."""
    if isinstance(raw, tuple | list):
        if len(raw) != 2:
            return None, None, None
        return float(raw[0] == raw[1]), str(raw[0]), str(raw[1])
    try:
        value = float(raw)
    except (TypeError, ValueError):
        return None, None, None
    return (value, None, None) if value == value else (None, None, None)


def _reason(error: Exception) -> str:
    text = next((x.strip() for x in str(error).splitlines() if x.strip()), type(error).__name__)
    return f"{type(error).__name__}: {text}"[:300]


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
