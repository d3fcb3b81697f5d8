"""Judge prompts, one file per language: ``judges/prompts/LANG.yaml``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml
from pydantic import Field, ValidationError

from ...harness.config.strict import Strict, read_yaml
from ...harness.errors import JudgeError
from ...harness.store.fingerprint import digest
from .. import prompts


class Prompt(Strict):
    """One language's words. The file for English says what each key is for."""

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
        prompt = Prompt.model_validate(read_yaml(file))
    except FileNotFoundError:
        raise JudgeError(
            f"there is no judge prompt in {language!r}; set prompt_language: english to instruct the judge in English."
        ) from None
    except (yaml.YAMLError, ValidationError) as error:
        raise JudgeError(f"judge prompt {language}.yaml is not in order: {error}") from None
    if prompt.language != language:
        raise JudgeError(f"judge prompt {language}.yaml says that it is in {prompt.language!r}.")
    return prompt
