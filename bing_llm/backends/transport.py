"""One connection of a turn: waits for what comes, in time, and looks at what has come without a wait."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from bing_llm._loops import AbandonedTask
from bing_llm.errors import ConnectionLost

READ_AHEAD_BYTES: Final = 128 * 1024
"""Read in advance while nobody takes it: as much as aiohttp buffers for one connection."""

LOOK_SECONDS: Final = 5.0
"""How often it is read in advance: a server's WebSocket ping is answered when it is read, and may be due in 20 s."""

T = TypeVar("T")


class End(NamedTuple):
    """The end of a connection.

    Attributes:
        code: The WebSocket close code, None where none came.
        reason: What a line of the log says of it.
    """

    code: int | None = None
    reason: str = "connection at its end"


class Source(Protocol):
    """What comes over an open connection, such as those of `bing_llm.backends.http`."""

    async def read(self) -> list[bytes | End]:
        """Wait for the next piece, and take those that have come after it; at least one. Nothing follows an `End`.

        A wait that is cancelled loses nothing.

        Raises:
            BingError: The other end broke the rules, or refused.
        """

    def ready(self) -> list[bytes | End]:
        """The pieces that have come already, in order. Not while a `read` waits.

        Raises:
            BingError: As `read`.
        """

    def abort(self) -> None:
        """Drop the connection now. May be called twice."""


class Connection(Source, Protocol):
    """An open connection."""

    async def send(self, data: bytes) -> None:
        """Send one message.

        Raises:
            ConnectionLost: The connection broke.
        """

    def hang_up(self) -> None:
        """Close the connection now, after what was sent."""


class Transport:
    """A connection, whose waits have limits.

    One timer serves all waits: it is set once, and again when it goes off, not anew for each message. When it goes off
    and nobody waits, what has come is read ahead, up to a bound.

    Args:
        connection: The connection, which belongs to the running loop.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._ahead: deque[bytes | End] = deque()  # what was read while nobody waited
        self._ending: list[bytes | End] | BaseException | None = None  # what comes after it, again and again
        self._waiting: asyncio.Task[Any] | None = None
        self._cut_short = False  # whether we have cancelled that task's wait
        self._until = math.inf  # when its wait ends
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    async def receive(self, seconds: float) -> Sequence[bytes | End]:
        """Wait for the next piece, and take those that have come after it; at least one. One task at a time.

        Raises:
            TimeoutError: None came in that many seconds; it may be called again.
            BingError: The other end broke the rules, or refused; the same error again when called again.
        """
        if self._ahead or self._ending is not None:
            return self._known()
        try:
            return self._noted(await self._within(seconds, self._connection.read()))
        except TimeoutError:
            if ending := self._known():
                return ending
            raise
        except Exception as exc:
            self._end(exc)
            raise

    def ready(self) -> Sequence[bytes | End]:
        """The pieces that have come already, in order; the end again and again. Not while `receive` waits.

        Raises:
            BingError: As `receive`.
        """
        if self._ahead or self._ending is not None:
            return self._known()
        try:
            return self._noted(self._connection.ready())
        except Exception as exc:
            self._end(exc)
            raise

    async def send(self, data: bytes, seconds: float) -> None:
        """Send one message.

        Raises:
            TimeoutError: It was not taken in that many seconds: a peer that does not read makes a long one wait.
            ConnectionLost: The connection broke.
        """
        if self._waiting is not None or self._ending is not None:  # another task waits for what comes, or nothing comes
            async with asyncio.timeout(seconds):
                await self._connection.send(data)
            return
        try:
            await self._within(seconds, self._connection.send(data))
        except TimeoutError:
            if self._ending is None:
                raise
            raise ConnectionLost("The connection was closed while something was sent.") from None

    def abort(self) -> None:
        """Drop the connection now. What was not sent yet is lost. May be called twice."""
        self._connection.abort()
        self._leave()

    def hang_up(self) -> None:
        """Close the connection now, after what was sent."""
        self._connection.hang_up()
        self._leave()

    async def _within(self, seconds: float, waiting: Coroutine[Any, Any, T]) -> T:
        """Wait, by the one timer.

        Raises:
            TimeoutError: It took that many seconds, or the connection was closed.
        """
        self._until = self._loop.time() + seconds
        if self._until < self._timer_at:
            self._set_timer(self._until)
        task = self._waiting = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that waits is run by a task
        cancelling = task.cancelling()
        try:
            return await waiting
        except asyncio.CancelledError:
            if not self._cut_short or task.uncancel() > cancelling:  # somebody else cancels the task, too
                raise
            raise TimeoutError from None
        finally:
            self._waiting = None
            self._cut_short = False

    def _known(self) -> Sequence[bytes | End]:
        """A piece that was read ahead, or the end. One: all at once may be more lines than a stretch of work is."""
        if self._ahead:
            return (self._ahead.popleft(),)
        if isinstance(self._ending, BaseException):
            raise self._ending
        return self._ending or ()

    def _noted(self, pieces: list[bytes | End]) -> list[bytes | End]:
        if pieces and isinstance(pieces[-1], End):
            self._end(pieces[-1:])
        return pieces

    def _end(self, ending: list[bytes | End] | BaseException) -> None:
        if self._ending is None:
            self._ending = ending
            if self._timer is not None:
                self._timer.cancel()

    def _leave(self) -> None:
        self._end([End()])
        with suppress(RuntimeError):  # the loop is closed
            self._end_wait()

    def _end_wait(self) -> None:
        """Wake the task that waits, as `asyncio.timeout` does."""
        if self._waiting is not None and not self._cut_short:
            self._cut_short = True
            self._waiting.cancel()

    # --- the timer ------------------------------------------------------------------------------------------------

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Not in the caller's context: what a turn has in it must not live as long as this.
        self._timer = self._loop.call_at(at, self._on_timer, context=Context())
        self._timer_at = at

    def _on_timer(self) -> None:
        self._timer_at = math.inf
        now = self._loop.time()
        if self._waiting is None:
            self._read_ahead()
        elif self._until <= now:
            self._end_wait()
        if self._ending is None:
            self._set_timer(now + LOOK_SECONDS if self._waiting is None or self._until <= now else self._until)

    def _read_ahead(self) -> None:
        while self._ending is None and sum(len(piece) for piece in self._ahead) < READ_AHEAD_BYTES:
            try:
                pieces = self._noted(self._connection.ready())
            except Exception as exc:  # noqa: BLE001 - raised to whoever asks for the next piece
                self._end(exc)
                return
            if not pieces:
                return
            self._ahead += pieces


class Opening:
    """A connection that a task of its own opens. Implements `Connection`.

    So a wait for the first piece may end before there is a connection, and another one go on with it.

    Args:
        opened: Opens the connection, which is this object's from then on.
        send: Sends a message, in whatever way there is.

    Attributes:
        task: What opens it.
    """

    def __init__(
        self, opened: Callable[[], Coroutine[Any, Any, Source]], send: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._send = send
        self._source: Source | None = None
        self._left = False
        self._loop = asyncio.get_running_loop()
        self.task = AbandonedTask(self._open(opened), loop=self._loop)
        self.task.add_done_callback(_look_at)

    async def _open(self, opened: Callable[[], Coroutine[Any, Any, Source]]) -> None:
        self._source = await opened()
        if self._left:  # what gives a token may not let itself be cancelled
            self._source.abort()

    async def read(self) -> list[bytes | End]:
        """Wait until it is open, and then for the next piece."""
        if self._source is None:
            await asyncio.wait([self.task])
        return await self._opened().read()

    def ready(self) -> list[bytes | End]:
        """The pieces that have come already."""
        return self._opened().ready() if self.task.done() else []

    def check(self) -> None:
        """Raise why it could not be opened, if it could not.

        Raises:
            BingError: It is known that it could not.
        """
        if self.task.done():
            self.task.result()

    def _opened(self) -> Source:
        self.task.result()  # raises why it could not be opened
        assert self._source is not None  # noqa: S101 - the task is done
        return self._source

    async def send(self, data: bytes) -> None:
        """Send one message."""
        await self._send(data)

    def abort(self) -> None:
        """Drop the connection now. May be called twice."""
        self._left = True
        if self._source is not None:
            self._source.abort()
        elif not self._loop.is_closed():
            self.task.cancel()
        else:
            with suppress(RuntimeError):  # the loop is closed: what was waited for cannot be cancelled
                self.task.get_coro().close()

    hang_up = abort


def _look_at(task: asyncio.Task[None]) -> None:
    """Have asyncio not log the failure of a task that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
