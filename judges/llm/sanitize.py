"""Makes texts safe to show to a judge: nothing in them can act on the judge's input."""

from __future__ import annotations

import re

_FLAG = "\U0001f3f4[\U000e0061-\U000e007a]{2,6}\U000e007f"  # the flags of Wales, Scotland and England are spelled so
_HIDDEN = re.compile(
    f"(?P<flag>{_FLAG})"
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # direction, separators, no width
    "\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"  # annotations, tags, halves of characters
)
_SPECIAL_TOKEN = re.compile(
    r"<(?=[|｜][^<>\n]{1,60}[|｜]>)"  # <|im_end|> and its like
    r"|<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|think|thinking|tool_call|tool_response)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
    r"|<(?=</?SYS>>)",
    re.IGNORECASE,
)
_VERDICT_TAG = re.compile(r"\[\[(?=\s*(?:A|B|C|tie)\s*\]\])", re.IGNORECASE)


def shown_text(text: str, limit: int | None = None) -> tuple[str, bool]:
    """The text as it is put before a judge, and whether only its first ``limit`` characters are.

    Line ends are line feeds. Control, direction and invisible characters are written out (``\\u202e``). A backslash
    stands in chat templates' special tokens and in verdict tags, so that they are neither tokens nor verdicts.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    is_cut = limit is not None and len(text) > limit
    text = text[:limit] if is_cut else text
    text = _HIDDEN.sub(_written_out, text)
    text = _SPECIAL_TOKEN.sub(lambda x: f"{x[0]}\\", text)
    return _VERDICT_TAG.sub(r"[\\[", text), is_cut


def _written_out(match: re.Match[str]) -> str:
    if match["flag"]:
        return match[0]
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
