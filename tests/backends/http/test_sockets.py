"""WebSockets: the upgrade, messages, and how they are left."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import Callable

import aiohttp
import pytest
import trustme

from bing_llm.backends import http as http_module
from bing_llm.backends.http import Http, Socket, UpgradeRefused
from bing_llm.backends.transport import End
from bing_llm.errors import ConnectionLost, ProtocolError
from bing_llm.sync import run
from tests.backends.connecting import (
    TOKEN,
    failure,
    greet,
    open_socket,
    talking,
)
from tests.backends.serving import GRACE_S, Request, Server, deaf, frame, reply, silent, upgraded


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [
        (reply(), 200, None),
        (reply(b"<html>", 403), 403, None),
        (reply(status=502, headers={"Retry-After": "3"}), 502, 3.0),
        (reply(status=302, headers={"Location": "ws://127.0.0.1:1/hunter2"}), 302, None),
    ],
)
async def test_a_refused_upgrade_has_its_answer(answer: bytes, status: int, retry_after: float | None) -> None:
    """Anything but a WebSocket raises UpgradeRefused with the answer; neither the URL nor its token shows."""
    http = Http()
    async with Server(answer) as server:
        error = await failure(UpgradeRefused, open_socket(http, server.url(f"/a{TOKEN}", "ws")))
        assert (error.response.status, error.response.retry_after) == (status, retry_after)
        assert str(error) == f"HTTP {status} instead of 101"
        assert "/a" not in str(error)
        assert len(server.requests) == 1
        await http.aclose()


async def test_an_upgrade_that_breaks_the_rules_is_a_protocol_error() -> None:
    """101 without the right key is no WebSocket, and no server that another attempt would mend."""
    http = Http()
    async with Server(reply(status=101, headers={"Upgrade": "websocket", "Connection": "Upgrade"})) as server:
        error = await failure(ProtocolError, open_socket(http, server.url(f"/a{TOKEN}", "ws")))
        assert "/a opens a WebSocket, but not by the rules" in str(error)
        await http.aclose()


async def test_an_upgrade_is_not_sent_on() -> None:
    """A redirect of an upgrade is not followed: its token is for this host alone."""
    http = Http()
    async with Server(upgraded(greet)) as elsewhere:
        moved = reply(status=307, headers={"Location": elsewhere.url("/b", "ws")})
        async with Server(moved) as server:
            await failure(UpgradeRefused, open_socket(http, server.url(f"/a{TOKEN}", "ws")))
            assert elsewhere.requests == []
            await http.aclose()


async def test_a_socket_brings_messages() -> None:
    """An open socket gives what the server sends, and the upgrade carried the headers."""
    http = Http()
    async with Server(upgraded(greet)) as server:
        opened = await open_socket(http, server.url("/a", "ws"))
        assert await opened.read() == [b"hello"]
        assert server.requests[0].headers["x-a"] == "b"
        opened.hang_up()
        await server.idle()
        await http.aclose()


async def test_a_response_may_be_shown() -> None:
    """The warnings of aiohttp hold its repr, in which neither the query nor a header stands."""
    http = Http()
    async with Server(upgraded(greet)) as server:
        opened = await open_socket(http, server.url(f"/a{TOKEN}", "ws"))
        assert repr(opened._socket.upgrade) == f"<ClientResponse({server.url('/a', 'ws')}) [101]>"
        opened.abort()
        await http.aclose()


async def test_a_message_has_a_limit() -> None:
    """A message over the limit ends the socket instead of filling memory, and names the limit."""
    http = Http()
    async with Server(upgraded(greet)) as server:
        opened = await open_socket(http, server.url("/a", "ws"), max_bytes=4)
        error = await failure(ProtocolError, opened.read())
        assert error.message == "The service sent over 4 bytes in one message (limits.frame_bytes)."
        opened.abort()
        await http.aclose()


# --- messages ---------------------------------------------------------------------------------------------------------


async def test_the_end_is_taken_with_its_code() -> None:
    """The close frame comes after the messages before it, with its code; then the socket is closed."""
    async with talking() as (opened, talker):
        talker.say("one")
        talker.writer.write(frame((1000).to_bytes(2, "big"), opcode=8))
        assert await opened.read() == [b"one"]
        assert await opened.read() == [End(1000, "socket at its end, code 1000")]
        assert await opened.read() == [End(None, "socket at its end, code None")]


async def test_an_end_without_a_code_has_one() -> None:
    """RFC 6455 has a code for that."""
    async with talking() as (opened, talker):
        talker.writer.write(frame(b"", opcode=8))
        assert await opened.read() == [End(1005, "socket at its end, code 1005")]


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (frame(b"x", opcode=2), "The service sent a binary message; the ChatHub sends text."),
        (frame(b"x", opcode=3), "The service broke the WebSocket protocol (Unexpected opcode=3)."),
    ],
    ids=["binary", "opcode"],
)
async def test_what_is_not_text_is_a_protocol_error(sent: bytes, says: str) -> None:
    """A binary message, and what breaks the rules of WebSockets."""
    async with talking() as (opened, talker):
        talker.writer.write(sent)
        assert (await failure(ProtocolError, opened.read())).message == says


async def test_a_ping_that_cannot_be_answered_hides_nothing() -> None:
    """What came before the connection broke is given, though the pings amid it are answered no more."""
    async with talking() as (opened, talker):
        talker.writer.write(frame(b"", opcode=9) + frame(b"one") + frame(b"", opcode=9) * 2 + frame(b"two"))
        talker.over.set()
        await asyncio.wait_for(closing_of(opened), GRACE_S)
        assert [await opened.read(), await opened.read()] == [[b"one"], [b"two"]]
        assert isinstance((await opened.read())[0], End)


@pytest.mark.parametrize("can_look", [True, False])
async def test_what_has_come_is_taken_without_a_wait(*, can_look: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts come in order, pings among them are answered, and the end has its code; also if aiohttp hides its queue."""
    if not can_look:
        monkeypatch.setattr(http_module, "_waiting_in", lambda _queue: None)
    async with talking() as (opened, talker):
        assert opened.ready() == []
        talker.say("one", "two")
        talker.writer.write(frame(b"", opcode=9))
        talker.say("three")
        talker.writer.write(frame((1000).to_bytes(2, "big"), opcode=8))
        came: list[bytes | End] = []
        while not (came and isinstance(came[-1], End)):
            came += await asyncio.wait_for(looked(opened), GRACE_S)
        assert came == [b"one", b"two", b"three", End(1000, "socket at its end, code 1000")]


async def looked(opened: Socket) -> list[bytes | End]:
    """What comes next, by looks alone."""
    while not (pieces := opened.ready()):  # noqa: ASYNC110 - a look has no event
        await asyncio.sleep(0)
    return pieces


async def test_messages_that_have_come_are_read_together() -> None:
    """A wait takes all that came with the message it waited for."""
    async with talking() as (opened, talker):
        waiting = asyncio.ensure_future(opened.read())
        await asyncio.sleep(0)
        talker.say("one", "two", "three")
        assert await waiting == [b"one", b"two", b"three"]


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    """The next one gets the message."""
    async with talking() as (opened, talker):
        waiting = asyncio.ensure_future(opened.read())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        talker.say("one")
        assert await opened.read() == [b"one"]


async def test_what_cannot_be_sent_is_a_lost_connection() -> None:
    """The cause is what the library raised."""
    async with talking() as (opened, _):
        opened.abort()
        error = await failure(ConnectionLost, opened.send(b"hello"))
        assert isinstance(error.__cause__, OSError | aiohttp.ClientError)


async def closing_of(opened: Socket) -> None:
    """Wait until the connection is known to have ended."""
    while not opened._socket.transport.is_closing():  # noqa: ASYNC110 - a transport has no event for it
        await asyncio.sleep(0)


async def ends_of(leave: Callable[[Socket], None]) -> bytes:
    """What a server reads of a socket that is left in this way right after something was sent; empty for a reset."""
    read: list[bytes] = []

    async def listen(_request: Request, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        read.append(await reader.read())

    http = Http()
    async with Server(upgraded(listen)) as server:
        opened = await open_socket(http, server.url("/a", "ws"))
        await opened.send(b"hello")
        leave(opened)
        leave(opened)
        await server.idle()
        await http.aclose()
    return b"".join(read)


async def test_a_socket_that_is_hung_up_has_sent_everything() -> None:
    """Hanging up ends the connection at once, but after what was sent. It may be done twice."""
    assert len(await ends_of(Socket.hang_up)) == 2 + 4 + len("hello")


async def test_a_socket_that_is_aborted_is_gone_at_once() -> None:
    """Aborting drops the connection, even while the other end reads nothing and the buffers are full."""
    http = Http()
    async with Server(upgraded(deaf)) as server:
        opened = await open_socket(http, server.url("/a", "ws"))
        sending = asyncio.ensure_future(opened.send(b"x" * 50_000_000))
        done, _ = await asyncio.wait({sending}, timeout=0.05)
        assert not done
        opened.abort()
        opened.abort()
        await asyncio.wait({sending}, timeout=GRACE_S)
        assert isinstance(sending.exception(), ConnectionLost)
        assert opened._socket.transport.is_closing()
        await http.aclose()


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_socket_whose_loop_was_closed_is_dropped(
    authority: trustme.CA,
    server_tls: ssl.SSLContext,
    *,
    encrypted: bool,
) -> None:
    """Without `shutdown_asyncgens`, too: the other end sees it, and no warning is left."""
    server = Server(upgraded(silent), tls=server_tls if encrypted else None)
    run(server.__aenter__())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    loop = asyncio.new_event_loop()
    http = Http(ssl_context=context)
    opened = loop.run_until_complete(open_socket(http, server.url("/a", "ws")))
    loop.close()
    opened.abort()
    opened.abort()
    run(server.idle())
    run(server.__aexit__())
    del opened, http
    gc.collect()
