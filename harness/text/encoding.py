"""From conversations and texts to token ids: the one place where text is encoded.

A conversation that a chat template rendered is encoded as it is: a special token that the template wrote is one, and
nothing is added. Any other text gets what the tokenizer puts in front of a sequence, and nothing after it. What stands
in a message or a text is never a special token, however it is spelt.

Which special tokens are the template's own is known, not guessed: ``render`` marks them by noncharacters of Unicode,
which no text may hold (they are taken out of what comes in), and ``RenderedChat.readable`` is the text without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import ModelError
from .answers import is_reasoning_mark

OPEN, CLOSE, BEGINS, _CONTENT = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
"""Before and after a special token of the template; where the first message that is no system message begins; before
a message's text that reads as a special token."""

_MARKS = re.compile(f"[{OPEN}-{_CONTENT}]")
_OWN = re.compile(f"{OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")
_PROBES = ("a", "x", "0", "1")


class RenderedChat(str):
    """A conversation as a model's chat template wrote it, with the template's own special tokens marked."""

    __slots__ = ()

    @property
    def readable(self) -> str:
        """The text as the template wrote it."""
        return without_marks(self)

    def __add__(self, other: str) -> RenderedChat:
        """The chat, and text after it: what isn't rendered itself has no special tokens."""
        return RenderedChat(str.__add__(self, other if isinstance(other, RenderedChat) else without_marks(other)))


def readable(text: str) -> str:
    """A prompt as it is shown and stored."""
    return text.readable if isinstance(text, RenderedChat) else text


def without_marks(text: str) -> str:
    """The text without the noncharacters that mark what a template wrote."""
    return _MARKS.sub("", text)


def render(
    tokenizer: Any, messages: Sequence[Mapping[str, Any]], *, ask: bool = True, go_on: bool = False, **more: Any
) -> RenderedChat:
    """Messages by the tokenizer's chat template.

    ``ask``: the model is to answer; ``go_on``: it goes on with the last message. ``more`` is for the template. Raises
    whatever the template raises.
    """
    codec = codec_of(tokenizer)
    how = {**more, "tokenize": False, "add_generation_prompt": ask and not go_on, "continue_final_message": go_on}
    clean = [_in_texts(x, without_marks) for x in messages]
    plain = codec.template(clean, **how)
    marked = codec.template(_with_beginning(clean, codec), **how)
    if without_marks(marked) != plain:  # a template that looks at how a message begins
        marked = codec.template([_in_texts(x, codec.mark) for x in clean], **how)
    return codec.seal(marked)


def encode(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a rendered chat, or of a text with what the tokenizer puts in front of a sequence.

    Raises ModelError for a tokenizer that makes a special token of ordinary text whatever is done.
    """
    return codec_of(tokenizer).encode(text)


def encode_content(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text alone: nothing in front, no special tokens."""
    return codec_of(tokenizer).ids(without_marks(text))


def encode_joined(tokenizer: Any, context: str, continuation: str) -> list[int]:
    """Token ids of a context and what follows it, encoded as one text, so that tokens merge across the join."""
    if isinstance(context, RenderedChat):
        return encode(tokenizer, context + continuation)
    return encode(tokenizer, context + readable(continuation))


def kept_tokens(tokenizer: Any, text: str, ids: Sequence[int]) -> tuple[int, int]:
    """How many tokens of a text, encoded as ``ids``, must not be lost where it is too long: (the beginning of the
    sequence, that and all up to the text of the first message that is no system message)."""
    codec = codec_of(tokenizer)
    if not isinstance(text, RenderedChat):
        return len(codec.front), len(codec.front)
    first = int(bool(ids) and ids[0] == tokenizer.bos_token_id)
    before, found, _ = text.partition(BEGINS)
    return first, max(first, common_length(codec.ids(before), ids)) if found else first


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


_codecs: WeakKeyDictionary[Any, tuple[Any, Codec]] = WeakKeyDictionary()


def codec_of(tokenizer: Any) -> Codec:
    """The tokenizer's codec, made once for each state of its template and its vocabulary."""
    state = (tokenizer.chat_template, len(tokenizer))
    known = _codecs.get(tokenizer)
    if known is None or known[0] != state:
        known = _codecs[tokenizer] = state, Codec(tokenizer)
    return known[1]


class Codec:
    """How one tokenizer encodes.

    Special are the tokens that it calls so, and of its other added tokens those that its chat template writes, but for
    the marks of reasoning, which are part of an answer. A text in which nothing reads as one is encoded by the
    tokenizer as it stands. For others there is a copy of the tokenizer, in which special tokens go by a name that no
    text can hold (``OPEN``, the token, ``CLOSE``): it sees the template's own, and nothing else.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = _Reference(tokenizer)
        self._apply = getattr(type(tokenizer), "uncareful", type(tokenizer)).apply_chat_template
        special = _special_tokens(tokenizer, self._written())
        self._ids = {x: i for i, x in special.items()}
        longest_first = sorted(self._ids, key=lambda x: (-len(x), x))
        either = "|".join(map(re.escape, longest_first)) or "(?!)"
        self._special = re.compile(f"(?<![{_CONTENT}])(?:{either})")
        self._either = re.compile(either)
        self._anywhere = re.compile(f"(?={either})")
        self._beginnings = {x[:i] for x in longest_first for i in range(1, len(x))}
        self._ends = {x[i:] for x in longest_first for i in range(1, len(x))}
        self._telling = frozenset(special) - {tokenizer.unk_token_id}

    def template(self, messages: Sequence[Mapping[str, Any]], **how: Any) -> str:
        """What the chat template makes of messages, as text."""
        return self._apply(self._tokenizer.value, list(messages), **how)

    def mark(self, content: str) -> str:
        """A message's text with a mark before all that reads as a special token, and at its ends where a template's
        text could complete one."""
        text = self._anywhere.sub(_CONTENT, content)
        for length in range(1, min(len(content), self._longest) + 1):
            if content[-length:] in self._beginnings:
                at = _place_of(text, len(content) - length)
                text = text[:at] + _CONTENT + text[at:]
            if content[:length] in self._ends and not text.startswith(_CONTENT):
                text = _CONTENT + text
        return text

    def seal(self, marked: str) -> RenderedChat:
        """What a template made of marked messages, as a rendered chat."""
        return RenderedChat(self._special.sub(f"{OPEN}\\g<0>{CLOSE}", marked).replace(_CONTENT, ""))

    def encode(self, text: str) -> list[int]:
        """As the function ``encode``."""
        if isinstance(text, RenderedChat):
            return self.ids(text)
        clean, bos = without_marks(text), self._tokenizer.value.bos_token
        if self.front and bos and clean.startswith(bos) and self._ids.get(bos) in self.front:
            return self.ids(f"{OPEN}{bos}{CLOSE}{clean[len(bos) :]}")
        return [*self.front, *self.ids(clean)]

    def ids(self, sealed: str) -> list[int]:
        """Token ids of a text whose special tokens are marked, with nothing added. Raises ModelError."""
        sealed = sealed.replace(BEGINS, "")
        wanted = [self._ids.get(x) for x in _OWN.findall(sealed)]
        if not self._either.search(_OWN.sub(CLOSE, sealed)):
            ids = self._plain(without_marks(sealed))
            if self._holds_no_more_than(wanted, ids):
                return ids
        ids = self._carefully(sealed)
        if not self._holds_no_more_than(wanted, ids):
            name = self._tokenizer.value.name_or_path
            raise ModelError(f"the tokenizer of {name!r} makes special tokens of ordinary text, so it can't be used.")
        return ids

    @cached_property
    def front(self) -> tuple[int, ...]:
        """What the tokenizer puts in front of a sequence."""
        for probe in _PROBES:
            bare = self._plain(probe)
            full = self._tokenizer.value.encode(probe)
            for i in range(len(full) - len(bare) + 1 if bare else 0):
                if full[i : i + len(bare)] == bare:
                    return tuple(full[:i])
        return ()

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._beginnings), default=0)

    @cached_property
    def _copy(self) -> Any:
        """The copy in which special tokens have other names; None where the tokenizer can't be copied."""
        backend = getattr(self._tokenizer.value, "backend_tokenizer", None)
        return None if backend is None else _renamed(backend, self._ids)

    def _carefully(self, sealed: str) -> list[int]:
        if self._copy is not None:
            return self._copy.encode(sealed, add_special_tokens=False).ids
        ids: list[int] = []
        for i, piece in enumerate(_OWN.split(sealed)):
            if i % 2:
                ids.append(self._ids[piece])
            elif piece:
                ids += self._tokenizer.value.encode(piece, add_special_tokens=False, split_special_tokens=True)
        return ids

    def _plain(self, text: str) -> list[int]:
        return self._tokenizer.value.encode(text, add_special_tokens=False, verbose=False)

    def _holds_no_more_than(self, wanted: Iterable[int | None], ids: Iterable[int]) -> bool:
        """Whether the special tokens among ``ids`` are some of ``wanted``, in their order."""
        rest = iter(wanted)
        return all(x in rest for x in [x for x in ids if x in self._telling])

    def _written(self) -> str:
        """The chat template, and what it makes of a few messages."""
        tokenizer = self._tokenizer.value
        if not tokenizer.chat_template:
            return ""
        user, answer = {"role": "user", "content": "x"}, {"role": "assistant", "content": "x"}
        texts = [str(tokenizer.chat_template)]
        for messages in ([user], [user, answer], [{"role": "system", "content": "x"}, user]):
            try:
                texts.append(self.template(messages, tokenize=False, add_generation_prompt=len(messages) == 1))
            except Exception:  # the template is the model's own code; what it can't do is no matter here
                continue
        return "\n".join(texts)


class _Reference:
    """A tokenizer by a weak reference: its codec must not keep it."""

    def __init__(self, tokenizer: Any) -> None:
        from weakref import ref

        self._reference = ref(tokenizer)

    @property
    def value(self) -> Any:
        return self._reference()


def _special_tokens(tokenizer: Any, written: str) -> dict[int, str]:
    """Id -> text of the tokens that no message may hold."""
    named = set(tokenizer.all_special_tokens)
    return {
        i: x.content
        for i, x in tokenizer.added_tokens_decoder.items()
        if x.content
        and (
            x.special
            or x.content in named
            or (x.content in written and not x.content.isspace() and not is_reasoning_mark(x.content))
        )
    }


def _in_texts(value: Any, change: Any) -> Any:
    """A message, or a part of one, with its texts changed; what says the kind of something stays."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {k: x if k in ("role", "type") else _in_texts(x, change) for k, x in value.items()}
    return [_in_texts(x, change) for x in value] if isinstance(value, list | tuple) else value


def _with_beginning(messages: Sequence[Any], codec: Codec) -> list[Any]:
    """Marked messages; ``BEGINS`` stands where the text of the first one that is no system message begins."""
    marked = [_in_texts(x, codec.mark) for x in messages]
    for message in marked:
        text = message.get("content")
        if message.get("role") != "system":
            if isinstance(text, str) and text.strip():
                at = len(text) - len(text.lstrip())
                message["content"] = text[:at] + BEGINS + text[at:]
            break
    return marked


def _place_of(marked: str, place: int) -> int:
    """Where the character of this number, marks not counted, stands in a marked text, before its mark if it has one."""
    seen = 0
    for i, x in enumerate(marked):
        if x != _CONTENT:
            if seen == place:
                return i
            seen += 1
    return len(marked)


def _renamed(backend: Any, special: Mapping[str, int]) -> Any:
    """A copy of a tokenizer of the tokenizers library, without its post-processor, whose special tokens stand between
    ``OPEN`` and ``CLOSE``; None if they would have other ids in it."""
    from tokenizers import Tokenizer

    names = {x: f"{OPEN}{x}{CLOSE}" for x in special}
    spec = json.loads(backend.to_str())
    spec |= {"post_processor": None, "truncation": None, "padding": None}
    for token in spec["added_tokens"]:
        if name := names.get(token["content"]):
            lost = backend.normalizer is not None and OPEN not in backend.normalizer.normalize_str(name)
            token |= {"content": name, "normalized": token["normalized"] and not lost}
    model = spec["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = [[names.get(x, x), score] for x, score in model["vocab"]]
    else:
        model["vocab"] = {names.get(x, x): i for x, i in model["vocab"].items()}
    if "merges" in model:
        pairs = [x.split(" ") if isinstance(x, str) else x for x in model["merges"]]
        model["merges"] = [x for x in pairs if not {*x, "".join(x)} & names.keys()]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    copy = Tokenizer.from_str(json.dumps(spec))
    copy.encode_special_tokens = False
    return copy if all(copy.token_to_id(names[x]) == i for x, i in special.items()) else None
