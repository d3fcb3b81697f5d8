"""lm-eval YAML from prompt texts: how a question and its labels are written down in a language."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any


def either(labels: Sequence[str], last: str) -> str:
    """Labels as a list in words: ``a, b or c``."""
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} {last} {labels[-1]}"


def jinja(template: str) -> str:
    """Our ``{column}`` as lm-eval's ``{{column}}``."""
    return re.sub(r"\{(\w+)\}", r"{{\1}}", template)


def quoted(value: Any) -> str:
    """A value as one line of YAML: JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def classification(task: str, include: str, prompt: dict[str, Any], labels: dict[str, str], last: str) -> list[str]:
    """Lines of a task that asks for one of some labels. ``labels``: value of the data set -> word of the language."""
    words = list(labels.values())
    instruction = prompt["instruction"].replace("{labels}", either(words, last))
    return [
        f"task: {task}",
        f"include: {include}",
        f"description: {quoted(instruction + chr(10) * 2)}",
        f"doc_to_text: {quoted(jinja(prompt['text']) + chr(10) + prompt['answer'])}",
        f"doc_to_choice: {quoted(words)}",
    ]
