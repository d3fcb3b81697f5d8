"""Reading a judge's reply: a verdict, or the reason why there is none. Nothing is guessed.

What the judge quotes is not its verdict: in the texts it was shown verdict tags are broken by a backslash, tags in
quotation marks are passed over, and so is JSON that stands word for word in an answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...harness.calls.messages import ChatReply, Token
from ...harness.text.answers import strip_reasoning
from .options import LlmOptions

Winner = Literal["A", "B", "tie"]

CUT_OFF = "reply cut off"
REFUSED = "judge refused"
EMPTY = "empty reply"
NO_VERDICT = "no readable verdict"
CONTRADICTION = "contradicting verdicts"
TIE_NOT_ALLOWED = "a tie, which was not allowed"
NO_LOGPROBS = "no log-probabilities of the verdict"

_JSON_WINNERS: dict[str, Winner] = {"a": "A", "b": "B", "tie": "tie"}
_WINNERS: dict[str, Winner] = {**_JSON_WINNERS, "c": "tie"}
_MOST_OBJECTS = 500  # a reply with more has lost its way
_TAG = re.compile(r"\[\[\s*(A|B|C|tie)\s*\]\]", re.IGNORECASE)
_LONGEST_VERDICT_LINE = 120
_MARKUP = r"[\s*_#`\"'“”„«»‘’.:!()>-]*"
_VERDICT_LINE = re.compile(rf"{_MARKUP}(?:[^\[\]:\n]{{1,40}}:{_MARKUP})?{_TAG.pattern}{_MARKUP}", re.IGNORECASE)
_QUOTED = re.compile(r"`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|»[^«\n]*«|‘[^’\n]*’")
_JSON_VERDICT = re.compile(r"\"verdict\"\s*:\s*\"\s*(A|B|tie)", re.IGNORECASE)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """``winner``, or why it is ``unscored``. ``preference_a`` in [0, 1] for Answer A, if log-probabilities tell it."""

    winner: Winner | None
    unscored: str | None = None
    preference_a: float | None = None


def verdict_schema(ties: bool) -> dict[str, Any]:
    """The JSON schema of a reply: reasoning first, so that the verdict follows from it."""
    return {
        "type": "object",
        "properties": {
            "reasoning": {"type": "string"},
            "verdict": {"type": "string", "enum": ["A", "B", "tie"] if ties else ["A", "B"]},
        },
        "required": ["reasoning", "verdict"],
        "additionalProperties": False,
    }


def read_verdict(reply: ChatReply, options: LlmOptions, answers: Sequence[str] = ()) -> Reading:
    """What a judge decided; ``answers`` are the texts it was shown."""
    if reply.refusal or reply.finish_reason == "content_filter":
        return Reading(None, REFUSED)
    if reply.finish_reason == "length":
        return Reading(None, CUT_OFF)
    text = strip_reasoning(reply.text, everywhere=True).strip()
    if not text:
        return Reading(None, EMPTY)
    said = _json_verdicts(text, answers) if options.verdict == "json" else _tag_verdicts(text)
    if not said:
        return Reading(None, NO_VERDICT)
    if len(set(said)) > 1:
        return Reading(None, CONTRADICTION)
    winner = said[-1]
    if winner == "tie" and not options.ties:
        return Reading(None, TIE_NOT_ALLOWED)
    if not options.logprobs:
        return Reading(winner)
    preference = _graded(reply.tail, winner, options)
    return Reading(None, NO_LOGPROBS) if preference is None else Reading(winner, None, preference)


def _tag_verdicts(text: str) -> list[Winner]:
    """Verdicts by tag: those alone on a line and what follows them; else those of the last line that has any."""
    alone: dict[int, Winner] = {}
    inline: dict[int, list[Winner]] = {}
    for i, line in enumerate(text.splitlines()):
        if line.lstrip().startswith(">"):
            continue
        if len(line) <= _LONGEST_VERDICT_LINE and (x := _VERDICT_LINE.fullmatch(line.strip())):
            alone[i] = _WINNERS[x[1].lower()]
        elif found := _inline_tags(line):
            inline[i] = found
    if alone:
        last = max(alone)
        return [*(x for i, found in inline.items() if i > last for x in found), *alone.values()]
    return inline[max(inline)] if inline else []


def _inline_tags(line: str) -> list[Winner]:
    return [_WINNERS[x[1].lower()] for x in _TAG.finditer(_QUOTED.sub("", line))]


def _json_verdicts(text: str, answers: Sequence[str]) -> list[Winner]:
    """The verdict of a reply that is one JSON object, else those of all objects in it that no answer holds."""
    fenced = _FENCE.fullmatch(text)
    whole = list(_objects(fenced[1] if fenced else text))
    if len(whole) == 1 and whole[0][1] == (fenced[1] if fenced else text):
        return whole[0][0]
    return [x for verdicts, source in whole if not any(source in answer for answer in answers) for x in verdicts]


def _objects(text: str) -> Iterator[tuple[list[Winner], str]]:
    """(verdicts, source) of every JSON object in the text, from left to right, that has a verdict."""
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs, strict=False)
    last = text.rfind('"verdict"')
    at = text.find("{")
    for _ in range(_MOST_OBJECTS):
        if not 0 <= at < last:
            return
        try:
            pairs, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        words = [v.strip().lower() for k, v in pairs if k == "verdict" and isinstance(v, str)]
        if words and all(x in _JSON_WINNERS for x in words):
            yield [_JSON_WINNERS[x] for x in words], text[at:end]
        at = text.find("{", end)


def _graded(tail: Sequence[Token], winner: Winner, options: LlmOptions) -> float | None:
    """How far Answer A is preferred: its share of the probability of all verdicts where the verdict stands."""
    text = "".join(x.text for x in tail)
    pattern = _JSON_VERDICT if options.verdict == "json" else _TAG
    found = [x for x in pattern.finditer(text) if _WINNERS[x[1].lower()] == winner]
    if not found:
        return None
    place = found[-1].start(1)
    for token in tail:
        if place < len(token.text):
            break
        place -= len(token.text)
    else:
        return None
    share = dict.fromkeys(("A", "B", "tie"), 0.0)
    for alternative, logprob in token.alternatives:
        if (who := _spelled(alternative, options.verdict)) is not None:
            share[who] += math.exp(logprob)
    tie = share["tie"] if options.ties else 0.0
    total = share["A"] + share["B"] + tie
    return (share["A"] + tie / 2) / total if total > 0 else None


def _spelled(token: str, verdict: str) -> Winner | None:
    """The verdict that a token spells or begins to spell."""
    letters = re.match(r"[^\w]*([^\W\d_]+)", token)
    if letters is None:
        return None
    word = letters[1].lower()
    if word in ("a", "b"):
        return _WINNERS[word]
    if word == "c":
        return "tie" if verdict == "tag" else None
    return "tie" if "tie".startswith(word) else None
