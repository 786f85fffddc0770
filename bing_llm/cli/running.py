"""The event loop of a command, and what Ctrl-C does while it runs.

Not `asyncio.run`: a chat waits for its user between two turns, in the main thread and outside the loop, where `input`
and Ctrl-C work as everywhere. So one loop is run again and again.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

__all__ = ["Loop"]

T = TypeVar("T")


class Loop:
    """One event loop, closed at the end of its `with` block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, T], *, interrupt: Callable[[], bool] | None = None) -> T:
        """Run a coroutine to its end.

        Args:
            work: The coroutine.
            interrupt: What Ctrl-C does, called on the loop; it answers whether that was enough. If not, or if it is
                None, the coroutine is cancelled.

        Raises:
            KeyboardInterrupt: The coroutine was cancelled by Ctrl-C, and has cleaned up.
        """
        task = self._loop.create_task(work)

        def interrupted() -> None:
            if interrupt is None or not interrupt():
                task.cancel()

        with _on_ctrl_c(self._loop, interrupted):
            try:
                return self._loop.run_until_complete(task)
            except asyncio.CancelledError:
                raise KeyboardInterrupt from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()


@contextmanager
def _on_ctrl_c(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C runs the action on the loop, instead of raising in the midst of something; unless others handle it."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    try:
        loop.add_signal_handler(signal.SIGINT, action)
    except NotImplementedError:  # Windows, whose loops wake up for any signal
        signal.signal(signal.SIGINT, lambda _number, _frame: loop.call_soon_threadsafe(action))
    try:
        yield
    finally:
        with suppress(NotImplementedError):  # Windows again
            loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)
