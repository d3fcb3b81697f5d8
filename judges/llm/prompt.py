"""The words of a judge prompt, as they stand in ``judges/prompts/LANG.yaml``."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...harness.errors import JudgeError
from ...harness.store.fingerprint import digest
from .. import prompts

_PLACEHOLDER = re.compile(r"\{(language_name|mark|n)\}")


class Prompt(BaseModel):
    """One language's words. The file for English says what each key is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str
    system: str = Field(pattern=r"\{mark\}")
    question: str
    answer_a: str
    answer_b: str
    criteria_heading: str
    default_criteria: list[str] = Field(min_length=1)
    rubric_heading: str
    verdict_json: str
    verdict_json_no_tie: str
    verdict_tag: str
    verdict_tag_no_tie: str
    truncated: str = Field(pattern=r"\{n\}")
    empty: str
    reminder: str

    @property
    def digest(self) -> str:
        """Identifies the words."""
        return digest(self.model_dump())


@cache
def load_prompt(language: str) -> Prompt:
    """The prompt in a language. Raises JudgeError if there is none or its file is not in order."""
    file = files(prompts) / f"{language}.yaml"
    try:
        words = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        prompt = Prompt.model_validate(words)
    except FileNotFoundError:
        raise JudgeError(
            f"there is no judge prompt in {language!r}; set prompt_language: english to instruct the judge in English."
        ) from None
    except (yaml.YAMLError, ValidationError) as error:
        raise JudgeError(f"judge prompt {language}.yaml is not in order: {error}") from None
    if prompt.language != language:
        raise JudgeError(f"judge prompt {language}.yaml says that it is in {prompt.language!r}.")
    return prompt


def fill(words: str, **values: str) -> str:
    """Words with their placeholders filled, in one pass: what is filled in is not looked at again."""
    return _PLACEHOLDER.sub(lambda x: values.get(x[1], x[0]), words)
