"""How far a tuned model has moved from its reference: the divergence of next-token distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import TrainerCallback

from ...harness.backends.adapters import rule_of
from ...harness.errors import ModelError
from ...harness.text.encoding import common_length, encode, render

_BATCH = 8
_EVERY = 5


class Drift(TrainerCallback):
    """Adds ``kl`` to every entry of the log: KL(reference || policy) in nats per answer token, over the whole
    vocabulary, averaged over the tokens of a fixed set of the reference's own answers.

    On answers that the reference gave, this is an unbiased estimate of the mean token-level divergence; it is 0 before
    the first step. The reference is the model with its adapter off. Measured in every ``_EVERY``th entry and in the
    last one: it costs as much as a step.
    """

    def __init__(self, tokenizer: Any, answers: Sequence[tuple[str, str]]) -> None:
        self._pad = tokenizer.pad_token_id
        self._rows = [_encode(tokenizer, *x) for x in answers]
        self._known: dict[int, float] = {}

    def on_log(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Measures if it is time to, and once per step."""
        entry = state.log_history[-1]
        if "loss" not in entry or not hasattr(model, "disable_adapter"):
            return
        every = args.logging_steps
        last = state.global_step + every > state.max_steps
        if state.global_step % (_EVERY * every) and not last:
            return
        if state.global_step not in self._known:
            self._known[state.global_step] = self.measure(model)
        entry["kl"] = self._known[state.global_step]

    @torch.no_grad()
    def measure(self, model: Any) -> float:
        """The divergence of a PEFT model from its base, nats per token. Raises ModelError for an adapter that leaves a
        trace in the base when it is switched off."""
        for config in model.peft_config.values():
            _require_switchable(config.to_dict())
        was_training = model.training
        model.eval()
        total, tokens = 0.0, 0
        for start in range(0, len(self._rows), _BATCH):
            ids, mask, answers = self._batch(self._rows[start : start + _BATCH], model.device)
            tuned = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float().log_softmax(-1)
            with model.disable_adapter():
                base = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float().log_softmax(-1)
            divergence = (base.exp() * (base - tuned)).sum(-1)
            total += float(divergence[answers].sum())
            tokens += int(answers.sum())
        model.train(was_training)
        return total / max(tokens, 1)

    def _batch(self, rows: list[tuple[list[int], int]], device: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token ids, attention mask, and which of the predicted positions belong to an answer."""
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([x + [self._pad or 0] * (width - len(x)) for x, _ in rows], device=device)
        mask = torch.tensor([[1] * len(x) + [0] * (width - len(x)) for x, _ in rows], device=device)
        places = torch.arange(1, width, device=device)
        begins = torch.tensor([[begin] for _, begin in rows], device=device)
        return ids, mask, (places >= begins) & (mask[:, 1:] == 1)


def _require_switchable(settings: dict[str, Any]) -> None:
    handling, why = rule_of(settings)
    if handling != "shared":
        raise ModelError(f"the drift of a {settings['peft_type'].value} adapter can't be measured: {why}.")


def _encode(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], int]:
    """Tokens of a conversation and the place of the answer's first one."""
    asked = [{"role": "user", "content": prompt}]
    whole = encode(tokenizer, render(tokenizer, [*asked, {"role": "assistant", "content": answer}], ask=False))
    return whole, common_length(encode(tokenizer, render(tokenizer, asked)), whole)
