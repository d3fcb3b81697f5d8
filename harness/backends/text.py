"""What fits a model's window, in which batches, and what an answer's tokens say: the same for every backend that has
the model's tokenizer. How text is encoded is in ``harness.text.encoding``."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..api.backend import Message
from ..errors import ModelError
from ..text.answers import visible_from
from ..text.encoding import RenderedChat, encode, encode_content, encode_joined, kept_tokens, render

Ids = tuple[int, ...]


class Fitted(NamedTuple):
    """Token ids of a context and its continuation that fit the window, and how many were cut off to make them fit."""

    context: Ids
    continuation: Ids
    n_cut: int


class Read(NamedTuple):
    """What generated tokens say: the text up to a stop string, the tokens up to its end, and whether there was one."""

    text: str
    n_tokens: int
    stopped: bool


def render_chat(tokenizer: Any, messages: Sequence[Message], continue_final: bool, model: str) -> RenderedChat:
    """Messages by the model's chat template. Raises ModelError if it has none or the template fails."""
    if not tokenizer.chat_template:
        raise ModelError(f"model {model!r} has no chat template; set chat_template: false for its systems.")
    try:
        return render(tokenizer, messages, go_on=continue_final)
    except Exception as error:  # the template is the model's own code
        raise ModelError(f"the chat template of {model!r} failed: {error}") from error


def room_for_prompt(max_new_tokens: int, max_length: int) -> int:
    """Tokens that a prompt may have. Raises ModelError if ``max_new_tokens`` alone fills the model's window."""
    room = max_length - max_new_tokens
    if room < 1:
        raise ModelError(
            f"max_new_tokens={max_new_tokens} does not fit the model's window of {max_length} tokens; lower it."
        )
    return room


def cut_to(tokenizer: Any, text: str, ids: list[int], room: int) -> tuple[list[int], int]:
    """The ids of a text that is too long without their middle, and how many those were.

    What stays is the beginning of the sequence, the system message and the header of the first other message; and of
    all that follows, the end. A beginning that takes more than half of the room stays as far as it is the sequence's
    own (BOS).
    """
    if len(ids) <= room:
        return ids, 0
    first, begins = kept_tokens(tokenizer, text, ids)
    kept = begins if begins <= room // 2 else min(first, room // 2)
    return ids[:kept] + ids[len(ids) - (room - kept) :], len(ids) - room


def token_batches(lengths: Mapping[int, int], batch_tokens: int) -> list[list[int]]:
    """Positions of texts in batches of at most ``batch_tokens`` tokens with their padding, longest first; a text that
    is longer than that has a batch of its own. ``lengths``: position -> tokens."""
    batches: list[list[int]] = []
    for position in sorted(lengths, key=lambda x: (-lengths[x], x)):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(position)
        else:
            batches.append([position])
    return batches


def encode_pairs(tokenizer: Any, pairs: Sequence[tuple[str, str]], max_length: int) -> Iterator[tuple[Ids, Ids]]:
    """Contexts and continuations as ``fit_pairs`` gives them."""
    for x in fit_pairs(tokenizer, pairs, max_length):
        yield x.context, x.continuation


def fit_pairs(tokenizer: Any, pairs: Sequence[tuple[str, str]], max_length: int) -> Iterator[Fitted]:
    """Token ids of contexts and continuations, split as lm-eval splits them: spaces at a context's end go to the
    continuation, and the two are encoded together. Too long a context is cut as ``cut_to`` cuts."""
    texts: dict[str, list[int]] = {}

    def ids_of(text: str) -> list[int]:
        if text not in texts:
            texts[text] = encode(tokenizer, text)
        return texts[text]

    for context, continuation in pairs:
        rendered = isinstance(context, RenderedChat)
        kept = RenderedChat(context.rstrip()) if rendered else context.rstrip()
        if kept == "":
            head, tail = [_prefix(tokenizer)], encode_content(tokenizer, context + continuation)
        else:
            head = ids_of(kept)
            whole = encode_joined(tokenizer, context, continuation)
            head, tail = whole[: len(head)], whole[len(head) :]
        head, n_cut = cut_to(tokenizer, kept, head, max(1, max_length + 1 - len(tail)))
        yield Fitted(tuple(head), tuple(tail[-max_length:]), n_cut + max(0, len(tail) - max_length))


def read_answer(tokenizer: Any, ids: Sequence[int], stop: Sequence[str], begun: bool) -> Read:
    """The answer in generated tokens, up to the first stop string in what a reader sees of it.

    Stop strings are looked for in the text as the model wrote it, special tokens included, after its reasoning
    (``begun``: the prompt has opened it). The text has no special tokens.
    """
    place = stop_place(tokenizer, ids, stop, begun)
    if place is None:
        return Read(tokenizer.decode(list(ids), skip_special_tokens=True), len(ids), False)
    begins, ends = place
    before, said = _tokens_within(tokenizer, ids, begins)
    text = tokenizer.decode(list(ids[:before]), skip_special_tokens=True)
    if before < len(ids) and ids[before] not in tokenizer.all_special_ids:
        text += said
    return Read(text, min(len(ids), _tokens_within(tokenizer, ids, ends - 1)[0] + 1), True)


def stop_place(tokenizer: Any, ids: Sequence[int], stop: Sequence[str], begun: bool) -> tuple[int, int] | None:
    """Where the first stop string begins and ends in the text of generated tokens, special tokens included; None if
    there is none after the reasoning."""
    if not stop:
        return None
    return find_stop(tokenizer.decode(list(ids), skip_special_tokens=False), stop, begun)


def find_stop(text: str, stop: Sequence[str], begun: bool = False) -> tuple[int, int] | None:
    """Where the first stop string begins and ends in an answer; None if there is none after the reasoning."""
    visible = visible_from(text, begun)
    if visible is None:
        return None
    found = [(at, at + len(x)) for x in stop if x and (at := text.find(x, visible)) >= 0]
    return min(found, default=None)


def _tokens_within(tokenizer: Any, ids: Sequence[int], place: int) -> tuple[int, str]:
    """How many whole tokens stand before a place in the text of ``ids``, and the text between them and that place."""

    def text_of(n: int) -> str:
        return tokenizer.decode(list(ids[:n]), skip_special_tokens=False)

    whole = text_of(len(ids))
    n = bisect_right(range(len(ids) + 1), place, key=lambda x: len(text_of(x))) - 1
    while n > 0 and not whole.startswith(text_of(n)):  # a character that goes on in the next token
        n -= 1
    return n, whole[len(text_of(n)) : place]


def _prefix(tokenizer: Any) -> int:
    """What stands before a continuation that has no context, as in lm-eval. Raises ModelError if there is nothing."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise ModelError(f"the tokenizer of {tokenizer.name_or_path!r} has no token that a text could begin with.")
