"""The background loop: iterators that are read from synchronous code."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bing_llm.errors import Throttled
from bing_llm.sync import Steps, background_loop, iterate, run
from tests.sync.sources import WAIT_S, Plain, Source, give


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


class Batches(AsyncIterator[int]):
    """Counts to six in steps that make three items each."""

    def __init__(self) -> None:
        self.steps = 0
        self._made = deque[int]()

    async def __anext__(self) -> int:
        if self.steps == 2:
            raise StopAsyncIteration
        self._made.extend(range(3 * self.steps, 3 * self.steps + 3))
        self.steps += 1
        return self._made.popleft()

    def pop_ready(self) -> int | None:
        """The next item of the last step."""
        return self._made.popleft() if self._made else None


def test_items_of_one_step_are_given_without_another() -> None:
    """All that a step has made is handed over in one hop between the threads, and nothing is made before it is due."""
    batches = Batches()
    items = iterate(batches)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    assert batches.steps == 1
    assert list(items) == [3, 4, 5]
    assert batches.steps == 2


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
