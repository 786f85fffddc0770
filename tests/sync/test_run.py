"""The background loop: synchronous calls from anywhere."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from bing_llm import sync
from bing_llm._loops import THREAD_NAME, Background, PerProcess
from bing_llm.errors import ConfigurationError, Throttled
from bing_llm.sync import background_loop, iterate, run
from tests.sync.sources import COLOUR, WAIT_S, Plain, Source, give


def test_run_gives_the_result() -> None:
    """The value of the coroutine comes back, from the loop's own daemon thread."""

    async def where() -> tuple[str, bool]:
        thread = threading.current_thread()
        return await give(thread.name), thread.daemon

    assert run(where()) == (THREAD_NAME, True)


def test_all_calls_share_one_loop() -> None:
    """One loop and one thread serve the process."""
    loops = {id(run(_loop())) for _ in range(3)}
    assert loops == {id(background_loop())}
    assert [thread.name for thread in threading.enumerate()].count(THREAD_NAME) == 1


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_run_works_inside_a_running_loop() -> None:
    """The caller's own loop, as in a notebook, is not used and does not matter."""
    here = asyncio.get_running_loop()
    assert run(_loop()) is not here
    assert list(iterate(Source().count())) == [0, 1, 2]
    assert asyncio.get_running_loop() is here


def test_many_threads_run_at_once() -> None:
    """Calls of many threads run side by side, none waits for another one to finish."""
    barrier = run(_barrier(16))
    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(lambda number: run(_meet(barrier, number)), range(16))) == list(range(16))


class Barrier:
    """Lets its visitors go when all of them are there."""

    def __init__(self, parties: int) -> None:
        self._missing = parties
        self._all_here = asyncio.Event()

    async def wait(self) -> None:
        """Wait for the others."""
        self._missing -= 1
        if not self._missing:
            self._all_here.set()
        await self._all_here.wait()


async def _barrier(parties: int) -> Barrier:
    return Barrier(parties)


async def _meet(barrier: Barrier, number: int) -> int:
    await barrier.wait()
    return number


def test_threads_that_come_first_at_once_start_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is started once, even if many ask for it before there is one."""
    background = fresh(monkeypatch)
    with ThreadPoolExecutor(8) as threads:
        with background._lock:
            asked = [threads.submit(background_loop) for _ in range(8)]
        loops = {id(future.result(WAIT_S)) for future in asked}
    assert loops == {id(background.loop)}
    _end(background)


def test_the_loop_may_be_asked_for_while_it_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the collector closes just then, in the same thread, does not wait for that thread."""
    background = fresh(monkeypatch)
    results: list[int] = []

    def start() -> None:
        with background._lock:
            results.append(run(give(1)))

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    thread.join(WAIT_S)
    assert results == [1]
    _end(background)


def fresh(monkeypatch: pytest.MonkeyPatch) -> Background:
    """A background of this process that was not started yet, in the place of the one there is."""
    backgrounds = PerProcess(Background)
    monkeypatch.setattr(sync, "background", backgrounds)
    return backgrounds.get()


def _end(background: Background) -> None:
    loop, thread = background.loop, background.thread
    assert thread is not None
    loop.call_soon_threadsafe(loop.stop)
    thread.join(WAIT_S)
    loop.close()


def test_a_loop_that_was_stopped_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the thread has ended, the next call starts another one."""
    background = fresh(monkeypatch)
    run(give(1))
    first = background.loop
    _end(background)
    assert run(give(2)) == 2
    assert background.loop is not first
    _end(background)


def test_context_variables_of_the_caller_are_seen() -> None:
    """What runs sees the caller's context variables; what it sets stays its own."""

    async def change() -> str:
        seen = COLOUR.get()
        COLOUR.set("changed")
        return seen

    async def changes() -> AsyncIterator[str]:
        while True:
            yield await change()

    token = COLOUR.set("red")
    assert run(change()) == "red"
    steps = iterate(changes())
    assert next(steps) == "red"
    assert COLOUR.get() == "red"
    COLOUR.reset(token)
    assert next(steps) == "none"
    steps.close()


class Ours(BaseException):
    """An exception that is no Exception."""


@pytest.mark.parametrize(
    "failure",
    [LookupError("x"), Throttled("x"), asyncio.CancelledError("x"), SystemExit(3), KeyboardInterrupt("x"), Ours("x")],
    ids=lambda exc: type(exc).__name__,
)
def test_an_exception_comes_out_as_it_is(failure: BaseException) -> None:
    """The very exception is raised in the caller, whatever it is, and the loop lives on."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise failure

    with pytest.raises(type(failure)) as caught:
        run(fail())
    assert caught.value is failure
    assert run(give(1)) == 1


def test_the_end_of_an_iterator_comes_out_as_it_is() -> None:
    """StopAsyncIteration is an exception like any other."""
    with pytest.raises(StopAsyncIteration):
        run(anext(Source(last=0).count()))


@pytest.mark.parametrize("call", [lambda: run(give(1)), lambda: next(iterate(Plain()))])
def test_a_call_on_the_loops_own_thread_is_refused(call: Callable[[], object]) -> None:
    """There it would wait for itself: it raises, and says what to do."""

    async def nested() -> object:
        return call()

    with pytest.raises(ConfigurationError, match=r"would wait for itself.*Await"):
        run(nested())


def test_a_thread_of_the_same_name_is_not_the_loops() -> None:
    """The thread is known by what it is, not by its name."""
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(run(give(1))), name=THREAD_NAME)
    thread.start()
    thread.join(WAIT_S)
    assert results == [1]


def interrupt(
    monkeypatch: pytest.MonkeyPatch, once: Callable[[Future[Any]], object], then: Callable[[], object] = lambda: None
) -> None:
    """Interrupt the next call of `run`, as Ctrl-C does, when `once` returns; `then` is called when it cleans up."""

    class Interrupted(Future[Any]):
        def result(self, timeout: float | None = None) -> Any:
            once(self)
            raise KeyboardInterrupt(timeout)

        def exception(self, timeout: float | None = None) -> BaseException | None:
            then()
            return super().exception(timeout)

    monkeypatch.setattr(sync, "Future", Interrupted)


def test_an_interrupt_cancels_and_waits_for_the_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the waiting thread cancels the coroutine, and comes out when that has cleaned up."""
    begun, cleaned = threading.Event(), threading.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            cleaned.set()

    interrupt(monkeypatch, once=lambda _done: begun.wait(WAIT_S))
    with pytest.raises(KeyboardInterrupt):
        run(work())
    assert cleaned.is_set()


def test_an_interrupt_before_the_first_step_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coroutine that is cancelled when it was only just scheduled ends too, and nobody waits for ever."""
    busy, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        go_on.wait(WAIT_S)

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    background_loop().call_soon_threadsafe(block)
    assert busy.wait(WAIT_S)
    interrupt(monkeypatch, once=lambda _done: None, then=go_on.set)  # start and cancellation are queued by then
    with pytest.raises(KeyboardInterrupt):
        run(work())
    assert ended.is_set()


def test_an_interrupt_before_the_start_closes_the_coroutine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coroutine that was not even scheduled is closed, so that nothing warns of it, and nobody waits for ever."""
    loop = background_loop()

    def call_soon_threadsafe(*_args: Any, **_kw: Any) -> Any:
        monkeypatch.undo()
        raise KeyboardInterrupt

    coroutine = give(1)
    monkeypatch.setattr(loop, "call_soon_threadsafe", call_soon_threadsafe)
    with pytest.raises(KeyboardInterrupt):
        run(coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


def test_an_interrupt_after_the_end_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt that comes when the result is there cancels nothing."""
    interrupt(monkeypatch, once=lambda done: done.exception(WAIT_S))
    with pytest.raises(KeyboardInterrupt):
        run(give(1))


def test_a_second_interrupt_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C pressed again does not wait for a clean-up that takes its time."""
    begun, go_on, cleaned = threading.Event(), threading.Event(), threading.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(go_on.wait, WAIT_S)
            cleaned.set()

    def again() -> None:
        raise KeyboardInterrupt

    interrupt(monkeypatch, once=lambda _done: begun.wait(WAIT_S), then=again)
    with pytest.raises(KeyboardInterrupt):
        run(work())
    assert not cleaned.is_set()
    go_on.set()
    assert cleaned.wait(WAIT_S)
