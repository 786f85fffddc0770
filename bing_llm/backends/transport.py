"""One connection of a turn: a task reads what comes, so that others may look at it without waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from bing_llm._loops import AbandonedTask

# Read in advance while nobody takes it, in bytes: as much as aiohttp buffers for one connection.
READ_AHEAD_BYTES: Final = 128 * 1024


class End(NamedTuple):
    """The end of a connection.

    Attributes:
        code: The WebSocket close code, None where none came.
        reason: What a line of the log says of it.
    """

    code: int | None = None
    reason: str = "connection at its end"


class Connection(Protocol):
    """An open connection, such as those of `bing_llm.backends.http`."""

    async def read(self) -> bytes | End:
        """Wait for the next piece; nothing follows an `End`.

        Raises:
            BingError: The other end broke the rules, or refused.
        """

    async def send(self, data: bytes) -> None:
        """Send one message.

        Raises:
            ConnectionLost: The connection broke.
        """

    def abort(self) -> None:
        """Drop the connection now. May be called twice."""

    def hang_up(self) -> None:
        """Close the connection now, after what was sent."""


class Transport:
    """A connection that is read by a task of its own, which ends with it.

    The task belongs to the running loop. It reads ahead while nobody waits, up to a bound.

    Attributes:
        reader: The task; when it is done, nothing further comes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._received: deque[bytes] = deque()
        self._received_bytes = 0
        self._ending: End | BaseException | None = None  # that comes after what was received
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        # A loop may be closed while the task waits; `abort` then ends its coroutine.
        self.reader = AbandonedTask(self._read(), loop=self._loop)
        self.reader.add_done_callback(self._read_ended)

    async def receive(self, seconds: float) -> bytes | End:
        """Wait for the next piece.

        Raises:
            TimeoutError: Nothing came in that many seconds; it may be called again.
            BingError: The other end broke the rules, or refused; the same error again when called again.
        """
        piece = self.ready()
        if piece is None:
            async with asyncio.timeout(seconds):
                while (piece := self.ready()) is None:
                    self._waiter = self._loop.create_future()
                    await self._waiter
        return piece

    def ready(self) -> bytes | End | None:
        """The next piece if it has come already, else None; the end again and again.

        Raises:
            BingError: As `receive`.
        """
        if self._received:
            piece = self._received.popleft()
            self._received_bytes -= len(piece)
            if self._room is not None and self._received_bytes <= READ_AHEAD_BYTES // 2:
                _wake(self._room)
            return piece
        if isinstance(self._ending, BaseException):
            raise self._ending
        return self._ending

    async def send(self, data: bytes) -> None:
        """Send one message.

        Raises:
            ConnectionLost: The connection broke.
        """
        await self._connection.send(data)

    def abort(self) -> None:
        """Drop the connection now. What was not sent yet is lost. May be called twice."""
        self._connection.abort()
        self._stop_reading()

    def hang_up(self) -> None:
        """Close the connection now, after what was sent."""
        self._connection.hang_up()
        self._stop_reading()

    async def _read(self) -> End:
        while not isinstance(piece := await self._connection.read(), End):
            self._received.append(piece)
            self._received_bytes += len(piece)
            _wake(self._waiter)
            if self._received_bytes > READ_AHEAD_BYTES:
                self._room = self._loop.create_future()
                await self._room
                self._room = None
        return piece

    def _read_ended(self, reader: asyncio.Task[End]) -> None:
        if reader.cancelled():  # by somebody else, such as `asyncio.run` at its end
            self._end(asyncio.CancelledError())
        else:
            self._end(reader.exception() or reader.result())

    def _end(self, ending: End | BaseException) -> None:
        if self._ending is None:
            self._ending = ending
            _wake(self._waiter)

    def _stop_reading(self) -> None:
        if not self._loop.is_closed():
            self._end(End())
            self.reader.cancel()
            return
        self._ending = End()
        with suppress(RuntimeError):  # the loop is closed: what was waited for cannot be cancelled
            self.reader.get_coro().close()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
