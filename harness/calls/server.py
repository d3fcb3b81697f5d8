"""An OpenAI-compatible server as an engine: an event loop in one background thread, many calls in flight."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from ..config.server_config import ApiKey, ServerSettings
from ..errors import CrocoError
from .ledger import Ledger
from .messages import ChatReply, ChatRequest, Outcome

_WAIT_SECONDS = 1.0  # for the first reply, before the caller has its turn: it tells of failures
_GATHER_SECONDS = 0.02  # replies of so long are handled together: one write, one wait for the disk
_Done = tuple[ChatRequest, Outcome | BaseException]


class ServerEngine:
    """Calls to one server. Memory is bounded by ``room``: what is done waits in a queue until it is gathered.

    With ``first_alone`` the first call finds what is wrong with the settings before others are made.
    """

    def __init__(
        self,
        settings: ServerSettings,
        key: ApiKey | None,
        ledger: Ledger,
        on_reply: Callable[[str, ChatReply], None],
        first_alone: bool = False,
    ) -> None:
        from .client import ChatClient  # the openai package is imported late

        self._room = 2 * settings.max_concurrency  # so that a free place never waits for this side
        self._alone = first_alone
        self._done: SimpleQueue[_Done] = SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()

        async def connect() -> ChatClient:
            return ChatClient(settings, key, ledger, on_reply)

        self._client = asyncio.run_coroutine_threadsafe(connect(), self._loop).result()

    @property
    def room(self) -> int:
        """How many requests may be in flight or wait here."""
        return 1 if self._alone else self._room

    @property
    def error(self) -> CrocoError | None:
        return self._client.error

    def submit(self, requests: list[ChatRequest]) -> None:
        self._alone = False
        self._loop.call_soon_threadsafe(self._begin, requests)

    def gather(self) -> list[tuple[ChatRequest, Outcome]]:
        try:
            done = [self._done.get(timeout=_WAIT_SECONDS)]
        except Empty:
            return []
        time.sleep(_GATHER_SECONDS)
        while True:
            try:
                done.append(self._done.get_nowait())
            except Empty:
                break
        outcomes: list[tuple[ChatRequest, Outcome]] = []
        for request, outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
            outcomes.append((request, outcome))
        return outcomes

    def close(self) -> None:
        """Breaks off what is in flight and ends the thread."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _begin(self, requests: list[ChatRequest]) -> None:
        for request in requests:
            task = self._loop.create_task(self._complete(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _complete(self, request: ChatRequest) -> None:
        try:
            self._done.put((request, await self._client.complete(request)))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._done.put((request, error))

    async def _shut(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()
