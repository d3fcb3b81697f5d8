"""Prompt and reward of a scored row without decoding its answer, which is most of the row and most of the time.

Rows of one prompt begin with the same bytes, up to where the answer's text begins. What comes after the same bytes is
in the same place of the same structure, so a row that begins like one that was parsed holds an answer to the same
prompt. The rest of the row is checked against the form that JSON writers give it; anything else is for the parser.
"""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

_MARKERS = (b'"}, {"role": "assistant", "content": "', b'"},{"role":"assistant","content":"')
_NUMBER = rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_OTHER = rb', ?"(?!reward_score"|messages")[^"\\\x00-\x1f]*": ?(?:"[^"\\\x00-\x1f]*"|%s|true|false|null)' % _NUMBER
_REST = re.compile(rb'"\}\](?:%s)*, ?"reward_score": ?(%s)(?:%s)*\}\s*\Z' % (_OTHER, _NUMBER, _OTHER))
"""What follows the answer's text: the end of the messages and flat fields, among them the reward."""
_PRINTED = frozenset({*range(0x21, 0x7F), *range(0xC3, 0xF5)} - {*b'"\\', 0xE1, 0xE2, 0xE3})
"""Bytes in UTF-8 with which no space, no escape and no end of a text begins."""
_MOST_HEADS = 100_000
_BACKSLASH, _QUOTE = 0x5C, b'"'


class QuickRows:
    """What rows began with that were parsed, and which source prompt (line of the prompt files) that means."""

    def __init__(self) -> None:
        self._marker = _MARKERS[0]
        self._heads: dict[bytes, int] = {}
        self._head = b"\n"

    def learn(self, data: bytes, row: Any, line: int) -> None:
        """Remembers how a row began that was parsed and can be used."""
        if not self._heads:
            self._marker = next((x for x in _MARKERS if x in data), _MARKERS[0])
        start = self._answer_begins(data)
        if start > len(data) or data[:start] in self._heads or len(self._heads) >= _MOST_HEADS:
            return
        try:
            user, assistant = row["messages"]
            text = orjson.loads(_QUOTE + data[start : _answer_ends(data, start)] + _QUOTE)
            is_it = (user["role"], assistant["role"], assistant["content"]) == ("user", "assistant", text)
        except (ValueError, TypeError, KeyError):
            return
        if is_it:
            self._heads[data[:start]] = line

    def read(self, data: bytes) -> tuple[int, float] | None:
        """(source prompt, finite reward) of a row with an answer; None for one that must be parsed."""
        if not data.startswith(self._head):  # rows of one prompt often follow each other
            head = data[: self._answer_begins(data)]
            if head not in self._heads:
                return None
            self._head = head
        start = len(self._head)
        if start >= len(data) or data[start] not in _PRINTED:
            return None
        rest = _REST.match(data, _answer_ends(data, start))
        if rest is None:
            return None
        reward = float(rest[1])
        return (self._heads[self._head], reward) if math.isfinite(reward) else None

    def _answer_begins(self, data: bytes) -> int:
        """Where the answer's text begins, past the end where it can't be told. The marker's quotes are bare, so it
        can't be part of a text."""
        place = data.find(self._marker)
        return place + len(self._marker) if place >= 0 else len(data) + 1


def _answer_ends(data: bytes, start: int) -> int:
    """Where the quote is that ends the text which begins at ``start``; the end of the row if there is none."""
    end = data.find(_QUOTE, start)
    while end > start and data[end - 1] == _BACKSLASH:
        first = end - 1
        while first > start and data[first - 1] == _BACKSLASH:
            first -= 1
        if (end - first) % 2 == 0:
            break
        end = data.find(_QUOTE, end + 1)
    return end if end >= 0 else len(data)
