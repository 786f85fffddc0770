"""Conversations that are made ready: when they are made, what becomes of them, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from bing_llm.errors import (
    BingError,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    ServiceError,
    Throttled,
    Unauthorized,
)
from bing_llm.limits import CONVERSATION_SECONDS
from bing_llm.pool import MOST_WARM, PING_SECONDS, Continuations, WarmPool
from bing_llm.sync import run
from tests.fakes import FakeBackend, FakeWarm, Handle, Pause, Time, settled

SOMETHING = ContextVar("SOMETHING", default="nothing")

HANDLE = Handle("c")


class Timers:
    """Timers that go off when a test says so, by a clock that moves then."""

    def __init__(self) -> None:
        self.time = Time()
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def start(self, seconds: float, action: Callable[[], None]) -> Timers:
        """Keep one; there is never a second one that waits."""
        assert not self.waiting
        self.waiting.append((seconds, action))
        return self

    def cancel(self) -> None:
        """Forget the one that waits."""
        self.waiting.clear()

    async def go_off(self, pool: WarmPool, times: int = 1) -> None:
        """Let the time come, again and again, and wait for what is done then."""
        for _ in range(times):
            [(seconds, action)] = self.waiting
            self.waiting.clear()
            self.time.now += seconds
            action()
            await settled(pool)


def pool_of(backend: FakeBackend, size: int = 1, timers: Timers | None = None) -> WarmPool:
    """A pool of this service, by these timers."""
    timers = timers or Timers()
    return WarmPool(size, backend.warm_up, seconds=60.0, clock=timers.time.clock, start_timer=timers.start)


async def filled(backend: FakeBackend, size: int = 1, timers: Timers | None = None) -> WarmPool:
    """A pool that has made what it can."""
    pool = pool_of(backend, size, timers)
    await pool.start()
    await settled(pool)
    return pool


async def taken_id(pool: WarmPool) -> str | None:
    """The id of the conversation that the pool gives to a turn, which then has its first text."""
    taken = await pool.take()
    pool.refill()
    return None if taken is None else taken.handle.id


# --- making -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [-1, MOST_WARM + 1, True, 1.0, "1", None])
def test_the_size_is_a_whole_number_within_bounds(size: Any) -> None:
    """A size that cannot be meant is refused, with what is allowed."""
    with pytest.raises(ConfigurationError, match=rf"warm is {size!r}; .*from 0 \(none\) to 32"):
        pool_of(FakeBackend(), size)


async def test_without_a_size_nothing_is_made() -> None:
    """The default costs nothing."""
    backend = FakeBackend()
    pool = await filled(backend, size=0)
    assert await pool.take() is None
    assert backend.calls == []
    assert list(pool._loops) == []


@pytest.mark.parametrize("use", [WarmPool.start, WarmPool.take])
async def test_they_are_made_from_the_first_use_on(use: Callable[[WarmPool], Coroutine[Any, Any, object]]) -> None:
    """Whether the client is entered or asked first, as many are made as were asked for, one after another."""
    first = Pause()
    backend = FakeBackend(creations=[first])
    pool = pool_of(backend, 3)
    assert backend.calls == []
    assert await use(pool) is None
    await first.reached.wait()
    await use(pool)
    assert (backend.calls, pool.ready) == (["create"], 0)
    first.go.set()
    await settled(pool)
    assert (backend.calls, pool.ready) == (["create"] * 3, 3)
    await pool.aclose()


async def test_the_oldest_is_taken_and_replaced() -> None:
    """What is taken is made again; there are never more than the size."""
    backend = FakeBackend()
    pool = await filled(backend, 2)
    for number in (1, 2, 3):
        assert await taken_id(pool) == f"conversation-{number}"
        await settled(pool)
        assert pool.ready == 2
    assert not any(warm.closed for warm in backend.warmed[:3])  # they are their turns'
    await pool.aclose()


async def test_its_place_is_taken_when_the_turn_has_its_first_text() -> None:
    """Until then nothing is made, which would put that text off."""
    backend = FakeBackend()
    pool = await filled(backend, 2)
    assert await pool.take() is not None
    await settled(pool)
    assert (backend.calls, pool.ready) == (["create"] * 2, 1)
    pool.refill()
    await settled(pool)
    assert (backend.calls, pool.ready) == (["create"] * 3, 2)
    await pool.aclose()
    pool.refill()
    assert pool.ready == 0


def test_without_a_loop_nothing_is_made() -> None:
    """A turn may be closed by the collector in any thread."""
    backend = FakeBackend()
    pool = pool_of(backend)
    pool.refill()
    assert backend.calls == []


async def test_none_is_waited_for() -> None:
    """While the next one is being made there is none, and no second one is begun."""
    slow = Pause()
    backend = FakeBackend(creations=[None, slow])
    pool = await filled(backend)
    assert await taken_id(pool) == "conversation-1"
    await slow.reached.wait()
    assert await taken_id(pool) is None
    assert backend.calls == ["create"] * 2
    await pool.aclose()


async def test_they_do_not_see_the_context_of_a_turn() -> None:
    """What a caller has in its context variables is not kept by what outlives its turn."""
    seen: list[str] = []
    backend = FakeBackend()

    async def look(deadline: Any) -> FakeWarm:
        seen.append(SOMETHING.get())
        return await backend.warm_up(deadline)

    pool = WarmPool(1, look, seconds=60.0)
    SOMETHING.set("something")
    await pool.start()
    await settled(pool)
    assert seen == ["nothing"]
    await pool.aclose()


# --- keeping ----------------------------------------------------------------------------------------------------------


async def test_they_are_pinged() -> None:
    """Each that waits gets a ping each 15 seconds, which is within what a service allows."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, 2, timers)
    await timers.go_off(pool, 3)
    assert timers.time.now == 3 * PING_SECONDS
    assert [warm.pings for warm in backend.warmed] == [3, 3]
    assert backend.calls == ["create"] * 2
    await pool.aclose()


async def test_an_old_one_is_renewed() -> None:
    """After five hours each is made anew, before the service drops it, and without a wait."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, 2, timers)
    timers.time.now = CONVERSATION_SECONDS - PING_SECONDS - 1
    await timers.go_off(pool)
    assert len(backend.warmed) == 2
    await timers.go_off(pool)
    assert [warm.closed for warm in backend.warmed] == [True, True, False, False]
    await pool.aclose()


async def test_an_old_one_is_not_taken() -> None:
    """Its age counts when it is taken, too: a loop may not have run for long."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, timers=timers)
    timers.time.now += CONVERSATION_SECONDS
    assert await pool.take() is None
    assert backend.warmed[0].closed
    await settled(pool)
    assert await taken_id(pool) == "conversation-2"
    await pool.aclose()


async def test_a_dead_one_is_not_taken() -> None:
    """What the service has closed is passed over."""
    backend = FakeBackend()
    pool = await filled(backend, 2)
    backend.warmed[0].is_alive = False
    assert await taken_id(pool) == "conversation-2"
    assert [warm.closed for warm in backend.warmed] == [True, False]
    await pool.aclose()


async def test_a_dead_one_is_replaced() -> None:
    """It is noticed while it waits; that counts as a failure, so it is not replaced at once."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, timers=timers)
    backend.warmed[0].is_alive = False
    await timers.go_off(pool)
    assert (backend.warmed[0].closed, pool.ready) == (True, 0)
    await timers.go_off(pool)
    assert pool.ready == 1
    await pool.aclose()


async def test_many_that_die_at_once_are_one_failure() -> None:
    """A network that was away for a moment is not waited for as if it had failed again and again."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, 6, timers)
    for number, warm in enumerate(backend.warmed):
        warm.is_alive = number % 2 == 0
        warm.failure = ConnectionLost("x")
    await timers.go_off(pool)
    assert pool.ready == 0
    await timers.go_off(pool)
    assert pool.ready == 6
    await pool.aclose()


async def test_one_that_cannot_be_pinged_is_replaced() -> None:
    """A ping that fails shows a lost connection."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, timers=timers)
    backend.warmed[0].failure = ConnectionLost("x")
    await timers.go_off(pool)
    assert (backend.warmed[0].closed, pool.ready) == (True, 0)
    await timers.go_off(pool)
    assert pool.ready == 1
    await pool.aclose()


async def test_a_failing_ping_leaves_a_turn_alone() -> None:
    """One that was taken while it was pinged is its turn's, which will meet the same."""
    backend, timers, pause = FakeBackend(), Timers(), Pause()
    pool = await filled(backend, timers=timers)

    async def fail() -> None:
        await pause.wait()
        raise ConnectionLost("x")

    backend.warmed[0].keep_alive = fail  # type: ignore[method-assign]
    [(_, look)] = timers.waiting
    timers.waiting.clear()
    look()
    await pause.reached.wait()
    assert await taken_id(pool) == "conversation-1"
    pause.go.set()
    await settled(pool)
    assert not backend.warmed[0].closed
    assert pool.ready == 1
    await pool.aclose()


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_failures_are_waited_out_longer_each_time() -> None:
    """After n failures in a row the next attempt is 15 * 2**(n - 1) seconds later, at most 16 minutes."""
    backend, timers = FakeBackend(creations=[ServiceError("x") for _ in range(9)]), Timers()
    pool = await filled(backend, timers=timers)
    began = [0.0]
    while len(began) < 9:
        await timers.go_off(pool)
        if len(backend.calls) > len(began):
            began.append(timers.time.now)
        assert await pool.take() is None  # which begins nothing
    waits = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert waits == [15, 30, 60, 120, 240, 480, 960, 960]
    await pool.aclose()


async def test_retry_after_is_honoured() -> None:
    """The wait holds, however many conversations are taken during it."""
    backend, timers = FakeBackend(creations=[None, Throttled("x", retry_after=100.0)]), Timers()
    pool = await filled(backend, 2, timers)
    assert await taken_id(pool) == "conversation-1"
    await timers.go_off(pool, 6)  # 90 seconds
    assert await pool.take() is None
    assert backend.calls == ["create"] * 2
    await timers.go_off(pool)
    assert pool.ready == 2
    await pool.aclose()


async def test_what_dies_unused_again_and_again_is_made_less_often() -> None:
    """A service that closes what waits is not asked for ever more; one that is taken shows that it is worth it."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, timers=timers)

    async def looks_until_the_next() -> int:
        made = len(backend.warmed)
        backend.warmed[-1].is_alive = False
        looks = 0
        while len(backend.warmed) == made:
            await timers.go_off(pool)
            looks += 1
        return looks

    assert [await looks_until_the_next() for _ in range(3)] == [2, 3, 5]  # the first look finds it dead
    assert await taken_id(pool) is not None
    await settled(pool)
    assert await looks_until_the_next() == 2
    await pool.aclose()


async def test_those_that_die_together_count_as_one() -> None:
    """A service that is restarted takes all of them at once, and is asked again as soon as after one failure."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, 4, timers)
    for warm in backend.warmed:
        warm.is_alive = False
    await timers.go_off(pool, 2)  # the first finds them dead
    assert pool.ready == 4
    await pool.aclose()


@pytest.mark.parametrize(
    ("failure", "level", "says"),
    [
        (ConnectionFailed("No way."), logging.INFO, "ConnectionFailed: No way."),
        (Throttled("Slower."), logging.WARNING, "Throttled: Slower."),
        (Unauthorized("Who are you?"), logging.WARNING, "Unauthorized: Who are you?"),
        (ValueError("hunter2"), logging.WARNING, "ValueError"),
    ],
)
async def test_a_failure_is_logged(failure: Exception, level: int, says: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is news where it may last; of an error that is not ours, nothing but its name."""

    async def fail(_deadline: Any) -> FakeWarm:
        raise failure

    caplog.set_level(logging.INFO, "bing_llm")
    pool = WarmPool(1, fail, seconds=60.0)
    assert await pool.take() is None
    await settled(pool)
    assert await pool.take() is None
    [record] = caplog.records
    assert record.levelno == level
    assert record.getMessage().endswith(f" no conversation was made ready ({says}); next in 15 seconds")
    await pool.aclose()


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_closing_ends_everything() -> None:
    """What is ready is closed, what is being made is given up, no timer goes off, and nothing is made any more."""
    slow = Pause()
    backend, timers = FakeBackend(creations=[None, slow]), Timers()
    pool = pool_of(backend, 2, timers)
    await pool.start()
    await slow.reached.wait()
    [on_loop] = pool._loops
    await pool.aclose()
    assert (backend.warmed[0].closed, on_loop._tasks, timers.waiting) == (True, set(), [])
    await pool.aclose()
    await pool.start()
    assert await pool.take() is None
    assert backend.calls == ["create"] * 2


def test_each_loop_has_its_own() -> None:
    """None is taken on another loop than its own; each ends with its loop."""
    backend = FakeBackend()
    pool = pool_of(backend)

    async def use() -> None:
        assert await pool.take() is None
        await settled(pool)
        assert pool.ready == 1

    asyncio.run(use())
    assert pool.ready == 0
    asyncio.run(use())
    assert [warm.closed for warm in backend.warmed] == [True, True]


def test_they_end_with_their_loop() -> None:
    """`asyncio.run` ends at once, with what is ready closed and what is being made given up."""
    slow = Pause()
    backend, timers = FakeBackend(creations=[None, slow]), Timers()
    pool = pool_of(backend, 2, timers)

    async def use() -> None:
        await pool.start()
        await slow.reached.wait()

    asyncio.run(use())
    assert backend.warmed[0].closed
    assert timers.waiting == []


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of one's own, whose end is rude."""
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    yield loop
    loop.close()


@pytest.mark.parametrize("end", ["the next loop", "aclose", "the collector"])
def test_a_loop_that_is_closed_rudely_leaves_nothing(end: str, loop: asyncio.AbstractEventLoop) -> None:
    """Without `shutdown_asyncgens` the end comes with the next use, or with that of the pool, and without a word."""
    slow = Pause()
    backend, timers = FakeBackend(creations=[None, slow]), Timers()
    pool = pool_of(backend, 2, timers)
    loop.run_until_complete(pool.start())
    loop.run_until_complete(slow.reached.wait())
    loop.close()
    if end == "the next loop":
        timers.cancel()
        asyncio.run(pool.start())
    elif end == "aclose":
        asyncio.run(pool.aclose())
    del pool
    gc.collect()
    assert backend.warmed[0].closed


@pytest.mark.usefixtures("no_leaked_tasks")
async def test_a_pool_that_nobody_closed_is_collected() -> None:
    """It closes what it had ready, on its loop, and gives up what it was making."""
    slow = Pause()
    backend, timers = FakeBackend(creations=[None, slow]), Timers()
    pool = pool_of(backend, 2, timers)
    known = weakref.ref(pool)
    await pool.start()
    await slow.reached.wait()
    del pool
    gc.collect()
    assert known() is None
    await asyncio.sleep(0)  # it is closed on its loop, which is this one
    await asyncio.sleep(0)
    assert backend.warmed[0].closed
    assert timers.waiting == []


async def test_a_pool_is_closed_from_another_loop() -> None:
    """`aclose` reaches the loop on which they were made."""
    backend = FakeBackend()
    pool = pool_of(backend)

    async def use() -> None:
        await pool.start()
        await settled(pool)

    await asyncio.to_thread(run, use())
    await pool.aclose()
    await asyncio.to_thread(run, asyncio.sleep(0))
    assert backend.warmed[0].closed


async def test_a_child_leaves_its_parents_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the parent's conversations are neither pinged nor taken nor closed by the child."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, timers=timers)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    [(_, look)] = timers.waiting
    look()
    timers.waiting.clear()  # the copy of the parent's timer
    assert await pool.take() is None
    await settled(pool)
    await timers.go_off(pool)
    assert await taken_id(pool) == "conversation-2"
    await settled(pool)
    await pool.aclose()
    assert [warm.pings for warm in backend.warmed] == [0, 1, 0]
    assert [warm.closed for warm in backend.warmed] == [False, False, True]


async def test_a_child_that_closes_leaves_its_parents_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """To close them would close what the parent still uses."""
    backend, timers = FakeBackend(), Timers()
    pool = await filled(backend, timers=timers)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    await pool.aclose()
    assert not backend.warmed[0].closed
    monkeypatch.undo()
    await pool.aclose()
    assert backend.warmed[0].closed


async def test_a_failure_is_not_an_error_of_the_pool() -> None:
    """Neither a start nor a take raises an earlier failure."""
    failure: BingError = ServiceError("x")
    pool = await filled(FakeBackend(creations=[failure]))
    await pool.start()
    assert await pool.take() is None
    await pool.aclose()


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_conversation_is_taken_once() -> None:
    """Whoever takes it has it alone; of two with one key, the later is kept."""
    kept = Continuations(clock=lambda: 5.0)
    kept.keep(b"a", Handle("first"), 1)
    kept.keep(b"a", HANDLE, 2)
    live = kept.take(b"a")
    assert live is not None
    assert (live.handle, live.turns, live.since) == (HANDLE, 2, 5.0)
    assert kept.take(b"a") is None


def test_of_too_many_the_oldest_go() -> None:
    """By when they were last used."""
    kept = Continuations(most=2, clock=lambda: 0.0)
    for key in (b"a", b"b", b"a", b"c"):
        kept.keep(key, HANDLE, 1)
    assert [kept.take(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


def test_of_what_is_too_old_nothing_goes_on() -> None:
    """The service would have forgotten it."""
    now = [0.0]
    kept = Continuations(seconds=10.0, clock=lambda: now[0])
    kept.keep(b"a", HANDLE, 1)
    kept.keep(b"b", HANDLE, 1)
    now[0] = 9.9
    assert kept.take(b"a") is not None
    now[0] = 10.0
    assert kept.take(b"b") is None


def test_a_forked_process_begins_without_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes in one conversation would mix their turns."""
    kept = Continuations(clock=lambda: 0.0)
    kept.keep(b"a", HANDLE, 1)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert kept.take(b"a") is None
    kept.keep(b"a", HANDLE, 1)
    assert len(kept) == 1
