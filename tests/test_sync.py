"""The background loop: synchronous calls from anywhere."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from bing_llm import sync
from bing_llm._loops import THREAD_NAME, Background, PerProcess
from bing_llm.errors import ConfigurationError, Throttled
from bing_llm.sync import Steps, background_loop, iterate, run

T = TypeVar("T")

WAIT_S = 60.0
"""How long to wait for what must happen; only a fault waits that long."""

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


async def give(value: T) -> T:
    """The value, after a turn of the loop."""
    await asyncio.sleep(0)
    return value


class Source:
    """Counts from zero; `closed` says when its generator was closed."""

    def __init__(self, last: int = 3, failure: Exception | None = None) -> None:
        self._last = last
        self._failure = failure
        self.closed = threading.Event()

    async def count(self) -> AsyncGenerator[int, None]:
        """The numbers, and then the failure where there is one."""
        try:
            for number in range(self._last):
                await asyncio.sleep(0)
                yield number
            if self._failure is not None:
                raise self._failure
        finally:
            await asyncio.sleep(0)
            self.closed.set()


class Plain(AsyncIterator[int]):
    """An async iterator that has nothing to close."""

    def __init__(self) -> None:
        self._left = [2, 1]

    async def __anext__(self) -> int:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


# --- run --------------------------------------------------------------------------------------------------------------


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


# --- iterate ----------------------------------------------------------------------------------------------------------


def test_iterate_gives_the_items() -> None:
    """The items come in order, and at the end the iterator is closed."""
    source = Source()
    assert list(iterate(source.count())) == [0, 1, 2]
    assert source.closed.is_set()
    assert list(iterate(Plain())) == [1, 2]


def test_leaving_early_closes_the_iterator() -> None:
    """`break` closes the async iterator before the next statement runs."""
    source = Source()
    for number in iterate(source.count()):
        assert number == 0
        break
    assert source.closed.is_set()


def test_an_exception_in_the_loop_closes_the_iterator() -> None:
    """The way out of the loop does not matter."""
    source = Source()

    def fail() -> None:
        for _ in iterate(source.count()):
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    gc.collect()  # the traceback held the loop's iterator
    assert source.closed.is_set()


def test_an_exception_of_the_iterator_comes_out() -> None:
    """The failure of a step is raised in the caller, as it is."""
    failure = Throttled("x")
    source = Source(failure=failure)
    seen: list[int] = []
    with pytest.raises(Throttled) as caught:
        seen.extend(number for number in iterate(source.count()))
    assert caught.value is failure
    assert source.closed.is_set()


def test_an_iterator_without_aclose_may_be_left() -> None:
    """There is nothing to close then."""
    for number in iterate(Plain()):
        assert number == 1
        break


def test_iterate_starts_nothing_before_the_first_item() -> None:
    """An iterator that is never asked is never begun."""
    source = Source()
    steps = iterate(source.count())
    del steps
    assert not source.closed.is_set()


def test_steps_can_be_left_and_taken_up() -> None:
    """`Steps` closes nothing: the rest may be taken later, and the end and an error come again."""
    numbers = Source().count()
    steps = Steps(numbers)
    for _ in steps:
        break
    assert next(steps) == 1
    assert list(steps) == [2]
    assert list(steps) == []


@contextmanager
def left_in_a_cycle(source: Source) -> Iterator[None]:
    """An iterator of this source has begun, and is left for the collector, which runs only when it is called."""
    steps = iterate(source.count())
    assert next(steps) == 0
    cycle: list[Any] = [steps]
    cycle.append(cycle)
    gc.disable()
    try:
        del steps, cycle
        yield
    finally:
        gc.enable()


def test_a_generator_that_the_loops_thread_collects_is_closed() -> None:
    """The collector may run on the background thread, where nothing may wait: the close is left to the loop."""
    source = Source()
    with left_in_a_cycle(source):
        run(_collect())
    assert source.closed.wait(WAIT_S)


def test_the_collector_waits_for_nothing() -> None:
    """It runs in the middle of anything, and its thread may hold what the loop needs: the close is left to the loop."""
    source, go_on = Source(), threading.Event()
    with left_in_a_cycle(source):
        background_loop().call_soon_threadsafe(go_on.wait, WAIT_S)
        gc.collect()
        assert not source.closed.is_set()
    go_on.set()
    assert source.closed.wait(WAIT_S)


async def _collect() -> None:
    gc.collect()


def test_nothing_waits_for_the_loop_when_the_interpreter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the loop's thread runs no more, and an iterator that is collected leaves the rest to the exit."""
    source = Source()
    numbers = source.count()
    steps = iterate(numbers)
    assert next(steps) == 0
    with monkeypatch.context() as at_exit:
        at_exit.setattr(sys, "is_finalizing", lambda: True)
        del steps
    assert not source.closed.is_set()
    run(numbers.aclose())


def test_two_hundred_calls_leave_nothing() -> None:
    """No thread and no task is left by many calls, failed and abandoned ones included."""

    async def fail() -> None:
        raise LookupError

    run(give(0))
    threads = threading.active_count()
    for number in range(200):
        assert run(give(number)) == number
        with pytest.raises(LookupError):
            run(fail())
        assert next(iterate(Source().count())) == 0
    assert threading.active_count() == threads
    assert len(run(_tasks())) == 1


async def _tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks()


# --- processes --------------------------------------------------------------------------------------------------------

FORK = """
import gc, os, threading, warnings
from bing_llm._loops import THREAD_NAME
from bing_llm.sync import background_loop, iterate, run

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # Python 3.12 and later

async def give(value):
    return value

async def count():
    yield 1
    yield 2

assert run(give(1)) == 1
inherited = background_loop()
child = os.fork()
if child == 0:
    assert run(give(2)) == 2
    assert list(iterate(count())) == [1, 2]
    assert background_loop() is not inherited
    assert [thread.name for thread in threading.enumerate()].count(THREAD_NAME) == 1
    gc.collect()
    grandchild = os.fork()
    if grandchild == 0:
        assert run(give(3)) == 3
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 7
    assert run(give(2)) == 2
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert run(give(4)) == 4
assert background_loop() is inherited
print("done")
"""

FORK_ON_THE_LOOP = """
import os, warnings
from bing_llm.sync import run

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

async def give(value):
    return value

def fork():
    child = os.fork()
    if child == 0:
        os._exit(run(give(7)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

async def fork_here():
    import asyncio
    done = asyncio.Event()
    result = []
    asyncio.get_running_loop().call_soon(lambda: (result.append(fork()), done.set()))
    await done.wait()
    return result

print(run(fork_here()))
"""

INTERRUPT = """
import asyncio, os, signal
from bing_llm.sync import run

async def work():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("cleaned up")

try:
    run(work())
except KeyboardInterrupt:
    print("interrupted")
"""

EXIT = """
import asyncio
from bing_llm.sync import iterate, run

async def count():
    while True:
        yield 1

steps = iterate(count())
print(next(steps))
"""

EXIT_OF_A_DAEMON = """
import asyncio, threading
from bing_llm.sync import run

waiting = threading.Event()

async def work():
    waiting.set()
    await asyncio.sleep(0)

def again():
    while True:
        run(work())

threading.Thread(target=again, daemon=True).start()
waiting.wait()
print("left")
"""

LATE = """
import asyncio, atexit

async def give(value):
    return value

atexit.register(lambda: print(run(give("late"))))  # before the loop is imported: it is called after the loop's own
from bing_llm.sync import run

print(run(give("early")))
"""


def script(code: str) -> tuple[str, str]:
    """What a program of its own writes, with all warnings as errors; it must end well.

    No debug mode, which logs what is slow.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONASYNCIODEBUG": "", "PYTHONDEVMODE": ""},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("code", "written"), [(FORK, "done"), (FORK_ON_THE_LOOP, "[7]")] if hasattr(os, "fork") else []
)
def test_a_forked_child_has_a_loop_of_its_own(code: str, written: str) -> None:
    """After a fork the child starts its own thread, the parent keeps its own, and nothing warns."""
    assert script(code) == (written, "")


def test_ctrl_c_cancels_and_waits() -> None:
    """A real SIGINT in the main thread comes out as KeyboardInterrupt, after the clean-up."""
    assert script(INTERRUPT) == ("cleaned up\ninterrupted", "")


def test_the_thread_does_not_hold_the_process() -> None:
    """A program ends while the loop runs and an iterator is open, without a word."""
    assert script(EXIT) == ("1", "")


def test_a_daemon_thread_may_go_on() -> None:
    """A thread that asks for more and more when the program ends is left waiting, and does not complain of it."""
    assert script(EXIT_OF_A_DAEMON) == ("left", "")


def test_the_loop_serves_what_is_called_at_the_very_end() -> None:
    """What the caller registered with `atexit` may still call, after what was open has been closed."""
    assert script(LATE) == ("early\nlate", "")


@pytest.mark.parametrize("backend", ["endpoint=sys.argv[1]", "backend='emulator'"])
def test_a_script_may_leave_a_client_open(backend: str, bing_emulator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends without closing its client says nothing of it, with all warnings shown."""
    code = f"import sys; from bing_llm import SyncBingClient; b = SyncBingClient({backend}); print(b.ask('Hello').text)"
    assert left_open(code, bing_emulator.url, monkeypatch).startswith("Hello")


STREAM = """
from bing_llm import SyncBingClient
b = SyncBingClient(backend="emulator")
turn = b.stream("What is new in Python?")
print(type(next(turn)).__name__)
"""

PENDING = """
import asyncio
from bing_llm import BingClient

async def leave():
    b = BingClient(backend="emulator")
    await b.ask("Hello")
    turn = b.stream("What is new in Python?")
    await turn.__anext__()
    task = asyncio.create_task(turn.reply())
    await asyncio.sleep(0)
    print("left")

asyncio.run(leave())
"""

DAEMON = """
import threading
from bing_llm import SyncBingClient
b = SyncBingClient(backend="emulator")
streams = threading.Event()

def stream():
    while True:
        for _ in b.stream("What is new in Python?"):
            streams.set()

threading.Thread(target=stream, daemon=True).start()
streams.wait()
print("left")
"""


@pytest.mark.parametrize("code", [STREAM, PENDING, DAEMON])
def test_a_script_may_leave_a_turn_open(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends in the middle of a turn says nothing of it: nor does the emulator, which was answering."""
    assert left_open(code, "", monkeypatch)


def left_open(code: str, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a program writes that ends without a complaint, with all warnings shown."""
    monkeypatch.delenv("PYTHONASYNCIODEBUG", raising=False)  # it logs what is slow
    command = [sys.executable, "-W", "default", "-c", code, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
