"""A causal model that says a given text, whatever it is asked."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast


class ScriptedModel(LlamaForCausalLM):
    """Gives the tokens of ``script`` after a prompt of ``width`` tokens, two or more, and then ends the turn."""

    def __init__(self, tokenizer: Any, script: list[int], width: int) -> None:
        size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
        super().__init__(LlamaConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **size))
        self._script, self._width, self._end = script, width, tokenizer.eos_token_id
        self.steps = self._place = 0
        self.eval()

    def forward(self, input_ids: Any = None, **more: Any) -> Any:
        """All weight on the next token of the script."""
        self.steps += 1
        read = input_ids.shape[1]
        self._place = self._place + 1 if read == 1 else read - self._width
        token = self._script[self._place] if self._place < len(self._script) else self._end
        logits = torch.full((*input_ids.shape, self.config.vocab_size), -100.0)
        logits[..., token] = 100.0
        return CausalLMOutputWithPast(logits=logits, past_key_values=more.get("past_key_values"))
