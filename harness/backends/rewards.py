"""What the reward models of all backends share: the check of the model, and the tokens of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..api.backend import Message, ModelSpec
from ..errors import ModelError, first_line
from ..text.encoding import encode, render


def check_reward_model(spec: ModelSpec) -> None:
    """Raises ModelError unless the model's config says that it is a sequence classifier with one logit.

    Reads the config alone, no weights.
    """
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(spec.path, revision=spec.revision)
    except Exception as error:  # transformers raises many kinds; each means that this model can't be had
        raise ModelError(f"reward model {spec.path!r} can't be loaded: {first_line(error)}.") from error
    if config.num_labels != 1:
        raise ModelError(
            f"model {spec.path!r} gives {config.num_labels} logits; "
            "a reward model is a sequence classifier that gives exactly one (num_labels: 1)."
        )


def encode_conversations(
    tokenizer: Any, conversations: Sequence[Sequence[Message]], window: int, model: str
) -> list[list[int] | None]:
    """Token ids of each conversation by the model's chat template; None where they are more than ``window``. What
    stands in a message is never a special token.

    Nothing is cut: without its beginning or its end a conversation has another reward. Raises ModelError without a
    template, and when it fails.
    """
    if not tokenizer.chat_template:
        raise ModelError(f"reward model {model!r} has no chat template, so it can't be shown a prompt and an answer.")
    encoded: list[list[int] | None] = []
    for conversation in conversations:
        try:
            text = render(tokenizer, conversation, ask=False)
        except Exception as error:  # the template is the model's own code
            begins = conversation[0]["content"][:60]
            raise ModelError(
                f"the chat template of reward model {model!r} failed: {first_line(error)} "
                f"(in the conversation that begins {begins!r})."
            ) from error
        ids = encode(tokenizer, text)
        encoded.append(ids if len(ids) <= window else None)
    return encoded
