"""A loop whose time passes at once: hours of waiting, in order and without chance, in a moment."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from bing_llm.limits import Retries

T = TypeVar("T")


class Hurried(asyncio.SelectorEventLoop):
    """While nothing is to be done but to wait for a time, it is that time. No sockets.

    Attributes:
        now: Its time, in seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Its time, in seconds."""
        return self.now

    def retries(self, **more: Any) -> Retries:
        """Retries by its time, without chance."""
        return Retries(clock=self.time, jitter=lambda: 1.0, **more)


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: Hurried) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits for ever"
            self._loop.now += timeout
        return ready


def hurried(work: Coroutine[Any, Any, T], loop: Hurried) -> T:
    """Do it on this loop, and close that. Whatever tasks it leaves fail the test."""
    loop.set_debug(True)
    try:
        done = loop.run_until_complete(work)
        left = asyncio.all_tasks(loop)
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        assert not {task for task in left if not task.done()}, "tasks are left"
        return done
    finally:
        loop.close()
