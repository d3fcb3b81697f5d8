"""Reasoning that a model thinks aloud before it answers is no part of the answer."""

from __future__ import annotations

import re

_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_BLOCK = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)


def strip_reasoning(text: str, everywhere: bool = False) -> str:
    """The text without the ``<think>...</think>`` it begins with; a block that was cut off goes on to the end.

    Some chat templates put the opening tag into the prompt: then all up to the first closing tag is reasoning.
    Further on, such tags are left alone, for an answer may be about them; unless they are to go ``everywhere``.
    """
    rest = text
    while _OPEN.match(rest.lstrip()):
        rest = _BLOCK.sub("", rest, count=1)
    close, opened = _CLOSE.search(rest), _OPEN.search(rest)
    if close and not (opened and opened.start() < close.start()):
        rest = rest[close.end() :]
    if everywhere:
        rest = _BLOCK.sub("", rest)
    return text if rest == text else rest.strip()
