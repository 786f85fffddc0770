"""A connection that a task reads: what has come is there without a wait, and nothing is left when it ends."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from bing_llm import errors
from bing_llm.backends.http import Http
from bing_llm.backends.transport import READ_AHEAD_BYTES, End, Transport
from bing_llm.sync import run
from tests.backends.connecting import open_socket, talking
from tests.backends.serving import GRACE_S, Server, frame, silent, upgraded

Piece: TypeAlias = bytes | End | Exception | Callable[[], Awaitable[bytes | End]]
"""What is read, what is raised instead, or what is awaited."""


class Connection:
    """A connection with a script, after which nothing comes until it is left."""

    def __init__(self, *script: Piece) -> None:
        self.script: deque[Piece] = deque(script)
        self.sent: list[bytes] = []
        self.ends: list[str] = []

    async def read(self) -> bytes | End:
        """The next piece."""
        while not self.script:
            await asyncio.Event().wait()
        piece = self.script.popleft()
        if isinstance(piece, Exception):
            raise piece
        return await piece() if callable(piece) else piece

    async def send(self, data: bytes) -> None:
        """Keep it."""
        self.sent.append(data)

    def abort(self) -> None:
        """Note it."""
        self.ends.append("abort")

    def hang_up(self) -> None:
        """Note it."""
        self.ends.append("hang up")


async def come(transport: Transport) -> bytes | End:
    """The next piece, taken with `ready` alone."""

    async def look() -> bytes | End:
        while (piece := transport.ready()) is None:  # noqa: ASYNC110 - a look has no event
            await asyncio.sleep(0)
        return piece

    return await asyncio.wait_for(look(), GRACE_S)


# --- pieces -----------------------------------------------------------------------------------------------------------


async def test_what_has_come_is_taken_without_a_wait() -> None:
    """Pieces that are there come at once and in order, then None; the next one is waited for."""
    async with talking() as (opened, talker):
        transport = Transport(opened)
        assert transport.ready() is None
        talker.say("one", "two", "three")
        assert await come(transport) == b"one"
        assert [transport.ready(), transport.ready(), transport.ready()] == [b"two", b"three", None]
        waiting = asyncio.ensure_future(transport.receive(GRACE_S))
        await asyncio.sleep(0)
        talker.say("four", "five")
        assert await waiting == b"four"
        assert transport.ready() == b"five"
        transport.abort()


async def test_a_wait_that_ends_loses_nothing() -> None:
    """A wait that was cancelled or ran out, and a look that found nothing, leave the next piece to the next one."""
    async with talking() as (opened, talker):
        transport = Transport(opened)
        for number in range(3):
            with pytest.raises(TimeoutError):
                await transport.receive(0.001)
            assert transport.ready() is None
            waiting = asyncio.ensure_future(transport.receive(GRACE_S))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert transport.ready() is None
            talker.say(str(number))
            take = transport.receive(GRACE_S) if number % 2 else come(transport)
            assert await take == str(number).encode()
        transport.abort()


async def test_websocket_pings_do_not_put_off_the_end_of_a_wait() -> None:
    """A wait ends in time, however many WebSocket pings come, and the socket can be waited for again."""

    async def ping(_request: object, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(500):
            writer.write(frame(b"", opcode=9))
            await asyncio.sleep(0.01)  # the pace of the server, not a wait of the test

    http = Http()
    async with Server(upgraded(ping)) as server:
        transport = Transport(await open_socket(http, server.url("/a", "ws")))
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await transport.receive(0.1)
        transport.abort()
        await http.aclose()


async def test_a_flood_is_taken_whole() -> None:
    """More messages than are read ahead come one by one: the connection is read on."""
    async with talking() as (opened, talker):
        transport = Transport(opened)
        texts = [str(number) + "." * 100 for number in range(1500)]
        talker.say(*texts)
        assert [await come(transport) for _ in texts] == [text.encode() for text in texts]
        transport.abort()


async def test_no_more_is_read_ahead_than_a_bound() -> None:
    """What nobody takes stays with the service, and is read when there is room again."""
    half = b"x" * (READ_AHEAD_BYTES // 2)
    connection = Connection(*[half] * 6)
    transport = Transport(connection)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(connection.script) == 3
    assert [await transport.receive(GRACE_S) for _ in range(6)] == [half] * 6
    assert transport.ready() is None
    transport.abort()


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_the_end_comes_after_the_pieces_again_and_again() -> None:
    """It has the code of the connection's end."""
    transport = Transport(Connection(b"one", End(1000)))
    assert [await transport.receive(GRACE_S), await transport.receive(GRACE_S)] == [b"one", End(1000)]
    assert [transport.ready(), await transport.receive(GRACE_S)] == [End(1000)] * 2


async def test_a_failure_is_raised_again_and_again() -> None:
    """By a look and by a wait, after the pieces before it."""
    failure = errors.ProtocolError("No.")
    transport = Transport(Connection(b"one", failure))
    assert await transport.receive(GRACE_S) == b"one"
    for _ in range(2):
        with pytest.raises(errors.ProtocolError) as caught:
            await transport.receive(GRACE_S)
        assert caught.value is failure
        with pytest.raises(errors.ProtocolError):
            transport.ready()


async def test_a_failure_that_nobody_sees_is_not_logged() -> None:
    """Asyncio would log the exception of a task that nobody has looked at."""
    transport = Transport(Connection(errors.ServiceError("No.")))
    await asyncio.sleep(0)
    transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize("leave", [Transport.hang_up, Transport.abort])
async def test_a_connection_that_was_left_is_at_its_end(leave: Callable[[Transport], None]) -> None:
    """Whoever waits hears of it, and nothing further is read; it may be left twice."""
    async with talking() as (opened, talker):
        transport = Transport(opened)
        waiting = asyncio.ensure_future(transport.receive(GRACE_S))
        await asyncio.sleep(0)
        leave(transport)
        leave(transport)
        talker.say("too late")
        assert await waiting == End()
        assert transport.ready() == End()


async def test_leaving_ends_what_is_read() -> None:
    """A connection that is still opening is cancelled."""
    over = asyncio.Event()

    async def open_slowly() -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            over.set()
        raise AssertionError

    connection = Connection(open_slowly)
    transport = Transport(connection)
    await asyncio.sleep(0)
    transport.abort()
    assert connection.ends == ["abort"]
    await asyncio.wait_for(over.wait(), GRACE_S)
    await asyncio.sleep(0)
    assert transport.reader.cancelled()


@pytest.mark.parametrize("begun", [False, True])
async def test_a_reader_that_others_cancel_cancels_who_waits(*, begun: bool) -> None:
    """`asyncio.run` cancels every task when it ends, even one that has not begun."""
    transport = Transport(Connection())
    if begun:
        await asyncio.sleep(0)
    transport.reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await transport.receive(GRACE_S)


async def test_data_is_sent_over_the_connection() -> None:
    """Data is sent unchanged."""
    connection = Connection()
    transport = Transport(connection)
    await transport.send(b"one")
    assert connection.sent == [b"one"]
    transport.abort()


@pytest.mark.parametrize("left", [False, True])
def test_a_loop_that_is_closed_takes_its_reader_along(*, left: bool) -> None:
    """Without `shutdown_asyncgens`, too: no task complains that it is destroyed, and the other end sees the end."""
    server = Server(upgraded(silent))
    run(server.__aenter__())
    loop = asyncio.new_event_loop()
    http = Http()

    async def begin(client: Http) -> Transport:
        begun = Transport(await open_socket(client, server.url("/a", "ws")))
        await asyncio.sleep(0)
        return begun

    transport = loop.run_until_complete(begin(http))
    loop.close()
    if left:
        transport.abort()
        transport.abort()
        assert transport.ready() == End()
    else:
        asyncio.run(http.aclose())
    del transport, http
    gc.collect()
    run(server.idle())
    run(server.__aexit__())
