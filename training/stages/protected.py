"""Parts of a text that a translation must hold as they are: code, addresses, placeholders, tags."""

from __future__ import annotations

import re
from collections import Counter

KINDS = {
    "block": "code block",
    "code": "inline code",
    "url": "URL",
    "variable": "placeholder",
    "tag": "tag",
}

_PROTECTED = re.compile(
    r"""
    (?P<block> (?P<fence>`{3,}|~{3,}) .*? (?:(?P=fence)|\Z) )
    | (?P<code> (?P<tick>``?) (?!`) [^\n]+? (?<!`) (?P=tick) (?!`) )
    | (?P<url> (?:https?|ftp)://[^\s<>"`]+ | www\.[^\s<>"`]+ )
    | (?P<variable>
        \{\{ [^{}\n]* \}\} | \$\{ [^{}\n]* \}             # {{name}}, ${name}
        | \{ (?: [A-Za-z_]\w* (?:[.:!\[] [^{}\n]*)? | \d* ) \}   # {name}, {name:.2f}, {0}, {}
        | % (?: \(\w+\) )? [-+#0]*+ \d*+ (?:\.\d+)? [sdifgxX] \b   # %s, %(name)s, %.2f
      )
    | (?P<tag>
        </? [A-Za-z][\w:.-]* (?: \s+ [\w:.-]+ \s*=\s* (?: "[^"]*" | '[^']*' | [^\s<>"'=]+ ) )* \s* /? >
      )
    """,
    re.VERBOSE | re.DOTALL,
)
_AFTER_URL = ".,;:!?'’*_…«»“”"
_OPENED = {")": "(", "]": "[", "}": "{"}


def protected_parts(text: str) -> Counter[tuple[str, str]]:
    """How often each protected part stands in a text, as (kind, part).

    Space at the ends of a code block's lines and punctuation after a URL are no part of it.
    """
    return Counter((kind, part) for kind, part, _ in _find(text))


def without_protected(text: str) -> str:
    """The text with a space in place of each protected part: what is written in a language."""
    rest, end = [], 0
    for _, _, (start, stop) in _find(text):
        rest.append(text[end:start])
        end = stop
    return " ".join([*rest, text[end:]])


def first_difference(source: str, translation: str) -> str | None:
    """Which protected part a translation has lost, altered or made up, in words; None if it holds each as often as
    the source."""
    before, after = protected_parts(source), protected_parts(translation)
    for kind, _ in before - after:
        return f"{KINDS[kind]} lost or altered"
    for kind, _ in after - before:
        return f"{KINDS[kind]} added"
    return None


def _find(text: str) -> list[tuple[str, str, tuple[int, int]]]:
    """Kind, part and place of each protected part, in order."""
    found = []
    for match in _PROTECTED.finditer(text):
        kind = next(x for x in KINDS if match[x] is not None)
        part, (start, stop) = match[0], match.span()
        if kind == "url":
            part = _bare(part)
            stop = start + len(part)
        elif kind == "block":
            part = "\n".join(x.rstrip() for x in part.splitlines())
        found.append((kind, part, (start, stop)))
    return found


def _bare(url: str) -> str:
    """A URL without what follows it in the sentence; brackets that were opened in it stay."""
    while url and (url[-1] in _AFTER_URL or (url[-1] in _OPENED and url.count(url[-1]) > url.count(_OPENED[url[-1]]))):
        url = url[:-1]
    return url
