"""Writes the lm-eval YAML files of ``euroeval`` from its table of data sets and its prompts.

``python -m croco_eval.tasks.published.euroeval.generate``; a test checks that the files are those it would write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....harness.config.strict import read_yaml
from ..prompt_yaml import classification, jinja, quoted
from ..suite import SuiteSpec, TaskEntry

_HERE = Path(__file__).parent
_HEADER = "# Written by generate.py from datasets.yaml and prompts/; change those."


def generate() -> dict[str, str]:
    """File name -> content, for every data set."""
    spec = SuiteSpec(**read_yaml(_HERE / "datasets.yaml"))
    files = {}
    for language in spec.languages:
        prompts = read_yaml(_HERE / "prompts" / f"{language}.yaml")
        for entry in spec.entries(language):
            files[f"{entry.name}.yaml"] = "\n".join([_HEADER, *_task(entry, language, prompts), ""])
    return files


def _task(entry: TaskEntry, language: str, prompts: dict[str, Any]) -> list[str]:
    shared = [f"dataset_path: {entry.dataset}", f"num_fewshot: {entry.few_shot}"]
    kind = entry.kind or ""
    if kind == "instruction_following":
        checker = "english_instructions" if language == "en" else "instructions"
        results = f"process_results: !function metrics.{checker}"
        return [f"task: {entry.task}", "include: _instructions.yaml", *shared, results]
    prompt = prompts[kind]
    if kind == "reading_comprehension":
        text = "\n".join(jinja(prompt[x]) for x in ("context", "question")) + f"\n{prompt['answer']}"
        return [
            f"task: {entry.task}",
            "include: _reading.yaml",
            f"description: {quoted(prompt['instruction'] + chr(10) * 2)}",
            f"doc_to_text: {quoted(text)}",
            *shared,
        ]
    values = [str(x) for x in entry.labels["label"]]
    words = {x: prompt["labels"][x] if "labels" in prompt else x for x in values}
    target = f"doc_to_target: {quoted('{{' + str(values) + '.index(label)}}')}"
    return [*classification(entry.task, "_classification.yaml", prompt, words, prompts["or"]), target, *shared]


def main() -> None:
    """Writes all files, and removes those of data sets that are no longer in the table."""
    folder = _HERE / "yaml"
    files = generate()
    for old in folder.glob("[!_]*.yaml"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
