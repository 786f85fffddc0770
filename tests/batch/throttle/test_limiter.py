"""The limiter: first come, first served, at the speed of the throttle and the rate; who gives up holds nothing."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from bing_llm.batch.throttle import Limiter
from bing_llm.errors import BingError, ConfigurationError, ConnectionFailed, Throttled, Unauthorized
from bing_llm.limits import Retries
from tests.hurrying import Hurried, hurried
from tests.stepping import Interruption, stepped


async def settle() -> None:
    """Let the loop do what is due."""
    for _ in range(5):
        await asyncio.sleep(0)


async def acquired(limiter: Limiter) -> float:
    """The permit of a turn that may begin now or later."""
    permit = await limiter.acquire()
    assert permit is not None
    return permit


async def room(limiter: Limiter) -> int:
    """How many turns may begin now, found out by beginning them."""
    tasks = [asyncio.create_task(limiter.acquire()) for _ in range(10)]
    await settle()
    begun = [task.result() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for permit in begun:
        assert permit is not None
        limiter.release(permit, None)
    return len(begun)


def begins(turns: int, *, after: BingError | None = None, concurrency: int = 1, **options: Any) -> list[float]:
    """When turns begin, one after the other, after one that ended so."""
    loop = Hurried()
    times: list[float] = []

    async def run() -> None:
        limiter = Limiter(concurrency, retries=loop.retries(), **options)
        limiter.release(await acquired(limiter), after)
        for _ in range(turns):
            permit = await acquired(limiter)
            times.append(loop.now)
            limiter.release(permit, None)

    hurried(run(), loop)
    return times


# --- places -----------------------------------------------------------------------------------------------------------


async def test_who_came_first_goes_first() -> None:
    """No more turns are open than the limit allows; the others begin in the order in which they came."""
    limiter = Limiter(2)
    held = [await acquired(limiter), await acquired(limiter)]
    order: list[int] = []

    async def turn(number: int) -> None:
        permit = await acquired(limiter)
        order.append(number)
        await settle()
        limiter.release(permit, None)

    tasks = [asyncio.create_task(turn(number)) for number in range(6)]
    await settle()
    assert order == []
    limiter.release(held[0], None)
    await settle()
    assert order[:1] == [0]
    limiter.release(held[1], None)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4, 5]
    assert await room(limiter) == 2


@pytest.mark.parametrize("rate", [None, 60.0])
@pytest.mark.parametrize("served", [False, True])
def test_a_cancelled_turn_holds_nothing(*, rate: float | None, served: bool) -> None:
    """Wherever it waits, or just when its wait is over: its place is free, and those after it go on."""

    async def cancelled(loop: Hurried, at: int) -> bool:
        limiter = Limiter(1, rate=rate, retries=loop.retries())
        held = await acquired(limiter)

        async def turn() -> None:
            permit = await acquired(limiter)
            await asyncio.sleep(1)
            limiter.release(permit, None)

        def strike() -> bool:
            return first.cancel()

        interruption = Interruption(at, served=served, strike=strike)
        with stepped(loop):
            with interruption:
                first = loop.create_task(turn_with_release(limiter))
            second = loop.create_task(turn())
            await asyncio.sleep(0)
            limiter.release(held, Throttled(retry_after=20.0))
            await asyncio.wait([first, second])
            interruption.end()
        assert first.cancelled() == interruption.struck
        second.result()
        if rate is None:
            assert await room(limiter) == 1
        return interruption.struck

    at = 1
    while hurried(cancelled(loop := Hurried(), at), loop):
        at += 1
    assert at > 3


async def turn_with_release(limiter: Limiter) -> None:
    """A turn as `ask` makes one: it leaves, however it ends."""
    permit = await acquired(limiter)
    try:
        await asyncio.sleep(1)
    finally:
        limiter.release(permit, None)


# --- the rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "times"),
    [
        (20.0, [3, 6, 9, 12, 15]),
        (60.0, [1, 2, 3, 4, 5]),
        (0.5, [120, 240, 360, 480, 600]),
        (120.0, [0, 0.5, 1, 1.5, 2]),
    ],
)
def test_turns_are_spread_evenly_by_the_rate(rate: float, times: list[float]) -> None:
    """So many a minute; at once begins at most what a second allows, and at least one."""
    assert begins(5, rate=rate, concurrency=10) == pytest.approx(times, abs=1e-3)


def test_without_a_rate_nothing_is_waited_for() -> None:
    """Turns begin as fast as they end."""
    assert begins(100) == [0] * 100


def test_a_pause_saves_up_no_turns() -> None:
    """After it turns begin as far from each other as before."""
    times = begins(3, after=Throttled(retry_after=30.0), rate=20.0, concurrency=2)
    assert times == pytest.approx([30, 33, 36], abs=1e-3)


def test_a_turn_that_waits_for_the_rate_hears_of_a_pause() -> None:
    """What was throttled while it waited holds for it as well, and it has kept nothing for the time after."""
    loop = Hurried()

    async def run() -> list[float]:
        limiter = Limiter(2, rate=1.0, retries=loop.retries())
        first = await acquired(limiter)
        others = [asyncio.create_task(acquired(limiter)) for _ in range(2)]
        await asyncio.sleep(59)
        limiter.release(first, Throttled(retry_after=600.0))
        times = []
        for other in others:
            limiter.release(await other, None)
            times.append(loop.now)
        return times

    assert hurried(run(), loop) == pytest.approx([659, 719], abs=1e-3)


def test_a_rate_without_aiolimiter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra; without a rate nothing is missed."""
    monkeypatch.setitem(sys.modules, "aiolimiter", None)
    Limiter(1)
    with pytest.raises(ConfigurationError, match=r"pip install \"bing-llm\[batch\]\""):
        Limiter(1, rate=20.0)


# --- pauses and the end -----------------------------------------------------------------------------------------------


def test_a_pause_holds_for_all() -> None:
    """No turn begins before the time that the service asked for, and the first one does then."""
    assert begins(2, after=Throttled(retry_after=30.0), concurrency=2) == pytest.approx([30, 30])


@pytest.mark.parametrize("where", ["room", "pause", "rate"])
def test_to_close_the_gate_turns_everybody_away(where: str) -> None:
    """Whoever waits, for whatever, gets None at once, and so does who comes later."""
    loop = Hurried()

    async def run() -> None:
        limiter = Limiter(1 if where == "room" else 5, rate=1.0 if where == "rate" else None, retries=loop.retries())
        permit = await acquired(limiter)
        if where == "pause":
            limiter.release(permit, Throttled(retry_after=600.0))
            assert limiter.waiting == "the service throttles; next turn in 600 s"
        waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
        await settle()
        limiter.close()
        assert [*await asyncio.gather(*waiting), await limiter.acquire()] == [None] * 4
        assert loop.now == 0
        assert limiter.closed
        assert limiter.waiting == ""

    hurried(run(), loop)


async def test_what_stops_the_pace_closes_the_gate() -> None:
    """The error that a turn met is the reason, and those who wait are turned away."""
    limiter = Limiter(1)
    permit = await acquired(limiter)
    waiting = asyncio.create_task(limiter.acquire())
    await settle()
    error = Unauthorized()
    limiter.release(permit, error)
    assert await waiting is None
    assert limiter.stopped is error


async def test_a_gate_that_was_closed_has_no_reason() -> None:
    """What an open turn meets after that is none."""
    limiter = Limiter(1)
    permit = await acquired(limiter)
    limiter.close()
    limiter.release(permit, Unauthorized())
    assert limiter.stopped is None


def test_patience_is_counted_by_the_clock_of_the_retries() -> None:
    """A service that throttles for ever stops the run when the patience is over, and no earlier."""
    loop = Hurried()

    async def run() -> float:
        limiter = Limiter(4, patience=1000.0, retries=loop.retries())
        while (permit := await limiter.acquire()) is not None:
            limiter.release(permit, Throttled())
        assert isinstance(limiter.stopped, Throttled)
        return loop.now

    assert hurried(run(), loop) == pytest.approx(1000)


def test_a_wrong_endpoint_is_given_up_after_the_waits_of_the_retries() -> None:
    """Half a second, one, two, four: then the run ends, whatever the patience."""
    loop = Hurried()

    async def run() -> float:
        limiter = Limiter(4, retries=loop.retries())
        while (permit := await limiter.acquire()) is not None:
            limiter.release(permit, ConnectionFailed())
        return loop.now

    assert hurried(run(), loop) == pytest.approx(7.5)


def test_a_sleep_ends_when_the_gate_is_closed() -> None:
    """It lasts as long as it was asked to, or until then; after that there is none."""
    loop = Hurried()

    async def run() -> None:
        limiter = Limiter(1, retries=loop.retries())
        await limiter.sleep(5)
        assert loop.now == 5
        sleeping = asyncio.create_task(limiter.sleep(60))
        await settle()
        limiter.close()
        await sleeping
        await limiter.sleep(60)
        assert loop.now == 5

    hurried(run(), loop)


async def test_a_sleep_that_fails_is_heard_of() -> None:
    """What the sleep of the retries raises comes out."""

    async def fail(_seconds: float) -> None:
        raise OSError

    limiter = Limiter(1, retries=Retries(sleep=fail))
    with pytest.raises(OSError):  # noqa: PT011 - it has no words
        await limiter.sleep(1)
