"""A connection whose waits have limits: what has come is there without a wait, and nothing is left when it ends."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import TypeAlias

import pytest

from bing_llm import errors
from bing_llm.backends import transport as transport_module
from bing_llm.backends.http import Http
from bing_llm.backends.transport import READ_AHEAD_BYTES, End, Opening, Transport
from bing_llm.sync import run
from tests.backends.connecting import open_socket, talking
from tests.backends.serving import GRACE_S, Server, frame, silent, upgraded

Piece: TypeAlias = bytes | End | Exception
"""What is read, or what is raised instead."""


class Connection:
    """A connection with a script, after which nothing comes until it is left."""

    def __init__(self, *script: Piece) -> None:
        self.script: deque[Piece] = deque(script)
        self.sent: list[bytes] = []
        self.ends: list[str] = []

    async def read(self) -> list[bytes | End]:
        """The next piece."""
        while not self.script:
            await asyncio.Event().wait()
        return self.ready()

    def ready(self) -> list[bytes | End]:
        """The next piece."""
        if not self.script:
            return []
        piece = self.script.popleft()
        if isinstance(piece, Exception):
            raise piece
        return [piece]

    async def send(self, data: bytes) -> None:
        """Keep it; the other end never reads what is long."""
        self.sent.append(data)
        if len(data) > 1000:
            await asyncio.Event().wait()

    def abort(self) -> None:
        """Note it."""
        self.ends.append("abort")

    def hang_up(self) -> None:
        """Note it."""
        self.ends.append("hang up")


async def come(transport: Transport) -> list[bytes | End]:
    """The next pieces, taken with `ready` alone."""

    async def look() -> list[bytes | End]:
        while not (pieces := transport.ready()):  # noqa: ASYNC110 - a look has no event
            await asyncio.sleep(0)
        return list(pieces)

    return await asyncio.wait_for(look(), GRACE_S)


# --- pieces -----------------------------------------------------------------------------------------------------------


async def test_what_has_come_is_taken_without_a_wait() -> None:
    """Pieces that are there come at once and in order, then none; the next one is waited for."""
    async with talking() as (opened, talker):
        transport = Transport(opened)
        assert list(transport.ready()) == []
        talker.say("one", "two", "three")
        assert await come(transport) == [b"one", b"two", b"three"]
        assert list(transport.ready()) == []
        waiting = asyncio.ensure_future(transport.receive(GRACE_S))
        await asyncio.sleep(0)
        talker.say("four", "five")
        assert await waiting == [b"four", b"five"]
        transport.abort()


async def test_a_wait_that_ends_loses_nothing() -> None:
    """A wait that was cancelled or ran out, and a look that found nothing, leave the next piece to the next one."""
    async with talking() as (opened, talker):
        transport = Transport(opened)
        for number in range(3):
            with pytest.raises(TimeoutError):
                await transport.receive(0.001)
            assert not transport.ready()
            waiting = asyncio.ensure_future(transport.receive(GRACE_S))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not transport.ready()
            talker.say(str(number))
            take = transport.receive(GRACE_S) if number % 2 else come(transport)
            assert await take == [str(number).encode()]
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
    """More messages than are read at once come in order: the connection is read on."""
    async with talking() as (opened, talker):
        transport = Transport(opened)
        texts = [str(number) + "." * 100 for number in range(1500)]
        talker.say(*texts)
        came: list[bytes | End] = []
        while len(came) < len(texts):
            came += await come(transport)
        assert came == [text.encode() for text in texts]
        transport.abort()


class Clock:
    """A loop's time and its timers, which a test moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.set = 0
        self._due: list[tuple[float, Callable[[], None], asyncio.Handle]] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now)
        monkeypatch.setattr(loop, "call_at", self._call_at)

    def _call_at(self, at: float, call: Callable[[], None], *, context: Context) -> asyncio.Handle:
        self.set += 1
        handle = asyncio.Handle(call, (), asyncio.get_running_loop(), context)
        self._due.append((at, call, handle))
        return handle

    def move(self, seconds: float) -> None:
        """Let time pass, and do what is due."""
        self.now += seconds
        due, self._due = self._due, []
        for at, call, handle in due:
            if handle.cancelled():
                continue
            if at <= self.now:
                call()
            else:
                self._due.append((at, call, handle))


async def test_one_timer_serves_all_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is set for the first wait, and when it goes off; each wait ends in its own time."""
    clock = Clock(monkeypatch)
    connection = Connection()
    transport = Transport(connection)
    for number in range(20):
        waiting = asyncio.ensure_future(transport.receive(5.0))
        connection.script.append(b"%d" % number)
        await asyncio.sleep(0)
        assert await waiting == [b"%d" % number]
        clock.now += 0.2
    assert clock.set == 1
    waiting = asyncio.ensure_future(transport.receive(5.0))
    await asyncio.sleep(0)
    clock.move(4.0)  # 8 s after the timer was set, 4 s after the wait began
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.move(1.0)
    with pytest.raises(TimeoutError):
        await waiting
    waiting = asyncio.ensure_future(transport.receive(0.5))
    await asyncio.sleep(0)
    clock.move(0.5)
    with pytest.raises(TimeoutError):
        await waiting
    transport.abort()
    clock.move(1000.0)
    assert clock.set <= 6


async def test_a_wait_that_ends_does_not_hide_that_its_task_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cancels the task at the same moment finds it cancelled, and its count of cancellations is unchanged."""
    clock = Clock(monkeypatch)
    transport = Transport(Connection())
    waiting = asyncio.ensure_future(transport.receive(5.0))
    await asyncio.sleep(0)
    clock.move(5.0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiting.cancelling() == 1
    transport.abort()


async def test_what_nobody_takes_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, up to a bound, so that a server's pings are answered; the rest is read when there is room again."""
    clock = Clock(monkeypatch)
    half = b"x" * (READ_AHEAD_BYTES // 2)
    connection = Connection(b"first")
    transport = Transport(connection)
    assert await transport.receive(GRACE_S) == [b"first"]
    connection.script += [half] * 6
    for _ in range(3):
        clock.move(GRACE_S)
        assert len(connection.script) == 4
    assert [*transport.ready(), *transport.ready()] == [half] * 2
    clock.move(GRACE_S)
    assert len(connection.script) == 2
    assert [*await transport.receive(GRACE_S), *await transport.receive(GRACE_S)] == [half] * 2
    connection.script.append(End(1000))
    clock.move(GRACE_S)
    clock.move(GRACE_S)
    assert [*transport.ready(), *transport.ready()] == [half] * 2
    assert [[*transport.ready()], [*transport.ready()]] == [[End(1000)]] * 2


async def test_what_was_read_ahead_is_given_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once may be more lines than one look at the clock allows."""
    clock = Clock(monkeypatch)
    connection = Connection(b"first")
    transport = Transport(connection)
    assert await transport.receive(GRACE_S) == [b"first"]
    connection.script += [b"\n" * 4096] * 3
    clock.move(GRACE_S)
    assert not connection.script
    assert [len(transport.ready()) for _ in range(4)] == [1, 1, 1, 0]
    transport.abort()


async def test_a_failure_that_was_read_ahead_is_raised_after_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever asks for the next piece."""
    clock = Clock(monkeypatch)
    failure = errors.ProtocolError("No.")
    connection = Connection(b"first")
    transport = Transport(connection)
    assert await transport.receive(GRACE_S) == [b"first"]
    connection.script += [b"one", failure]
    clock.move(GRACE_S)
    assert [*transport.ready()] == [b"one"]
    with pytest.raises(errors.ProtocolError):
        transport.ready()


async def test_a_ping_is_answered_while_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose WebSocket pings are not answered would close the connection."""
    monkeypatch.setattr(transport_module, "LOOK_SECONDS", 0.01)
    answered = asyncio.Event()

    async def ping(_request: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(b"one"))
        writer.write(frame(b"are you there", opcode=9))
        await reader.read(1)
        answered.set()

    http = Http()
    async with Server(upgraded(ping)) as server:
        transport = Transport(await open_socket(http, server.url("/a", "ws")))
        assert await transport.receive(0.02) == [b"one"]
        await asyncio.wait_for(answered.wait(), GRACE_S)
        transport.abort()
        await http.aclose()


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_the_end_comes_after_the_pieces_again_and_again() -> None:
    """It has the code of the connection's end."""
    transport = Transport(Connection(b"one", End(1000)))
    assert [await transport.receive(GRACE_S), await transport.receive(GRACE_S)] == [[b"one"], [End(1000)]]
    assert [transport.ready(), await transport.receive(GRACE_S)] == [[End(1000)]] * 2


async def test_a_failure_is_raised_again_and_again() -> None:
    """By a look and by a wait, after the pieces before it."""
    failure = errors.ProtocolError("No.")
    transport = Transport(Connection(b"one", failure))
    assert await transport.receive(GRACE_S) == [b"one"]
    for _ in range(2):
        with pytest.raises(errors.ProtocolError) as caught:
            await transport.receive(GRACE_S)
        assert caught.value is failure
        with pytest.raises(errors.ProtocolError):
            transport.ready()


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
        assert await waiting == [End()]
        assert transport.ready() == [End()]


async def test_data_is_sent_over_the_connection() -> None:
    """Data is sent unchanged."""
    connection = Connection()
    transport = Transport(connection)
    await transport.send(b"one", 9.0)
    assert connection.sent == [b"one"]
    transport.abort()


LONG = b"." * 1001


@pytest.mark.parametrize("reads", [False, True])
async def test_a_peer_that_does_not_read_is_not_waited_for_longer(*, reads: bool) -> None:
    """A message that is not taken in its time raises TimeoutError, also while another task waits for what comes."""
    connection = Connection()
    transport = Transport(connection)
    waiting = asyncio.ensure_future(transport.receive(9.0)) if reads else None
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await transport.send(LONG, 0.001)
    if waiting is not None:
        connection.script.append(b"one")
        waiting.cancel()
    transport.abort()


async def test_a_cancelled_send_is_cancelled() -> None:
    """Who cancels the task sees it cancelled, and the next message is sent as any other."""
    connection = Connection()
    transport = Transport(connection)
    sending = asyncio.ensure_future(transport.send(LONG, 9.0))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await transport.send(b"one", 9.0)
    assert connection.sent == [LONG, b"one"]
    transport.abort()


async def test_a_send_ends_with_its_connection() -> None:
    """Whoever waits to send hears that the connection was closed; nothing is left that waits."""
    transport = Transport(Connection())
    sending = asyncio.ensure_future(transport.send(LONG, 9.0))
    await asyncio.sleep(0)
    transport.abort()
    with pytest.raises(errors.ConnectionLost):
        await sending
    with pytest.raises(TimeoutError):
        await transport.send(LONG, 0.001)


@pytest.mark.parametrize("left", [False, True])
def test_a_loop_that_is_closed_takes_its_connection_along(*, left: bool) -> None:
    """Without `shutdown_asyncgens`, too: nothing complains, and the other end sees the end."""
    server = Server(upgraded(silent))
    run(server.__aenter__())
    loop = asyncio.new_event_loop()
    http = Http()

    async def begin(client: Http) -> Transport:
        begun = Transport(await open_socket(client, server.url("/a", "ws")))
        with pytest.raises(TimeoutError):
            await begun.receive(0.001)
        return begun

    transport = loop.run_until_complete(begin(http))
    loop.close()
    if left:
        transport.abort()
        transport.abort()
        assert transport.ready() == [End()]
    else:
        asyncio.run(http.aclose())
    del transport, http
    gc.collect()
    run(server.idle())
    run(server.__aexit__())


# --- a connection that is still opened --------------------------------------------------------------------------------


async def send(data: bytes) -> None:
    """Not used."""
    raise NotImplementedError


async def test_a_wait_for_a_connection_may_end_before_it_is_open() -> None:
    """The next wait goes on with it, and gets what it brings."""
    open_now = asyncio.Event()

    async def opened() -> Connection:
        await open_now.wait()
        return Connection(b"one", End(1000))

    transport = Transport(Opening(opened, send))
    for _ in range(2):
        assert not transport.ready()
        with pytest.raises(TimeoutError):
            await transport.receive(0.001)
    open_now.set()
    assert await transport.receive(GRACE_S) == [b"one"]
    assert transport.ready() == [End(1000)]


async def test_a_connection_that_cannot_be_opened_says_why() -> None:
    """To who looks, to who waits, and to who asks; and it is not logged as a task's failure that nobody saw."""

    async def refused() -> Connection:
        raise errors.ServiceError("No.")

    opening = Opening(refused, send)
    opening.check()
    with pytest.raises(errors.ServiceError):
        await opening.read()
    with pytest.raises(errors.ServiceError):
        opening.ready()
    with pytest.raises(errors.ServiceError):
        opening.check()
    unseen = Opening(refused, send)
    await asyncio.wait([unseen.task])
    del unseen
    gc.collect()


async def test_leaving_ends_what_opens_a_connection() -> None:
    """It is cancelled, and whoever waits hears of the end; a connection that comes all the same is dropped."""
    connection, over = Connection(), asyncio.Event()

    async def open_slowly() -> Connection:
        try:
            await asyncio.Event().wait()
        finally:
            over.set()
        raise AssertionError

    async def open_all_the_same() -> Connection:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return connection

    transport = Transport(Opening(open_slowly, send))
    waiting = asyncio.ensure_future(transport.receive(GRACE_S))
    await asyncio.sleep(0)
    transport.abort()
    assert await waiting == [End()]
    await asyncio.wait_for(over.wait(), GRACE_S)
    stubborn = Opening(open_all_the_same, send)
    await asyncio.sleep(0)
    stubborn.abort()
    await asyncio.wait([stubborn.task])
    assert connection.ends == ["abort"]
    stubborn.abort()
    assert connection.ends == ["abort"] * 2


@pytest.mark.parametrize("begun", [False, True])
async def test_an_opening_that_others_cancel_cancels_who_waits(*, begun: bool) -> None:
    """`asyncio.run` cancels every task when it ends, even one that has not begun."""

    async def never() -> Connection:
        await asyncio.Event().wait()
        raise AssertionError

    opening = Opening(never, send)
    if begun:
        await asyncio.sleep(0)
    opening.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await Transport(opening).receive(GRACE_S)


@pytest.mark.parametrize("left", [False, True])
def test_a_loop_that_is_closed_takes_an_opening_along(*, left: bool) -> None:
    """No task complains that it is destroyed."""
    loop = asyncio.new_event_loop()

    async def never() -> Connection:
        await asyncio.Event().wait()
        raise AssertionError

    async def begin() -> Opening:
        opening = Opening(never, send)
        await asyncio.sleep(0)
        return opening

    opening = loop.run_until_complete(begin())
    loop.close()
    if left:
        opening.abort()
    del opening
    gc.collect()
