"""What the sample stage records of an answer."""

from __future__ import annotations

import pytest
from croco_eval.harness.api.records import Response
from croco_eval.training.records import Prompt
from croco_eval.training.stages.sample import _candidates

ENGLISH = "The user wants to know about Denmark, so I should describe the country and its capital in some detail."
DANISH = "Danmark er et land i det nordlige Europa, og hovedstaden hedder København."


@pytest.mark.parametrize("tag", ["think", "thinking"])
def test_the_language_of_an_answer_is_that_of_what_a_reader_sees(tag: str):
    prompts = [Prompt("s/da", "s", "da", "Fortæl om Danmark.", gold=DANISH)]
    texts = [DANISH, f"<{tag}>{ENGLISH}</{tag}>\n{DANISH}", f"<{tag}>{DANISH}</{tag}>\n{ENGLISH}", f"<{tag}>{ENGLISH}"]
    rows = _candidates(prompts, [Response(x, "stop") for x in texts], len(texts), "base")
    assert [x.in_language for x in rows] == [True, True, False, None, True]
    assert [x.answer for x in rows[:-1]] == texts, "what was written is kept as it is"
