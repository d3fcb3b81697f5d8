"""Chat templates and tokenization, the same for every backend that has the model's tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..api.backend import Message
from ..errors import ModelError

Ids = tuple[int, ...]


def render_chat(tokenizer: Any, messages: Sequence[Message], continue_final: bool, model: str) -> str:
    """Messages by the model's chat template. Raises ModelError if it has none or the template fails."""
    if not tokenizer.chat_template:
        raise ModelError(f"model {model!r} has no chat template; set chat_template: false for its systems.")
    try:
        return tokenizer.apply_chat_template(
            list(messages),
            tokenize=False,
            add_generation_prompt=not continue_final,
            continue_final_message=continue_final,
        )
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


def encode_prompt(tokenizer: Any, text: str, room: int) -> list[int]:
    """Token ids of a prompt, which loses its beginning if it is longer than ``room``; a chat template's own beginning
    of the sequence is not doubled."""
    return _encode(tokenizer, text)[-room:]


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
    """Token ids of contexts and continuations, split as lm-eval splits them: spaces at a context's end go to the
    continuation, and the two are tokenized together. Too long a context loses its beginning."""
    texts: dict[str, list[int]] = {}

    def ids_of(text: str) -> list[int]:
        if text not in texts:
            texts[text] = _encode(tokenizer, text)
        return texts[text]

    for context, continuation in pairs:
        kept = context.rstrip()
        if kept == "":
            after = tuple(tokenizer.encode(context + continuation, add_special_tokens=False))
            prefix = tokenizer.bos_token_id
            prefix = tokenizer.eos_token_id if prefix is None else prefix
            head, tail = ((prefix,), after) if after[0] != prefix else (after[:1], after[1:])
        else:
            whole = ids_of(context + continuation)
            head_length = len(ids_of(kept))
            head, tail = tuple(whole[:head_length]), tuple(whole[head_length:])
        yield head[-max(1, max_length + 1 - len(tail)) :], tail[-max_length:]


def _encode(tokenizer: Any, text: str) -> list[int]:
    bos = tokenizer.bos_token
    has_bos = bos is not None and text.startswith(bos)
    return tokenizer.encode(text, add_special_tokens=not has_bos)
