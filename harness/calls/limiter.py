"""The limit on concurrent calls, which adapts to what the server accepts."""

from __future__ import annotations

import asyncio
from collections import deque


class AdaptiveLimiter:
    """A limit on calls in flight that halves when the server says it is too much and grows back by one per round.

    A burst of refusals counts once: only calls begun since the last halving can halve again. A pause holds every
    caller. Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain 1989). For one event loop.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._limit = float(maximum)
        self._active = 0
        self._round = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resume_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    @property
    def active(self) -> int:
        """Calls that are in flight now."""
        return self._active

    async def acquire(self) -> int:
        """Waits for a place; gives the round that ``slow_down`` wants to know. Each is followed by a ``release``."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.release()
            raise
        return self._round

    def release(self) -> None:
        """Gives the place back."""
        self._active -= 1
        self._admit()

    def slow_down(self, begun_in: int) -> None:
        """The server refused a call, begun in this round, because there are too many."""
        if begun_in == self._round:
            self._limit = max(1.0, self._limit / 2)
            self._round += 1

    def speed_up(self) -> None:
        """A call went well."""
        self._limit = min(self._maximum, self._limit + 1 / self._limit)

    def pause(self, seconds: float) -> None:
        """Begins no call for this many seconds."""
        loop = asyncio.get_running_loop()
        self._resume_at = max(self._resume_at, loop.time() + seconds)
        if self._alarm:
            self._alarm.cancel()
        self._alarm = loop.call_at(self._resume_at, self._admit)

    def resume(self) -> None:
        """Ends a pause."""
        self._resume_at = 0.0
        self._admit()

    def _admit(self) -> None:
        if asyncio.get_running_loop().time() < self._resume_at:
            return
        while self._waiting and self._active < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._active += 1
                place.set_result(None)
