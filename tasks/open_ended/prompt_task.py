"""A task of open-ended prompts: the system answers each one, and judges compare the answers later."""

from __future__ import annotations

from typing import Any

from ...harness.api.answerer import Answerer
from ...harness.api.records import GenerationRequest, Item
from ...harness.api.suite import TaskResult
from ...harness.store.fingerprint import digest, seed_for


class PromptTask:
    """Items whose prompts a system answers with its own generation settings."""

    def __init__(self, items: list[Item], version: str, seed: int) -> None:
        self._items, self._version, self._seed = items, version, seed

    @property
    def n_items(self) -> int:
        return len(self._items)

    @property
    def identity(self) -> dict[str, Any]:
        """Version, digests of the prompts and of what is known about them, and their number."""
        return {
            "version": self._version,
            "data": digest([(x.item_id, x.source_id, x.metadata) for x in self._items]),
            "prompt": digest([x.prompt for x in self._items]),
            "few_shot": 0,
            "items": self.n_items,
        }

    def run(self, answerer: Answerer) -> TaskResult:
        """One answer per prompt."""
        requests = [
            GenerationRequest(
                item_id=x.item_id,
                index=0,
                prompt=answerer.prompt(x.prompt),
                seed=seed_for(self._seed, x.item_id),
                **answerer.generation,
            )
            for x in self._items
        ]
        answerer.generate(requests)
        return TaskResult(self._items, [])
