"""Work that is interrupted at a chosen suspension: each place where it awaits, and each of the tasks that it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_interruption: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


class Interruption:
    """Counts the suspensions of some work, and strikes at one of them.

    Args:
        at: At which suspension, from 1 on; at 0 it never does.
        served: Whether it strikes when that what is waited for has come, just before the work goes on, or at once.
        strike: What it does; False where it is too late.

    Attributes:
        suspensions: How many there were.
        struck: Whether it has struck.
        tasks: Those that the work has started.
    """

    def __init__(self, at: int, *, served: bool, strike: Callable[[], bool | None]) -> None:
        self._at = at
        self._served = served
        self._strike = strike
        self._over = False
        self.suspensions = 0
        self.struck = False
        self.tasks: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> None:
        """What runs in this context from now on is the work."""
        self._token = _interruption.set(self)

    def __exit__(self, *_: object) -> None:
        _interruption.reset(self._token)

    def end(self) -> None:
        """The work is done: what goes on in its context, such as a connection that is kept, is none of it."""
        self._over = True

    def suspended(self, waits_for: asyncio.Future[Any] | None) -> None:
        """The work waits for this; None where it only lets others go first."""
        self.suspensions += 1
        if self.suspensions != self._at:
            return
        if self._served and waits_for is not None:
            waits_for.add_done_callback(lambda _: self._hit())  # before that of the task that waits
        else:
            self._hit()

    def _hit(self) -> None:
        if not self._over:
            self.struck = self._strike() is not False


class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine whose suspensions are counted."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], interruption: Interruption) -> None:
        self._coroutine = coroutine
        self._interruption = interruption

    def send(self, value: Any) -> Any:
        return self._noted(self._coroutine.send(value))

    def throw(self, *exc: Any) -> Any:
        return self._noted(self._coroutine.throw(*exc))

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()

    def _noted(self, waits_for: Any) -> Any:
        self._interruption.suspended(waits_for)
        return waits_for


@contextmanager
def stepped(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Count the suspensions of all tasks that are started on this loop while an `Interruption` is entered.

    Without debug mode: it notes the stack of each callback, and thousands of runs take three times as long by that.
    """
    factory, debug = loop.get_task_factory(), loop.get_debug()
    loop.set_task_factory(_new_task)
    loop.set_debug(False)
    try:
        yield
    finally:
        loop.set_debug(debug)
        loop.set_task_factory(factory)


def _new_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
    interruption = _interruption.get()
    if interruption is None:
        return asyncio.Task(coroutine, loop=loop, **more)
    task = asyncio.Task(_Stepped(coroutine, interruption), loop=loop, **more)
    interruption.tasks.add(task)
    return task
