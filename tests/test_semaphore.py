"""Semaphore: first come, first served; on any loop, in any thread; none is lost and none is made up."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bing_llm._semaphore import Permit, Semaphore


async def settle() -> None:
    """Let the loop do what is due."""
    for _ in range(5):
        await asyncio.sleep(0)


async def taken(semaphore: Semaphore) -> Permit:
    """A permit that is free."""
    permit = semaphore.request()
    await permit.wait()
    return permit


async def free(semaphore: Semaphore) -> int:
    """How many semaphore are free, found out by taking them all."""
    joined: list[Permit] = []
    waiting = 0
    while not waiting:
        joined.append(semaphore.request())
        waits = [asyncio.create_task(permit.wait()) for permit in joined]
        await settle()
        waiting = sum(not wait.done() for wait in waits)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    for permit in reversed(joined):
        permit.release()
    return len(joined) - waiting


def in_thread(work: Callable[[], Any]) -> None:
    """Do it in another thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


async def test_who_came_first_is_served_first() -> None:
    """Semaphore go to those who wait in the order in which they came, whoever releases them."""
    semaphore = Semaphore(2)
    held = [await taken(semaphore), await taken(semaphore)]
    order: list[int] = []

    async def work(number: int) -> None:
        permit = semaphore.request()
        await permit.wait()
        order.append(number)
        await settle()
        permit.release()

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await settle()
    assert order == []
    held[1].release()
    await settle()
    assert order[:1] == [0]
    held[0].release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4, 5]
    assert await free(semaphore) == 2


async def test_nobody_goes_before_those_who_wait() -> None:
    """A released permit goes straight to its waiter: whoever arrives before the waiter has run queues after it."""
    semaphore = Semaphore(1)
    held = await taken(semaphore)
    first, second = semaphore.request(), semaphore.request()
    held.release()
    third = semaphore.request()
    await first.wait()
    waits = [asyncio.create_task(permit.wait()) for permit in (second, third)]
    first.release()
    await settle()
    assert [wait.done() for wait in waits] == [True, False]
    second.release()
    await asyncio.gather(*waits)


async def test_a_release_counts_once() -> None:
    """However often and from wherever a permit is released, one permit is free again."""
    semaphore = Semaphore(1)
    permit = await taken(semaphore)
    permit.release()
    permit.release()
    in_thread(permit.release)
    assert await free(semaphore) == 1


async def test_who_leaves_the_queue_is_passed_over() -> None:
    """A waiter that releases gets no permit, its wait ends, and nothing of it stays in the queue."""
    semaphore = Semaphore(1)
    held = await taken(semaphore)
    leaving, staying = semaphore.request(), semaphore.request()
    leaving.release()
    await leaving.wait()
    held.release()
    await staying.wait()
    assert await free(semaphore) == 0
    staying.release()
    assert await free(semaphore) == 1


async def test_a_permit_of_a_cancelled_waiter_goes_to_the_next() -> None:
    """One that was handed to a waiter, whose task is cancelled before it runs again, is not lost."""
    semaphore = Semaphore(1)
    held = await taken(semaphore)
    first, second = semaphore.request(), semaphore.request()
    wait = asyncio.create_task(first.wait())
    await settle()
    held.release()
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    first.release()
    await second.wait()
    second.release()
    assert await free(semaphore) == 1


async def test_a_waiter_that_leaves_while_it_is_served_keeps_nothing() -> None:
    """It may leave between the moment in which it is found in the queue, and that in which it is handed its permit."""
    semaphore = Semaphore(1)
    held = await taken(semaphore)
    leaving, staying = semaphore.request(), semaphore.request()

    def leave_first() -> bool:
        leaving.release()
        return Permit.grant(leaving)

    leaving.grant = leave_first  # type: ignore[method-assign]
    held.release()
    await staying.wait()
    staying.release()
    assert await free(semaphore) == 1


async def test_a_permit_that_is_taken_back_by_both_is_free_once() -> None:
    """A waiter that leaves right after its wake-up gives the permit back itself."""
    semaphore = Semaphore(1)
    held = await taken(semaphore)
    leaving = semaphore.request()

    def leave_first() -> bool:
        leaving.release()
        return False

    leaving._wake = leave_first  # type: ignore[method-assign]
    held.release()
    assert await free(semaphore) == 1


async def test_a_queue_that_another_thread_empties_loses_no_permit() -> None:
    """A permit that was on its way to a waiter that has gone is free again."""
    semaphore = Semaphore(1)
    held = await taken(semaphore)
    leaving = semaphore.request()
    queue = semaphore._queues.get()

    class Emptied(type(queue.waiting)):  # type: ignore[misc]
        def popleft(self) -> Permit:
            leaving.release()
            waiter: Permit = super().popleft()
            return waiter

    semaphore._queues._values[os.getpid()] = queue = queue._replace(waiting=Emptied(queue.waiting))
    held._queue = leaving._queue = queue
    held.release()
    assert len(queue.free) == 1


def test_a_closed_loop_is_passed_over() -> None:
    """Who waits on a loop that was closed gets nothing: the permit goes to the next, on whatever loop."""
    semaphore = Semaphore(1)
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def join() -> Permit:
        return semaphore.request()

    held = one.run_until_complete(join())
    closed = one.run_until_complete(join())
    staying = other.run_until_complete(join())
    one.close()
    held.release()
    other.run_until_complete(staying.wait())
    closed.release()
    staying.release()
    assert other.run_until_complete(free(semaphore)) == 1
    other.close()


def test_loops_in_many_threads_share_the_semaphore() -> None:
    """At most as many as there are hold one at any moment, and all get theirs."""
    semaphore, inside, most, done = Semaphore(3), [None] * 0, [0], [None] * 0

    async def turn() -> None:
        permit = semaphore.request()
        try:
            await permit.wait()
            inside.append(None)
            most.append(len(inside))
            await asyncio.sleep(0)
            inside.pop()
            done.append(None)
        finally:
            permit.release()

    async def turns() -> None:
        await asyncio.gather(*(turn() for _ in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=[turns()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 200
    assert max(most) <= 3
    assert asyncio.run(free(semaphore)) == 3


async def test_the_collector_may_release_in_the_middle_of_a_release() -> None:
    """A permit that is released while another one is being handed over is not lost, and nothing waits for a lock."""
    semaphore = Semaphore(2)
    first, second = await taken(semaphore), await taken(semaphore)
    waiting = [semaphore.request(), semaphore.request()]

    class Left:
        """What the collector finds."""

        def __init__(self, permit: Permit) -> None:
            self.permit = permit
            self.itself = self

        def __del__(self) -> None:
            self.permit.release()

    Left(second)
    waiting[0]._wake = lambda: bool(gc.collect()) and Permit._wake(waiting[0])  # type: ignore[method-assign]
    first.release()
    for permit in waiting:
        await permit.wait()
        permit.release()
    assert await free(semaphore) == 2


async def test_a_forked_child_has_semaphore_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parent holds is not missing in the child, and what the child releases of it is not one more."""
    semaphore = Semaphore(2)
    held = await taken(semaphore)
    waiting = await taken(semaphore), semaphore.request()
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    assert await free(semaphore) == 2
    for copied in (held, *waiting):
        copied.release()
    assert await free(semaphore) == 2
