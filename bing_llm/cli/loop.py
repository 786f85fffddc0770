"""The event loop of a command, the turn that it shows, and what Ctrl-C does to both.

Not `asyncio.run`: between two turns a chat waits for its user in the main thread, outside the loop, where `input` and
Ctrl-C work as everywhere. So one loop is run again and again.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

from bing_llm.cli.errors import print_error
from bing_llm.cli.status import NO_STATUS, Status
from bing_llm.cli.view import View
from bing_llm.errors import BingError
from bing_llm.events import Reply
from bing_llm.turn import TurnStream

T = TypeVar("T")


class Loop:
    """One event loop, closed at the end of its `with` block."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, T], *, interrupt: Callable[[], bool] | None = None) -> T:
        """Run a coroutine to its end.

        Args:
            work: The coroutine.
            interrupt: What Ctrl-C does, called on the loop; it returns whether that was enough. If not, or if it is
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


class RunningTurn:
    """A turn that is shown while it runs, and that Ctrl-C stops.

    Args:
        turn: The turn; it is closed when it has been shown.
        view: What shows it.
        status: What says what happens until text comes; the view ends it.
    """

    def __init__(self, turn: TurnStream, view: View, status: Status = NO_STATUS) -> None:
        self._turn = turn
        self._view = view
        self._status = status
        self._stopping: asyncio.Task[None] | None = None

    async def show(self) -> Reply:
        """Show the turn to its end, and return its reply.

        Raises:
            BingError: The turn failed; what had arrived is shown.
        """
        try:
            async with self._turn:
                with self._view:
                    self._status.start()
                    async for event in self._turn:
                        self._status.show(event)
                        self._view.show(event)
                reply = await self._turn.reply()
        finally:
            if self._stopping is not None:
                self._stopping.cancel()  # the turn is over, there is nothing left to stop
                await asyncio.gather(self._stopping, return_exceptions=True)
        if reply.revoked:
            print_error(f"The service withdrew this answer. {reply.notice}")
        return reply

    @property
    def stopped(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping is not None

    def stop(self) -> bool:
        """Ask the service to end the answer and keep what arrived; False if it was asked before."""
        if self._stopping is not None:
            return False
        self._stopping = asyncio.ensure_future(self._stop())
        return True

    async def _stop(self) -> None:
        with suppress(BingError):  # whoever reads the turn gets the error of a broken connection too
            await self._turn.stop()


@contextmanager
def _on_ctrl_c(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C runs the action on the loop instead of raising at any point, unless another handler is installed."""
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
