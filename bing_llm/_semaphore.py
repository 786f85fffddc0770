"""How many turns of one client may be open at once: a `Semaphore` that is fair, on any event loop and in any thread.

It uses no lock, for two reasons. The garbage collector releases permits too: it can run at any point, also while its
own thread holds that lock. And a fork copies a lock as it is, held or not. Threads share only deques, whose operations
are atomic: one of free permits, one of waiters, and one for each waiter, into which its permit is put. Only the thread
that pops a permit decides who gets it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from bing_llm._loops import PerProcess


class Semaphore:
    """So many permits, granted in the order in which they were requested.

    A forked child has as many of its own: those of its parent are never released there.

    Args:
        permits: How many there are, 1 or more.
    """

    def __init__(self, permits: int) -> None:
        self._queues = PerProcess(lambda: _Queue(deque([None] * permits), deque()))

    def request(self) -> Permit:
        """The last place in the queue, for the running loop. Wait for it; release it, however the wait ends."""
        queue = self._queues.get()
        permit = Permit(queue, asyncio.get_running_loop())
        queue.waiting.append(permit)
        queue.serve()
        return permit


class Permit:
    """A place in the queue, and then the permit that was waited for. Made by `Semaphore.request`."""

    def __init__(self, queue: _Queue, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = queue
        self._loop = loop
        self._woken: asyncio.Future[None] = loop.create_future()
        self._held: deque[None] = deque()
        self._left = False

    async def wait(self) -> None:
        """Wait for the permit. Also returns if `release` was called during the wait; then no permit was granted."""
        await self._woken

    def release(self) -> None:
        """Give the permit back, or leave the queue. It may be called from any thread, and more than once."""
        self._left = True  # before the look: `grant` puts a permit there first, and then looks whether anybody waits
        if _popped(self._held):
            self._queue.free.append(None)
            self._queue.serve()
            return
        with suppress(ValueError, IndexError):  # not there, or another thread changes it: then `serve` passes it over
            self._queue.waiting.remove(self)
        self._wake()

    def grant(self) -> bool:
        """Take over a permit. False if nobody waits for it any more; then it is still the caller's."""
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
    """The free permits and the waiters of one process."""

    free: deque[None]
    waiting: deque[Permit]

    def serve(self) -> None:
        """Grant free permits to waiters. Called after each change, so that no permit stays free while one waits."""
        while self.waiting and _popped(self.free):
            try:
                granted = self.waiting.popleft().grant()
            except IndexError:  # another thread was quicker
                granted = False
            if not granted:
                self.free.append(None)


def _popped(permits: deque[None]) -> bool:
    try:
        permits.pop()
    except IndexError:
        return False
    return True
