"""What the tests of the background loop run on it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

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
