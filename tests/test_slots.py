"""Slots: first come, first served; on any loop, in any thread; none is lost and none is made up."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bing_llm._slots import Slot, Slots
from bing_llm.errors import ConfigurationError


async def settle() -> None:
    """Let the loop do what is due."""
    for _ in range(5):
        await asyncio.sleep(0)


async def taken(slots: Slots) -> Slot:
    """A slot that is free."""
    slot = slots.join()
    await slot.wait()
    return slot


async def free(slots: Slots) -> int:
    """How many slots are free, found out by taking them all."""
    joined: list[Slot] = []
    waiting = 0
    while not waiting:
        joined.append(slots.join())
        waits = [asyncio.create_task(slot.wait()) for slot in joined]
        await settle()
        waiting = sum(not wait.done() for wait in waits)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    for slot in reversed(joined):
        slot.release()
    return len(joined) - waiting


def in_thread(work: Callable[[], Any]) -> None:
    """Do it in another thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.parametrize("limit", [0, -1, 1.0, "2", True, sys.maxsize])
def test_a_limit_is_a_whole_number(limit: Any) -> None:
    """Anything else is refused by the name of the argument, with what is allowed."""
    with pytest.raises(ConfigurationError, match=r"max_concurrency is .* from 1 to 1,000,000, or None for no limit"):
        Slots(limit)


async def test_who_came_first_is_served_first() -> None:
    """Slots go to those who wait in the order in which they came, whoever releases them."""
    slots = Slots(2)
    held = [await taken(slots), await taken(slots)]
    order: list[int] = []

    async def work(number: int) -> None:
        slot = slots.join()
        await slot.wait()
        order.append(number)
        await settle()
        slot.release()

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await settle()
    assert order == []
    held[1].release()
    await settle()
    assert order[:1] == [0]
    held[0].release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4, 5]
    assert await free(slots) == 2


async def test_nobody_goes_before_those_who_wait() -> None:
    """A slot that was released is its waiter's at once: who comes before that one has run goes behind it."""
    slots = Slots(1)
    held = await taken(slots)
    first, second = slots.join(), slots.join()
    held.release()
    third = slots.join()
    await first.wait()
    waits = [asyncio.create_task(slot.wait()) for slot in (second, third)]
    first.release()
    await settle()
    assert [wait.done() for wait in waits] == [True, False]
    second.release()
    await asyncio.gather(*waits)


async def test_a_release_counts_once() -> None:
    """However often and from wherever a slot is released, one slot is free again."""
    slots = Slots(1)
    slot = await taken(slots)
    slot.release()
    slot.release()
    in_thread(slot.release)
    assert await free(slots) == 1


async def test_who_leaves_the_queue_is_passed_over() -> None:
    """A waiter that releases gets no slot, its wait ends, and nothing of it stays in the queue."""
    slots = Slots(1)
    held = await taken(slots)
    leaving, staying = slots.join(), slots.join()
    leaving.release()
    await leaving.wait()
    held.release()
    await staying.wait()
    assert await free(slots) == 0
    staying.release()
    assert await free(slots) == 1


async def test_a_slot_of_a_cancelled_waiter_goes_to_the_next() -> None:
    """One that was handed to a waiter, whose task is cancelled before it runs again, is not lost."""
    slots = Slots(1)
    held = await taken(slots)
    first, second = slots.join(), slots.join()
    wait = asyncio.create_task(first.wait())
    await settle()
    held.release()
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    first.release()
    await second.wait()
    second.release()
    assert await free(slots) == 1


async def test_a_waiter_that_leaves_while_it_is_served_keeps_nothing() -> None:
    """It may leave between the moment in which it is found in the queue, and that in which it is handed its slot."""
    slots = Slots(1)
    held = await taken(slots)
    leaving, staying = slots.join(), slots.join()

    def left_meanwhile() -> bool:
        leaving.release()
        return Slot.hand(leaving)

    leaving.hand = left_meanwhile  # type: ignore[method-assign]
    held.release()
    await staying.wait()
    staying.release()
    assert await free(slots) == 1


async def test_a_slot_that_is_taken_back_by_both_is_free_once() -> None:
    """A waiter that leaves right behind its wake-up gives the slot back itself."""
    slots = Slots(1)
    held = await taken(slots)
    leaving = slots.join()

    def left_meanwhile() -> bool:
        leaving.release()
        return False

    leaving._wake = left_meanwhile  # type: ignore[method-assign]
    held.release()
    assert await free(slots) == 1


async def test_a_queue_that_another_thread_empties_loses_no_slot() -> None:
    """One that was popped for a waiter who has gone meanwhile is free again."""
    slots = Slots(1)
    held = await taken(slots)
    leaving = slots.join()
    (queue,) = slots._queues.values()

    class Emptied(type(queue.waiting)):  # type: ignore[misc]
        def popleft(self) -> Slot:
            leaving.release()
            waiter: Slot = super().popleft()
            return waiter

    slots._queues[os.getpid()] = queue = queue._replace(waiting=Emptied(queue.waiting))
    held._queue = leaving._queue = queue
    held.release()
    assert len(queue.free) == 1


def test_a_closed_loop_is_passed_over() -> None:
    """Who waits on a loop that was closed gets nothing: the slot goes to the next, on whatever loop."""
    slots = Slots(1)
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def join() -> Slot:
        return slots.join()

    held = one.run_until_complete(join())
    closed = one.run_until_complete(join())
    staying = other.run_until_complete(join())
    one.close()
    held.release()
    other.run_until_complete(staying.wait())
    closed.release()
    staying.release()
    assert other.run_until_complete(free(slots)) == 1
    other.close()


def test_loops_in_many_threads_share_the_slots() -> None:
    """At most as many as there are hold one at any moment, and all get theirs."""
    slots, inside, most, done = Slots(3), [None] * 0, [0], [None] * 0

    async def turn() -> None:
        slot = slots.join()
        try:
            await slot.wait()
            inside.append(None)
            most.append(len(inside))
            await asyncio.sleep(0)
            inside.pop()
            done.append(None)
        finally:
            slot.release()

    async def turns() -> None:
        await asyncio.gather(*(turn() for _ in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=[turns()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 200
    assert max(most) <= 3
    assert asyncio.run(free(slots)) == 3


async def test_the_collector_may_release_in_the_middle_of_a_release() -> None:
    """A slot that is released while another one is being handed over is not lost, and nothing waits for a lock."""
    slots = Slots(2)
    first, second = await taken(slots), await taken(slots)
    waiting = [slots.join(), slots.join()]

    class Left:
        """What the collector finds."""

        def __init__(self, slot: Slot) -> None:
            self.slot = slot
            self.itself = self

        def __del__(self) -> None:
            self.slot.release()

    Left(second)
    waiting[0]._wake = lambda: bool(gc.collect()) and Slot._wake(waiting[0])  # type: ignore[method-assign]
    first.release()
    for slot in waiting:
        await slot.wait()
        slot.release()
    assert await free(slots) == 2


async def test_a_forked_child_has_slots_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parent holds is not missing in the child, and what the child releases of it is not one more."""
    slots = Slots(2)
    held = await taken(slots)
    waiting = await taken(slots), slots.join()
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    assert await free(slots) == 2
    for copied in (held, *waiting):
        copied.release()
    assert await free(slots) == 2
