"""What a backend is: something that answers requests for the systems that share one base model.

A backend is made once per base model (``Backend(spec)``) and gives an ``Engine`` per system, so that a base and
its adapters load the base's weights once. Engines take all requests of a cell together with those that are
already answered: batches are planned from all of them, so a resumed cell is computed in the same batches, and
gives the same numbers, as one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..config.server_config import SystemServer
from .records import GenerationRequest, LikelihoodRequest, Response

Chunk = list[tuple[int, Response]]
"""Answers as they become known: (position of the request, response)."""

Message = dict[str, str]
"""``{"role": "user" | "assistant" | "system", "content": text}``"""


@dataclass(frozen=True)
class ModelSpec:
    """A base model: ``path`` is a local folder, a hub id, or a server's name for it.

    ``batch_tokens`` bounds the tokens of one batch. ``adapters`` are those that will be asked for: some engines must
    know before they load the base. ``options`` go to the engine's library as they are. ``server`` is where the model is
    served, ``ledger`` the file that says what its calls cost.
    """

    path: str
    revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    batch_tokens: int = 8192
    adapters: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    server: SystemServer | None = None
    ledger: Path | None = None


class Engine(Protocol):
    """One system, ready to answer."""

    @property
    def max_length(self) -> int:
        """Tokens of prompt and answer that the model can see at once."""
        ...

    @property
    def tokenizer_name(self) -> str: ...

    def chat(self, messages: Sequence[Message], continue_final: bool = False) -> str:
        """Messages as a prompt for ``generate``: a ``RenderedChat``, by the model's chat template, which is encoded as
        it is, while other prompts are plain text; or, where a server applies its own template, the conversation itself
        as JSON. ``continue_final``: the last message is an answer to go on with.

        Raises ModelError if the model has no template, or it fails.
        """
        ...

    def loglikelihoods(self, requests: Sequence[LikelihoodRequest], done: frozenset[int]) -> Iterator[Chunk]:
        """Log-likelihood of each continuation after its context; positions in ``done`` may be left out.

        Raises ModelError if the engine has none to give.
        """
        ...

    def generate(self, requests: Sequence[GenerationRequest], done: frozenset[int]) -> Iterator[Chunk]:
        """A continuation of each prompt; several requests with one prompt and different seeds are its samples.

        An answer depends on its own request alone, as far as the engine keeps to seeds. A request that can't be
        answered, ever, has a response without text, whose ``finish_reason`` says why.
        """
        ...


class Backend(Protocol):
    """A loaded base model."""

    def __init__(self, spec: ModelSpec, log: Callable[[str], None]) -> None: ...

    def engine(self, adapter: Path | None) -> Engine:
        """The system of this base and a LoRA adapter (None: the base itself)."""
        ...

    def close(self) -> None:
        """Frees the model's memory."""
        ...


class RewardModel(Protocol):
    """A scalar reward for answers: higher is better, the raw logit."""

    def rewards(self, conversations: Sequence[Sequence[Message]]) -> list[float | None]:
        """The reward of the last message of each conversation; None for one longer than the model can see at once.

        A reward that is not a finite number is given as it is. Raises ModelError if the model can't be used.
        """
        ...

    def close(self) -> None:
        """Frees the model's memory."""
        ...
