"""A tokenizer for TRL, which encodes conversations itself: chats and rendered texts go through
``harness.text.encoding``, so that a model is trained on the tokens that it is evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from ...harness.text.encoding import RenderedChat, codec_of, render


def careful(tokenizer: Any) -> Any:
    """The same tokenizer, in whose chats nothing that stands in a message is a special token.

    What it renders holds the marks of ``RenderedChat``, and a text that holds them is encoded as such. Saved and loaded
    it is the tokenizer it was.
    """
    if not hasattr(type(tokenizer), "uncareful"):
        tokenizer.__class__ = _careful_kind(type(tokenizer))
    return tokenizer


@cache
def _careful_kind(kind: type) -> type:
    """A subclass of a class of tokenizers, of the same name: the name is stored with a model."""

    def apply_chat_template(self: Any, conversation: Any, *args: Any, tokenize: bool = True, **more: Any) -> Any:
        if args or more.get("return_assistant_tokens_mask"):
            raise ValueError("this tokenizer gives no masks of assistants' tokens, and takes its settings by keyword.")
        several = not isinstance(conversation[0], Mapping)
        texts = [_rendered(self, x, more) for x in (conversation if several else [conversation])]
        if not tokenize:
            return texts if several else texts[0]
        how = {x: more[x] for x in ("padding", "max_length", "return_tensors") if x in more}
        encoded = self(texts if several else texts[0], add_special_tokens=False, **how)
        return encoded if more.get("return_dict", True) else encoded["input_ids"]

    def call(self: Any, text: str | Sequence[str], *args: Any, add_special_tokens: bool = True, **more: Any) -> Any:
        texts = [text] if isinstance(text, str) else list(text)
        codec = codec_of(self)
        front = codec.front if add_special_tokens else ()
        ids = [[*front, *codec.ids(x)] for x in texts]
        how = {x: more[x] for x in ("padding", "padding_side", "max_length", "return_tensors") if x in more}
        return self.pad({"input_ids": ids if not isinstance(text, str) else ids[0]}, **{"padding": False, **how})

    def reduce(self: Any, protocol: Any) -> Any:
        plain = object.__new__(kind)
        plain.__dict__.update(self.__dict__)
        return careful, (plain,)

    members = {"uncareful": kind, "apply_chat_template": apply_chat_template, "__call__": call, "__reduce_ex__": reduce}
    made = type(kind.__name__, (kind,), members)
    made.__module__, made.__qualname__ = kind.__module__, kind.__qualname__
    return made


def _rendered(tokenizer: Any, messages: Sequence[Mapping[str, Any]], more: Mapping[str, Any]) -> RenderedChat:
    """A conversation by the chat template, as the keywords of ``apply_chat_template`` say."""
    of_encoding = ("padding", "max_length", "return_tensors", "return_dict", "truncation", "tokenizer_kwargs")
    how = {k: v for k, v in more.items() if k not in of_encoding and v is not None}
    ask, go_on = how.pop("add_generation_prompt", False), how.pop("continue_final_message", False)
    return render(tokenizer, messages, ask=ask, go_on=go_on, **how)
