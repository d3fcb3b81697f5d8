"""Writes the lm-eval YAML files of ``sib200`` from its table of languages and its prompts.

``python -m croco_eval.tasks.published.sib200.generate``; a test checks that the files are those it would write.
"""

from __future__ import annotations

from pathlib import Path

from ....harness.config.strict import read_yaml
from ..prompt_yaml import classification, quoted
from ..suite import SuiteSpec

_HERE = Path(__file__).parent
_HEADER = "# Written by generate.py from datasets.yaml and prompts/; change those."


def generate() -> dict[str, str]:
    """File name -> content, for every language."""
    spec = SuiteSpec(**read_yaml(_HERE / "datasets.yaml"))
    files = {}
    for language in spec.languages:
        prompt = read_yaml(_HERE / "prompts" / f"{language}.yaml")
        for entry in spec.entries(language):
            categories = list(entry.labels["category"])
            words = {x: prompt["labels"][x] for x in categories}
            lines = [
                _HEADER,
                *classification(entry.task, "_topic.yaml", prompt, words, prompt["or"]),
                f"doc_to_target: {quoted('{{' + str(categories) + '.index(category)}}')}",
                f"dataset_path: {entry.dataset}",
                f"dataset_name: {entry.config}",
            ]
            files[f"{entry.task}.yaml"] = "\n".join([*lines, ""])
    return files


def main() -> None:
    """Writes all files."""
    for name, text in generate().items():
        (_HERE / "yaml" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
