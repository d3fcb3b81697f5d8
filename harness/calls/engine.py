"""Chat engines, and the caller that gives them requests: as many at a time as they want, each only once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol, TypeVar

from ..errors import CrocoError
from .messages import ChatRequest, NoReply, Outcome
from .replies import ReplyLog

Tag = TypeVar("Tag")


class ChatEngine(Protocol):
    """Answers requests as it can: over the network, or by a model in this process."""

    @property
    def room(self) -> int:
        """How many requests it wants to have at once."""
        ...

    @property
    def error(self) -> CrocoError | None:
        """Why no more calls are begun, once that is so."""
        ...

    def submit(self, requests: list[ChatRequest]) -> None:
        """Takes requests; does not wait for them."""
        ...

    def gather(self) -> list[tuple[ChatRequest, Outcome]]:
        """Waits until some of the requests it took are done, and gives those; none if that takes long."""
        ...

    def close(self) -> None:
        """Ends all calls."""
        ...


class Caller:
    """Puts requests to an engine. Identical ones in flight are one call; with ``replies``, those that were answered
    before, in this process or in one that crashed, are none."""

    def __init__(self, engine: ChatEngine, replies: ReplyLog | None = None) -> None:
        self._engine, self._replies = engine, replies

    def ask(
        self,
        work: Iterable[tuple[Tag, ChatRequest]],
        is_useful: Callable[[Tag, Outcome], bool] = lambda _tag, _outcome: True,
        instead: Callable[[Tag], ChatRequest | None] = lambda _tag: None,
    ) -> Generator[list[tuple[Tag, Outcome]], None, None]:
        """Outcomes as they become known, each with its tag, some at a time; ``work`` is read as they are. Where none
        comes for a while, an empty list does.

        An outcome that is not useful is given to no later identical request, and ``instead`` may name another request
        to put in its place. Raises what stopped the engine, after it gave all that is known.
        """
        waiting: dict[str, list[tuple[Tag, ChatRequest]]] = {}
        repeated: list[tuple[Tag, ChatRequest]] = []
        source = iter(work)
        while True:
            known = self._fill(source, repeated, waiting)
            if not known and not waiting:
                break
            if not known:
                for request, outcome in self._engine.gather():
                    known += [(tag, x, outcome) for tag, x in waiting.pop(request.key)]
            done: list[tuple[Tag, Outcome]] = []
            for tag, request, outcome in known:
                if isinstance(outcome, NoReply) and outcome.kind == "stopped":
                    continue
                if not is_useful(tag, outcome):
                    if self._replies:
                        self._replies.forget(request.key)
                    if (other := instead(tag)) is not None:
                        repeated.append((tag, other))
                        continue
                done.append((tag, outcome))
            yield done
        if self._engine.error:
            raise self._engine.error

    def _fill(
        self,
        source: Iterator[tuple[Tag, ChatRequest]],
        repeated: list[tuple[Tag, ChatRequest]],
        waiting: dict[str, list[tuple[Tag, ChatRequest]]],
    ) -> list[tuple[Tag, ChatRequest, Outcome]]:
        """Gives the engine what it has room for; returns what needs no call."""
        new: list[ChatRequest] = []
        known: list[tuple[Tag, ChatRequest, Outcome]] = []
        while not self._engine.error and len(waiting) < self._engine.room and len(known) < self._engine.room:
            item = repeated.pop() if repeated else next(source, None)
            if item is None:
                break
            tag, request = item
            if request.key in waiting:
                waiting[request.key].append(item)
            elif self._replies and (reply := self._replies.get(request.key)):
                known.append((tag, request, reply))
            else:
                waiting[request.key] = [item]
                new.append(request)
        if new:
            self._engine.submit(new)
        return known
