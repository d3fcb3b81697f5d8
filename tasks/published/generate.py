"""Writes the lm-eval YAML files of ``euroeval`` and ``sib200`` from their tables of data sets and their prompts.

``python -m croco_eval.tasks.published.generate``; a test checks that the files are those it would write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...harness.config.strict import read_yaml
from .suite import SuiteSpec, TaskEntry

_HERE = Path(__file__).parent
_HEADER = "# Written by generate.py from datasets.yaml and prompts/; change those."


def generate(suite: str) -> dict[str, str]:
    """File name -> content, for every data set of ``euroeval`` or every language of ``sib200``."""
    task = {"euroeval": _euroeval, "sib200": _sib200}[suite]
    spec = SuiteSpec(**read_yaml(_HERE / suite / "datasets.yaml"))
    files = {}
    for language in spec.languages:
        prompts = read_yaml(_HERE / suite / "prompts" / f"{language}.yaml")
        for entry in spec.entries(language):
            files[f"{entry.name or entry.task}.yaml"] = "\n".join([_HEADER, *task(entry, language, prompts), ""])
    return files


def _sib200(entry: TaskEntry, language: str, prompts: dict[str, Any]) -> list[str]:
    data = [f"dataset_path: {entry.dataset}", f"dataset_name: {entry.config}"]
    return [*_classification(entry, "category", "_topic.yaml", prompts, prompts["or"]), *data]


def _euroeval(entry: TaskEntry, language: str, prompts: dict[str, Any]) -> list[str]:
    shared = [f"dataset_path: {entry.dataset}", f"num_fewshot: {entry.few_shot}"]
    if entry.kind == "instruction_following":
        checker = "english_instructions" if language == "en" else "instructions"
        results = f"process_results: !function metrics.{checker}"
        return [f"task: {entry.task}", "include: _instructions.yaml", *shared, results]
    prompt = prompts[entry.kind or ""]
    if entry.kind == "reading_comprehension":
        text = "\n".join(_jinja(prompt[x]) for x in ("context", "question")) + f"\n{prompt['answer']}"
        return [
            f"task: {entry.task}",
            "include: _reading.yaml",
            f"description: {_quoted(prompt['instruction'] + chr(10) * 2)}",
            f"doc_to_text: {_quoted(text)}",
            *shared,
        ]
    return [*_classification(entry, "label", "_classification.yaml", prompt, prompts["or"]), *shared]


def _classification(entry: TaskEntry, column: str, include: str, prompt: Mapping[str, Any], last: str) -> list[str]:
    """Lines of a task that asks for one of the values of a column, by the words the prompt has for them, if any.

    ``last``: the word before the last of them (``a, b or c``).
    """
    values = [str(x) for x in entry.labels[column]]
    words = [prompt["labels"][x] if "labels" in prompt else x for x in values]
    listed = f"{', '.join(words[:-1])} {last} {words[-1]}"
    return [
        f"task: {entry.task}",
        f"include: {include}",
        f"description: {_quoted(prompt['instruction'].replace('{labels}', listed) + chr(10) * 2)}",
        f"doc_to_text: {_quoted(_jinja(prompt['text']) + chr(10) + prompt['answer'])}",
        f"doc_to_choice: {_quoted(words)}",
        f"doc_to_target: {_quoted('{{' + str(values) + f'.index({column})' + '}}')}",
    ]


def _jinja(template: str) -> str:
    """Our ``{column}`` as lm-eval's ``{{column}}``."""
    return re.sub(r"\{(\w+)\}", r"{{\1}}", template)


def _quoted(value: Any) -> str:
    """A value as one line of YAML: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    """Writes all files, and removes those of data sets that are no longer in a table."""
    for suite in ("euroeval", "sib200"):
        folder, files = _HERE / suite / "yaml", generate(suite)
        for old in folder.glob("[!_]*.yaml"):
            if old.name not in files:
                old.unlink()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
