"""How many turns of one client may be open at once: `Slots`, for who came first, on any event loop and in any thread.

There is no lock. Slots are released by the collector too, which runs in the middle of anything, also where its own
thread would hold that lock; and a fork copies a lock as it is. All that is shared are deques, each of whose operations
is atomic: one of free slots, one of those who wait, and one for each waiter, into which its slot is put. Whoever pops a
slot decides alone what becomes of it.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from bing_llm.errors import ConfigurationError

__all__ = ["Slot", "Slots"]

_MOST = 1_000_000  # far above what one process can hold open; a larger number only means that no limit is wanted


class Slots:
    """The slots of one client. A forked child has as many of its own: those of its parent are never released there.

    Args:
        limit: How many there are.

    Raises:
        ConfigurationError: It is no number from 1 to 1,000,000.
    """

    def __init__(self, limit: int) -> None:
        given: Any = limit
        if not (isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= _MOST):
            msg = f"max_concurrency is {given!r}; it must be a whole number from 1 to {_MOST:,}, or None for no limit."
            raise ConfigurationError(msg)
        self._limit = limit
        self._queues: dict[int, _Queue] = {}  # by the id of the process

    def join(self) -> Slot:
        """The last place in the queue, for the running loop. Wait for it; release it, however the wait ends."""
        pid = os.getpid()
        queue = self._queues.get(pid) or self._queues.setdefault(pid, _Queue(deque([None] * self._limit), deque()))
        slot = Slot(queue, asyncio.get_running_loop())
        queue.waiting.append(slot)
        queue.serve()
        return slot


class Slot:
    """A place in the queue, and then the slot that was waited for. Made by `Slots.join`."""

    def __init__(self, queue: _Queue, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = queue
        self._loop = loop
        self._woken: asyncio.Future[None] = loop.create_future()
        self._held: deque[None] = deque()
        self._left = False

    async def wait(self) -> None:
        """Wait for the slot. Also ends when it is released meanwhile; then there is none."""
        await self._woken

    def release(self) -> None:
        """Give the slot back, or leave the queue. From any thread, and as often as one likes."""
        self._left = True  # before the look: `hand` puts a slot there first, and then looks whether anybody is there
        if _popped(self._held):
            self._queue.free.append(None)
            self._queue.serve()
            return
        with suppress(ValueError, IndexError):  # not there, or another thread changes it: then `serve` passes it over
            self._queue.waiting.remove(self)
        self._wake()

    def hand(self) -> bool:
        """Take over a slot. False where nobody waits for it any more; then it is still the caller's."""
        self._held.append(None)
        return (not self._left and self._wake()) or not _popped(self._held)

    def _wake(self) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._be_woken)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _be_woken(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)


class _Queue(NamedTuple):
    """What is free, and who waits, in one process."""

    free: deque[None]
    waiting: deque[Slot]

    def serve(self) -> None:
        """Hand free slots to who waits. Called after each change, so that no slot stays free while somebody waits."""
        while self.waiting and _popped(self.free):
            try:
                handed = self.waiting.popleft().hand()
            except IndexError:  # another thread was quicker
                handed = False
            if not handed:
                self.free.append(None)


def _popped(slots: deque[None]) -> bool:
    try:
        slots.pop()
    except IndexError:
        return False
    return True
