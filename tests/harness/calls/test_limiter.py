"""How many calls are in flight: never more than allowed, fewer when the server says so, then more again."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from croco_eval.harness.calls.limiter import AdaptiveLimiter


def test_never_more_calls_than_the_limit_and_all_come_through():
    async def play() -> tuple[int, int]:
        limiter = AdaptiveLimiter(3)
        most = done = 0

        async def call() -> None:
            nonlocal most, done
            await limiter.acquire()
            most = max(most, limiter.active)
            await asyncio.sleep(0)
            limiter.release()
            done += 1

        await asyncio.gather(*(call() for _ in range(50)))
        assert limiter.active == 0
        return most, done

    assert asyncio.run(play()) == (3, 50)


def test_a_burst_of_refusals_halves_the_limit_once():
    async def play() -> list[int]:
        limiter = AdaptiveLimiter(64)
        rounds = [await limiter.acquire() for _ in range(64)]
        limits = []
        for x in rounds:
            limiter.slow_down(x)
            limits.append(limiter.limit)
        return limits

    assert asyncio.run(play()) == [32] * 64


def test_refusals_of_later_calls_halve_it_again_down_to_one():
    async def play() -> list[int]:
        limiter = AdaptiveLimiter(8)
        limits = []
        for _ in range(6):
            limiter.slow_down(await limiter.acquire())
            limiter.release()
            limits.append(limiter.limit)
        return limits

    assert asyncio.run(play()) == [4, 2, 1, 1, 1, 1]


def test_limit_grows_by_about_one_per_round_of_good_calls_and_not_past_the_maximum():
    async def play() -> list[int]:
        limiter = AdaptiveLimiter(6)
        limiter.slow_down(await limiter.acquire())
        limits = []
        for _ in range(8):
            for _ in range(limiter.limit):
                limiter.speed_up()
            limits.append(limiter.limit)
        return limits

    limits = asyncio.run(play())
    assert limits == sorted(limits)
    assert all(b - a <= 1 for a, b in pairwise(limits))
    assert limits[-1] == 6


def test_after_halving_running_calls_go_on_but_none_begins_before_enough_have_ended():
    async def play() -> bool:
        limiter = AdaptiveLimiter(4)
        first = [await limiter.acquire() for _ in range(4)]
        limiter.slow_down(first[0])
        late = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        for _ in range(2):
            limiter.release()
        await asyncio.sleep(0)
        assert not late.done()
        limiter.release()
        await asyncio.wait_for(late, 1)
        return True

    assert asyncio.run(play())


def test_a_pause_holds_every_caller_and_ends_by_itself_or_when_told():
    async def play() -> tuple[float, float]:
        limiter = AdaptiveLimiter(4)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        limiter.pause(0.2)
        limiter.pause(0.01)  # a shorter one does not shorten it
        await asyncio.gather(limiter.acquire(), limiter.acquire())
        waited = loop.time() - begun
        limiter.pause(60)
        asyncio.get_running_loop().call_later(0.01, limiter.resume)
        begun = loop.time()
        await limiter.acquire()
        return waited, loop.time() - begun

    waited, freed = asyncio.run(play())
    assert waited >= 0.2
    assert freed < 30


def test_a_caller_that_gives_up_waiting_takes_no_place():
    async def play() -> int:
        limiter = AdaptiveLimiter(1)
        await limiter.acquire()
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        limiter.release()
        await asyncio.wait_for(limiter.acquire(), 1)
        return limiter.active

    assert asyncio.run(play()) == 1


def test_a_caller_cancelled_in_the_moment_it_gets_its_place_gives_it_back():
    async def play() -> int:
        limiter = AdaptiveLimiter(1)
        await limiter.acquire()
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0)
        limiter.release()  # the place is given, the task has not run yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return limiter.active

    assert asyncio.run(play()) == 0
