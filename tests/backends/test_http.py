"""Connections: a session for each loop, and aiohttp's errors as ours."""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any, TypeVar

import aiohttp
import pytest
import trustme
from aiohttp import WSMsgType

from bing_llm.backends import http as http_module
from bing_llm.backends.answer import Answer
from bing_llm.backends.http import ByteStream, Http, Socket, UpgradeRefused
from bing_llm.errors import BingError, ConnectionFailed, ConnectionLost, ProtocolError, TimedOut
from bing_llm.sync import run
from tests.backends.serving import GRACE_S, Request, Server, cut_off, deaf, frame, reply, silent, upgraded

T = TypeVar("T", bound=Exception)
T2 = TypeVar("T2")

TOKEN = "?sec_access_token=hunter2"


async def fetch(http: Http, url: str, *, seconds: float = GRACE_S, **options: Any) -> Answer:
    """One GET."""
    return await http.request("GET", url, what="the call", seconds=seconds, headers={"X-A": "b"}, **options)


async def open_socket(http: Http, url: str, *, seconds: float = GRACE_S, max_bytes: int = 1000) -> Socket:
    """One WebSocket."""
    return await http.connect(url, what="the socket", seconds=seconds, headers={"X-A": "b"}, max_bytes=max_bytes)


CALLS: list[Callable[..., Coroutine[Any, Any, object]]] = [fetch, open_socket]


async def failure(kind: type[T], call: Coroutine[Any, Any, object]) -> T:
    """The error that a call raises; nothing that leads to it shows a secret."""
    with pytest.raises(kind) as caught:
        await call
    assert type(caught.value) is kind
    left: list[BaseException | None] = [caught.value]
    for exc in left:
        if exc is not None:
            assert "hunter2" not in f"{exc} {exc!r} {exc.args}"
            left += [exc.__cause__, exc.__context__]
    return caught.value


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that nobody listens on."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


# --- one call ---------------------------------------------------------------------------------------------------------


async def test_a_call_gives_status_headers_and_body() -> None:
    """Header names are in lower case, however they were spelled, and `Retry-After` is a number."""
    answer = reply(b"{}", 429, {"X-SYDNEY-ConversationSignature": "a+/=", "retry-AFTER": "7"})
    http = Http()
    async with Server(answer) as server:
        got = await fetch(http, server.url(f"/a{TOKEN}"))
        assert (got.status, got.body, got.retry_after) == (429, b"{}", 7.0)
        assert got.headers["x-sydney-conversationsignature"] == "a+/="
        assert server.requests[0].target == f"/a{TOKEN}"
        assert server.requests[0].headers["x-a"] == "b"
        await http.aclose()


async def test_calls_of_one_loop_share_a_connection() -> None:
    """A second call goes over the connection of the first."""
    http = Http()
    async with Server(reply()) as server:
        await fetch(http, server.url())
        await fetch(http, server.url())
        assert len(server.requests) == 2
        assert len(server._tasks) == 1
        await http.aclose()
        await server.idle()


async def test_a_redirect_of_a_call_is_an_answer() -> None:
    """A redirect is not followed: where it leads is the caller's to judge."""
    http = Http()
    async with Server(reply(status=302, headers={"Location": "/elsewhere"})) as server:
        assert (await fetch(http, server.url())).status == 302
        assert len(server.requests) == 1
        await http.aclose()


async def test_a_body_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A longer body than any that the service was seen to send is not held in memory."""

    async def endless(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(headers={"Content-Length": "1000000000"}))
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    monkeypatch.setattr(http_module, "MAX_BODY_BYTES", 1000)
    http = Http()
    async with Server(reply(b"x" * 1000), endless) as server:
        assert len((await fetch(http, server.url())).body) == 1000
        error = await failure(ProtocolError, fetch(http, server.url()))
        assert error.message == "The answer to the call is longer than 1,000 bytes."
        await server.idle()
        await http.aclose()


# --- what fails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
async def test_no_listener_is_a_failed_connection(
    call: Callable[..., Coroutine[Any, Any, object]], unused_port: int
) -> None:
    """The error names the public part of the URL and the system's reason, and has the system's error as its cause."""
    http = Http()
    error = await failure(ConnectionFailed, call(http, f"http://127.0.0.1:{unused_port}/a{TOKEN}"))
    assert error.message.startswith(f"There was no connection to http://127.0.0.1:{unused_port}/a for the ")
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert not error.permanent
    await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_slow_server_times_out(call: Callable[..., Coroutine[Any, Any, object]]) -> None:
    """The error names the limit and its length, and the connection is closed."""
    http = Http()
    async with Server(silent) as server:
        error = await failure(TimedOut, call(http, server.url(f"/a{TOKEN}"), seconds=0.05))
        assert error.message.endswith(f"from {server.url('/a')} within 0.05 seconds (timeouts.connect).")
        await server.idle()
        await http.aclose()


async def test_a_slow_body_times_out() -> None:
    """The limit is for the whole call, and the caller says which one it is."""

    async def slow(_request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"x" * 100)[:-50])
        await reader.read()

    http = Http()
    async with Server(slow) as server:
        error = await failure(TimedOut, fetch(http, server.url(), seconds=0.05, limit="silence"))
        assert error.message.endswith("(timeouts.silence).")
        await http.aclose()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"hunter2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Sydney-ConversationSignature: hunter2\r\nX-A: b\r\n",
        reply(b"x" * 100, headers={"X-Sydney-ConversationSignature": "hunter2"})[:-50],
    ],
    ids=["nothing", "garbage", "half a head", "half a body"],
)
@pytest.mark.parametrize("call", CALLS)
async def test_a_broken_answer_is_a_failed_connection(
    call: Callable[..., Coroutine[Any, Any, object]], sent: bytes
) -> None:
    """What is no whole answer raises ConnectionFailed; neither the URL's token nor the answer's headers show."""
    http = Http()
    async with Server(cut_off(sent)) as server:
        if call is open_socket and b"200 OK" in sent and sent.endswith(b"x"):
            await failure(UpgradeRefused, call(http, server.url(f"/a{TOKEN}", "ws")))
        else:
            error = await failure(ConnectionFailed, call(http, server.url(f"/a{TOKEN}")))
            assert error.message.startswith("There was no answer to the ")
        await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_is_sent_once(call: Callable[..., Coroutine[Any, Any, object]]) -> None:
    """A connection that breaks is one failed attempt: the library below sends nothing a second time by itself."""
    http = Http()
    async with Server(cut_off(b"")) as server:
        await failure(ConnectionFailed, call(http, server.url()))
        assert len(server.requests) == 1
        await http.aclose()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("url", ["http://exa mple/?hunter2", "nothing?hunter2", "ftp://127.0.0.1/?hunter2"])
async def test_a_bad_url_is_a_failed_connection(call: Callable[..., Coroutine[Any, Any, object]], url: str) -> None:
    """A URL that the library refuses is none of its exceptions."""
    http = Http()
    await failure(ConnectionFailed, call(http, url))
    await http.aclose()


async def test_headers_cannot_be_smuggled_in() -> None:
    """A line break in a header is refused before anything is sent."""
    http = Http()
    async with Server(reply()) as server:
        call = http.request("GET", server.url(), what="the call", seconds=5, headers={"A": "hunter2\r\nX: y"})
        assert type(await failure(ConnectionFailed, call)) is ConnectionFailed
        assert server.requests == []
        await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_cancelled_call_closes_its_connection(call: Callable[..., Coroutine[Any, Any, object]]) -> None:
    """A cancelled caller gets its CancelledError, leaves nothing open, and the client works on."""
    http = Http()
    async with Server(silent, reply()) as server:
        task = asyncio.ensure_future(call(http, server.url()))
        await server.asked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.idle()
        assert (await fetch(http, server.url())).status == 200
        await http.aclose()


# --- WebSockets -------------------------------------------------------------------------------------------------------


async def greet(_request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one text message, and wait for the end."""
    writer.write(frame(b"hello"))
    await reader.read()


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
        assert (error.answer.status, error.answer.retry_after) == (status, retry_after)
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
        message = await opened.receive(seconds=GRACE_S)
        assert (message.type, message.data) == (WSMsgType.TEXT, b"hello")
        assert server.requests[0].headers["x-a"] == "b"
        opened.hang_up()
        await server.idle()
        await http.aclose()


async def test_a_response_may_be_shown() -> None:
    """The warnings of aiohttp hold its repr, in which neither the query nor a header stands."""
    http = Http()
    async with Server(upgraded(greet)) as server:
        opened = await open_socket(http, server.url(f"/a{TOKEN}", "ws"))
        assert repr(opened._upgrade) == f"<ClientResponse({server.url('/a', 'ws')}) [101]>"
        opened.abort()
        await http.aclose()


async def test_a_message_has_a_limit() -> None:
    """A message over the limit ends the socket instead of filling memory."""
    http = Http()
    async with Server(upgraded(greet)) as server:
        opened = await open_socket(http, server.url("/a", "ws"), max_bytes=4)
        assert (await opened.receive(seconds=GRACE_S)).type is WSMsgType.ERROR
        opened.abort()
        await http.aclose()


async def test_websocket_pings_do_not_put_off_the_end_of_a_wait() -> None:
    """A wait ends in time, however many WebSocket pings come, and the socket can be waited for again."""

    async def ping(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(500):
            writer.write(frame(b"", opcode=9))
            await asyncio.sleep(0.01)  # the pace of the server, not a wait of the test

    http = Http()
    async with Server(upgraded(ping)) as server:
        opened = await open_socket(http, server.url("/a", "ws"))
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await opened.receive(seconds=0.1)
        opened.abort()
        await http.aclose()


# --- what has come already --------------------------------------------------------------------------------------------


class Talker:
    """A server's end of one WebSocket, for a test that decides what comes when."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.over = asyncio.Event()
        self.writer: asyncio.StreamWriter

    async def __call__(self, _request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold the connection until it shall end."""
        self.writer = writer
        self.opened.set()
        await self.over.wait()

    def say(self, *texts: str) -> None:
        """Send each text as a message."""
        self.writer.write(b"".join(frame(text.encode()) for text in texts))


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[Socket, Talker]]:
    """An open socket, and the server's end of it."""
    http, talker = Http(), Talker()
    async with Server(upgraded(talker)) as server:
        opened = await open_socket(http, server.url("/a", "ws"))
        await talker.opened.wait()
        yield opened, talker
        opened.abort()
        talker.over.set()
        await server.idle()
        await http.aclose()


async def taken(opened: Socket, count: int) -> list[Any]:
    """That many messages, taken with `ready` alone."""
    messages: list[Any] = []

    async def look() -> None:
        while len(messages) < count:
            message = opened.ready()
            if message is None:
                await asyncio.sleep(0)
            else:
                messages.append(message)

    await asyncio.wait_for(look(), GRACE_S)
    return messages


async def came(opened: Socket) -> Any:
    """The next message, taken with `ready` alone."""
    return (await taken(opened, 1))[0]


async def test_what_has_come_is_taken_without_a_wait() -> None:
    """Messages that are there come at once and in order, then None; the next one is waited for."""
    async with talking() as (opened, talker):
        assert opened.ready() is None
        talker.say("one", "two", "three")
        assert (await came(opened)).data == b"one"
        assert [opened.ready().data, opened.ready().data, opened.ready()] == [b"two", b"three", None]
        waiting = asyncio.ensure_future(opened.receive(seconds=GRACE_S))
        await asyncio.sleep(0)
        talker.say("four", "five")
        assert (await waiting).data == b"four"
        assert opened.ready().data == b"five"


async def test_a_look_between_waits_loses_nothing() -> None:
    """A wait that was cancelled or ran out, and a look that found nothing, leave the next message to the next one."""
    async with talking() as (opened, talker):
        for number in range(3):
            with pytest.raises(TimeoutError):
                await opened.receive(seconds=0.001)
            assert opened.ready() is None
            waiting = asyncio.ensure_future(opened.receive())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert opened.ready() is None
            talker.say(str(number))
            take = opened.receive(seconds=GRACE_S) if number % 2 else came(opened)
            assert (await take).data == str(number).encode()


async def test_a_look_does_not_touch_the_task_that_looks() -> None:
    """What ends the look is no cancellation of its caller."""
    async with talking() as (opened, _):
        task = asyncio.current_task()
        assert task is not None
        assert opened.ready() is None
        await asyncio.sleep(0)
        assert not task.cancelled()


async def test_a_flood_is_taken_whole() -> None:
    """More messages than the library buffers come out of `ready` one by one: the connection is read on."""
    async with talking() as (opened, talker):
        texts = [str(number) for number in range(5000)]
        talker.say(*texts)
        assert [message.data.decode() for message in await taken(opened, len(texts))] == texts


@pytest.mark.parametrize("leave", [Socket.hang_up, Socket.abort])
async def test_a_socket_that_was_left_says_that_it_is_at_its_end(leave: Callable[[Socket], None]) -> None:
    """After a look that found nothing the socket can be left, and what comes of it then is its end."""
    async with talking() as (opened, _):
        assert opened.ready() is None
        leave(opened)
        assert (await came(opened)).type is WSMsgType.CLOSED
        assert (await opened.receive(seconds=GRACE_S)).type is WSMsgType.CLOSED


async def test_the_end_is_taken_with_its_code() -> None:
    """The close frame comes after the messages before it, with its code; then the socket is closed."""
    async with talking() as (opened, talker):
        talker.say("one")
        talker.writer.write(frame((1000).to_bytes(2, "big"), opcode=8))
        assert (await came(opened)).data == b"one"
        end = await came(opened)
        assert (end.type, end.data) == (WSMsgType.CLOSE, 1000)
        assert (await came(opened)).type is WSMsgType.CLOSED


@pytest.mark.parametrize("take", [came, Socket.receive])
async def test_a_ping_that_cannot_be_answered_hides_nothing(take: Callable[[Socket], Awaitable[Any]]) -> None:
    """What came before the connection broke is given, though the pings amid it are answered no more."""
    async with talking() as (opened, talker):
        talker.writer.write(frame(b"", opcode=9) + frame(b"one") + frame(b"", opcode=9) * 2 + frame(b"two"))
        talker.over.set()
        await asyncio.wait_for(closing_of(opened), GRACE_S)
        assert [(await take(opened)).data, (await take(opened)).data] == [b"one", b"two"]
        assert (await take(opened)).type is WSMsgType.CLOSED


async def closing_of(opened: Socket) -> None:
    """Wait until the connection is known to have ended."""
    while not opened._transport.is_closing():  # noqa: ASYNC110 - a transport has no event for it
        await asyncio.sleep(0)


async def ends_of(leave: Callable[[Socket], None]) -> bytes:
    """What a server reads of a socket that is left in this way right after something was sent; empty for a reset."""
    read: list[bytes] = []

    async def listen(_request: Request, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        read.append(await reader.read())

    http = Http()
    async with Server(upgraded(listen)) as server:
        opened = await open_socket(http, server.url("/a", "ws"))
        await opened.send_str("hello")
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
        sending = asyncio.ensure_future(opened.send_str("x" * 50_000_000))
        done, _ = await asyncio.wait({sending}, timeout=0.05)
        assert not done
        opened.abort()
        opened.abort()
        await asyncio.wait({sending}, timeout=GRACE_S)
        assert isinstance(sending.exception(), aiohttp.ClientError | OSError)
        assert opened._transport.is_closing()
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


# --- streams ----------------------------------------------------------------------------------------------------------

STREAMING = reply(headers={"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", "Content-Length": "0"})
STREAMING = STREAMING.replace(b"Content-Length: 0\r\n", b"")
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def open_stream(
    http: Http, url: str, *, seconds: float = GRACE_S, sent: Callable[[], None] = lambda: None
) -> ByteStream:
    """One answer that is read as it comes."""
    return await http.stream(
        "POST", url, what="the turn", seconds=seconds, sent=sent, headers={"X-A": "b"}, json={"hello": 1}
    )


@asynccontextmanager
async def streaming(head: bytes = STREAMING) -> AsyncIterator[tuple[ByteStream, Talker]]:
    """An open answer, and the server's end of it."""
    http, talker = Http(), Talker()

    async def begin(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await talker(request, reader, writer)

    async with Server(begin) as server:
        opened = await open_stream(http, server.url("/a"))
        await talker.opened.wait()
        yield opened, talker
        opened.abort()
        talker.over.set()
        await server.idle()
        await http.aclose()


async def ready_of(opened: ByteStream) -> bytes:
    """What comes next, taken with `ready` alone."""

    async def look() -> bytes:
        while (data := opened.ready()) is None:  # noqa: ASYNC110 - the connection has no event for it
            await asyncio.sleep(0)
        return data

    return await asyncio.wait_for(look(), GRACE_S)


TAKES: list[Callable[[ByteStream], Awaitable[bytes]]] = [ready_of, ByteStream.receive]


@pytest.mark.parametrize("take", TAKES)
async def test_a_stream_is_read_as_it_comes(take: Callable[[ByteStream], Awaitable[bytes]]) -> None:
    """Head and pieces come when they are sent, and empty bytes at the end, each time."""
    async with streaming() as (opened, talker):
        assert (opened.head.status, opened.head.headers["content-type"]) == (200, "text/event-stream")
        assert opened.ready() is None
        for piece in (b"one", b"two"):
            talker.writer.write(chunk(piece))
            assert await take(opened) == piece
        talker.writer.write(END)
        assert [await take(opened), await take(opened)] == [b"", b""]


async def test_a_wait_for_a_stream_ends_and_loses_nothing() -> None:
    """A wait that ran out or was cancelled leaves what comes to the next one."""
    async with streaming() as (opened, talker):
        with pytest.raises(TimeoutError):
            await opened.receive(seconds=0.001)
        waiting = asyncio.ensure_future(opened.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        talker.writer.write(chunk(b"one"))
        assert await opened.receive(seconds=GRACE_S) == b"one"


@pytest.mark.parametrize("take", TAKES)
async def test_what_came_before_a_stream_broke_is_given(take: Callable[[ByteStream], Awaitable[bytes]]) -> None:
    """A connection that ends without the end of the body has lost nothing that came, and is lost after it."""
    async with streaming() as (opened, talker):
        talker.writer.write(chunk(b"one"))
        talker.over.set()
        while opened._response.content.exception() is None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        assert await take(opened) == b"one"
        for _ in range(2):
            error = await failure(ConnectionLost, as_coroutine(take(opened)))
            assert error.message == "The connection broke in the middle of the answer (ClientPayloadError)."


async def as_coroutine(call: Awaitable[T2]) -> T2:
    """The same as a coroutine."""
    return await call


async def test_a_stream_that_is_aborted_wakes_who_waits() -> None:
    """Aborting drops the connection at once, and may be done twice; a task that waits finds it lost."""
    async with streaming() as (opened, talker):
        waiting = asyncio.ensure_future(failure(ConnectionLost, opened.receive()))
        await asyncio.sleep(0)
        opened.abort()
        opened.abort()
        await asyncio.wait_for(waiting, GRACE_S)
        talker.over.set()


async def test_a_stream_at_its_end_gives_its_connection_back() -> None:
    """The next call goes over the same connection, and to abort the answer before does not touch it."""
    http = Http()
    async with Server(STREAMING + chunk(b"one") + END, reply()) as server:
        opened = await open_stream(http, server.url())
        while await opened.receive():
            pass
        task = asyncio.ensure_future(fetch(http, server.url()))
        await asyncio.sleep(0)
        opened.abort()
        assert (await task).status == 200
        assert (len(server.requests), len(server._tasks)) == (2, 1)
        await http.aclose()


async def test_a_stream_sends_its_body_and_says_so() -> None:
    """`sent` is called once, before there is an answer; the body goes as JSON."""
    told: list[str] = []
    http, talker = Http(), Talker()
    async with Server(talker) as server:
        task = asyncio.ensure_future(open_stream(http, server.url(f"/a{TOKEN}"), sent=lambda: told.append("sent")))
        await talker.opened.wait()
        assert told == ["sent"]
        [request] = server.requests
        assert (request.method, request.target, request.body) == ("POST", f"/a{TOKEN}", b'{"hello": 1}')
        talker.writer.write(STREAMING + END)
        (await task).abort()
        assert told == ["sent"]
        talker.over.set()
        await http.aclose()


async def test_a_slow_head_is_waited_for() -> None:
    """The limit is for the connection: a service may take longer than that to begin its answer."""

    async def slow(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)  # the pace of the server, not a wait of the test
        writer.write(STREAMING + END)

    http = Http()
    async with Server(slow) as server:
        opened = await open_stream(http, server.url(), seconds=0.05)
        assert opened.head.status == 200
        opened.abort()
        await http.aclose()


async def test_a_stream_without_a_listener_was_not_sent(unused_port: int) -> None:
    """No connection is ConnectionFailed, and `sent` was not called."""
    told: list[str] = []
    http = Http()
    url = f"http://127.0.0.1:{unused_port}/a{TOKEN}"
    await failure(ConnectionFailed, open_stream(http, url, sent=lambda: told.append("sent")))
    assert told == []
    await http.aclose()


async def test_a_stream_that_cannot_connect_in_time_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that does not come about is given up after the limit, which the error names."""

    async def never(*_args: Any, **_options: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", never)
    http = Http()
    told: list[str] = []
    error = await failure(
        TimedOut, open_stream(http, "http://127.0.0.1:1/a", seconds=0.05, sent=lambda: told.append("sent"))
    )
    assert error.message.endswith("within 0.05 seconds (timeouts.connect).")
    assert told == []
    await http.aclose()


@pytest.mark.parametrize("sent", [b"", b"hunter2\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A: hunter2\r\n"])
async def test_a_stream_whose_head_does_not_come_is_lost(sent: bytes) -> None:
    """The request went out, so the service may have acted on it: that is no failed connection any more."""
    http = Http()
    async with Server(cut_off(sent)) as server:
        error = await failure(ConnectionLost, open_stream(http, server.url(f"/a{TOKEN}")))
        assert error.message == f"The connection to {server.url('/a')} ended before there was an answer to the turn."
        await http.aclose()


@pytest.mark.parametrize("end", [END, b""], ids=["whole", "broken"])
async def test_an_answer_that_is_no_stream_is_read_whole(end: bytes) -> None:
    """A refusal has its status, its headers and as much of its body as came; the connection is closed."""
    head = STREAMING.replace(b"200 OK", b"503 Service Unavailable").replace(b"\r\n\r\n", b"\r\nRetry-After: 7\r\n\r\n")
    http = Http()
    async with Server(cut_off(head + chunk(b"hunter") + chunk(b"2") + end)) as server:
        opened = await open_stream(http, server.url())
        answer = await opened.answer(GRACE_S)
        assert (answer.status, answer.body, answer.retry_after) == (503, b"hunter2", 7.0)
        await server.idle()
        await http.aclose()


async def test_an_endless_refusal_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a body without end nor one that does not come keeps its reader."""
    monkeypatch.setattr(http_module, "MAX_BODY_BYTES", 5)
    async with streaming() as (opened, talker):
        talker.writer.write(chunk(b"x" * 100))
        assert (await opened.answer(GRACE_S)).body == b"x" * 5
        talker.over.set()
    async with streaming() as (opened, talker):
        assert (await opened.answer(0.001)).body == b""
        talker.over.set()


async def test_an_empty_answer_is_at_its_end() -> None:
    """A body of no bytes is an end, not a wait."""
    async with streaming(reply(status=401)) as (opened, talker):
        assert (opened.ready(), await opened.receive()) == (b"", b"")
        assert (await opened.answer(GRACE_S)).status == 401
        talker.over.set()


def test_a_stream_ends_with_its_loop() -> None:
    """A loop that ends takes the answers along that are open on it, without a warning."""
    talker = Talker()

    async def begin(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAMING)
        await talker(request, reader, writer)

    started = run(Server(begin).__aenter__())
    kept: list[ByteStream] = []

    async def leave() -> None:
        kept.append(await open_stream(Http(), started.url()))

    asyncio.run(leave())
    kept[0].abort()
    kept.clear()
    run(as_coroutine(set_soon(talker.over)))
    run(started.__aexit__())


async def set_soon(event: asyncio.Event) -> None:
    """Set it on its own loop."""
    event.set()


# --- loops ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on the background loop, for tests that come and go with loops of their own."""
    started = run(Server(reply()).__aenter__())
    yield started
    run(started.__aexit__())


def test_a_client_works_in_one_loop_after_another(server: Server) -> None:
    """Each `asyncio.run` has a session of its own, which ends with its loop."""
    http = Http()
    for _ in range(2):
        assert asyncio.run(fetch(http, server.url())).status == 200
        assert list(http._sessions) == []
        run(server.idle())


def test_a_client_works_in_two_loops_at_once(server: Server) -> None:
    """Two threads, each with a loop, use one client side by side, each with a session of its own."""
    http = Http()
    both = threading.Barrier(2, timeout=GRACE_S)
    sessions: list[aiohttp.ClientSession] = []

    async def work() -> None:
        for _ in range(5):
            both.wait()
            await fetch(http, server.url())
        sessions.append((await http._session()).http)
        both.wait()
        assert len(list(http._sessions)) == 2
        both.wait()

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GRACE_S)
    assert len(server.requests) == 10
    assert len(set(sessions)) == 2
    assert list(http._sessions) == []


def is_closed(session: aiohttp.ClientSession) -> bool:
    """Whether it is closed by now."""
    return session.closed


def session_of(http: Http) -> aiohttp.ClientSession:
    """The session of the one loop that it was used on."""
    [session] = http._sessions
    return session.http


def fetch_on(loop: asyncio.AbstractEventLoop, http: Http, server: Server) -> aiohttp.ClientSession:
    """One GET on this loop, over a connection that does not stay; the loop's session."""
    loop.run_until_complete(fetch(http, server.url("/once")))
    loop.run_until_complete(asyncio.wait_for(asyncio.sleep(0), GRACE_S))
    return session_of(http)


@pytest.fixture
def once(server: Server) -> Server:
    """The server, which at `/once` closes the connection after its answer."""
    server._routes = {"/once": reply(headers={"Connection": "close"})}
    return server


def test_a_loop_that_was_just_closed_takes_nothing_along(once: Server) -> None:
    """A loop that was closed without `shutdown_asyncgens` costs no warning, and the next loop works."""
    http = Http()
    loop = asyncio.new_event_loop()
    session = fetch_on(loop, http, once)
    loop.close()
    assert not is_closed(session)
    asyncio.run(fetch(http, once.url()))
    assert is_closed(session)
    assert list(http._sessions) == []


def test_a_closed_loop_is_tidied_up_by_aclose(once: Server) -> None:
    """`aclose` marks the session of a closed loop as closed: nothing can run there any more."""
    http = Http()
    loop = asyncio.new_event_loop()
    session = fetch_on(loop, http, once)
    loop.close()
    asyncio.run(http.aclose())
    assert is_closed(session)


def test_a_client_is_closed_from_another_loop(server: Server) -> None:
    """`aclose` closes the session of every loop, each on its own, and the client still works on all of them."""
    http = Http()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(fetch(http, server.url()))
        session = session_of(http)
        asyncio.run(http.aclose())
        assert list(http._sessions) == []
        assert is_closed(session)  # at once: its loop does not run, and may never again
        loop.run_until_complete(fetch(http, server.url()))
        replaced = session_of(http)
        assert not is_closed(replaced)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    assert is_closed(replaced)


def test_a_client_is_closed_while_another_loop_runs(server: Server) -> None:
    """`aclose` reaches a loop that runs in another thread, and closes its session there."""
    http = Http()
    run(fetch(http, server.url()))
    session = session_of(http)
    asyncio.run(http.aclose())
    run(server.idle())
    assert is_closed(session)


async def test_closing_twice_is_closing_once() -> None:
    """`aclose` may be called again, and before anything was opened."""
    http = Http()
    await http.aclose()
    async with Server(reply()) as server:
        await fetch(http, server.url())
        await asyncio.gather(http.aclose(), http.aclose())
        await http.aclose()
        await server.idle()


async def test_closing_ends_running_calls() -> None:
    """A call that runs while its client is closed fails as a call whose connection broke."""
    http = Http()
    async with Server(silent) as server:
        task = asyncio.ensure_future(failure(ConnectionFailed, fetch(http, server.url(f"/a{TOKEN}"))))
        await server.asked()
        await http.aclose()
        assert isinstance(await task, BingError)


@pytest.mark.parametrize("in_a_cycle", [False, True])
async def test_a_forgotten_client_is_closed(*, in_a_cycle: bool) -> None:
    """A client that nobody closed closes its connections when it is collected, without a warning."""
    http = Http()
    async with Server(reply()) as server:
        await fetch(http, server.url())
        session = session_of(http)
        if in_a_cycle:
            http.itself = http  # type: ignore[attr-defined]
        del http
        gc.collect()
        await server.idle()
        assert is_closed(session)


def test_a_forgotten_client_of_a_closed_loop_is_closed(once: Server) -> None:
    """There, too, no warning is left."""
    http = Http()
    loop = asyncio.new_event_loop()
    session = fetch_on(loop, http, once)
    loop.close()
    del http
    gc.collect()
    assert is_closed(session)


# --- TLS and proxies --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """TLS for a server at 127.0.0.1, signed by that authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve one connection up to the TLS handshake, in a thread: asyncio's server logs a failed one as an error."""
    accepted, _ = listener.accept()
    accepted.settimeout(GRACE_S)
    with accepted, suppress(OSError):
        context.wrap_socket(accepted, server_side=True).close()


@pytest.mark.parametrize(("call", "scheme"), [(fetch, "https"), (open_socket, "wss")])
async def test_an_unknown_certificate_is_refused(
    call: Callable[..., Coroutine[Any, Any, object]], scheme: str, server_tls: ssl.SSLContext
) -> None:
    """By default a server must show a certificate of a public authority; the error says what was wrong."""
    http = Http()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GRACE_S)
        serving = asyncio.ensure_future(asyncio.to_thread(shake_hands, listener, server_tls))
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/a{TOKEN}"
        error = await failure(ConnectionFailed, call(http, url))
        await serving
    assert "certificate verify failed" in error.message
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert error.permanent
    assert "ssl_context=" in error.hint
    await http.aclose()


async def test_a_context_decides_what_is_trusted(authority: trustme.CA, server_tls: ssl.SSLContext) -> None:
    """With `ssl_context` its authorities count, for calls and sockets; leaving a socket does not wait for TLS."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    http = Http(ssl_context=context)
    async with Server(reply(), upgraded(greet), upgraded(greet), tls=server_tls) as server:
        assert (await fetch(http, server.url())).status == 200
        for leave in (Socket.hang_up, Socket.abort):
            opened = await open_socket(http, server.url("/a", "ws"))
            assert (await opened.receive(seconds=GRACE_S)).data == b"hello"
            leave(opened)
        await http.aclose()
        await server.idle()


async def test_all_connections_share_one_session_and_one_context(
    authority: trustme.CA, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many calls and sockets are opened at once: loading the authorities anew takes milliseconds each time."""
    made: list[object] = []
    new_context, new_session = ssl.create_default_context, aiohttp.ClientSession

    def context(**_: object) -> ssl.SSLContext:
        made.append(trusting := new_context())
        authority.configure_trust(trusting)
        return trusting

    def session(**settings: Any) -> aiohttp.ClientSession:
        made.append(opened := new_session(**settings))
        return opened

    monkeypatch.setattr(ssl, "create_default_context", context)
    monkeypatch.setattr(aiohttp, "ClientSession", session)
    http = Http()
    async with Server(*[upgraded(greet)] * 6, tls=server_tls) as server:
        sockets = await asyncio.gather(*(open_socket(http, server.url("/a", "ws")) for _ in range(6)))
        for opened in sockets:
            opened.abort()
        assert sorted(type(each).__name__ for each in made) == ["ClientSession", "SSLContext"]
        await http.aclose()
        await server.idle()


PROXY_AUTH = "Basic Ym9iOmh1bnRlcjI="  # bob:hunter2


async def test_a_proxy_carries_calls_and_sockets() -> None:
    """With `proxy` every request goes to the proxy, with its whole URL and the proxy's own credentials."""
    async with Server(reply(), upgraded(greet)) as server:
        http = Http(proxy=f"http://bob:hunter2@127.0.0.1:{server.port}")
        assert (await fetch(http, "http://service.example/a")).status == 200
        opened = await open_socket(http, "ws://service.example/b")
        opened.hang_up()
        assert [request.target for request in server.requests] == ["http://service.example/a", "ws://service.example/b"]
        assert {request.headers["proxy-authorization"] for request in server.requests} == {PROXY_AUTH}
        await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_dead_proxy_is_a_failed_connection(
    call: Callable[..., Coroutine[Any, Any, object]], unused_port: int
) -> None:
    """A proxy that cannot be reached is the same as a service that cannot; its password does not show."""
    http = Http(proxy=f"http://bob:hunter2@127.0.0.1:{unused_port}")
    error = await failure(ConnectionFailed, call(http, f"https://service.example/a{TOKEN}"))
    assert error.message.startswith("There was no connection to https://service.example/a ")
    await http.aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_refusal_of_the_proxy_is_a_failed_connection(call: Callable[..., Coroutine[Any, Any, object]]) -> None:
    """A proxy that does not open the tunnel is no answer of the service; its password does not show."""
    async with Server(reply(status=407)) as server:
        http = Http(proxy=f"http://bob:hunter2@127.0.0.1:{server.port}")
        error = await failure(ConnectionFailed, call(http, f"https://service.example/a{TOKEN}"))
        assert "(ClientHttpProxyError)" in error.message
        await http.aclose()


@pytest.mark.parametrize("trust_env", [False, True])
async def test_the_environment_names_a_proxy_if_it_is_trusted(
    monkeypatch: pytest.MonkeyPatch, *, trust_env: bool
) -> None:
    """`http_proxy` counts with `trust_env`, and only then."""
    async with Server(reply(status=404)) as proxy, Server(reply()) as service:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.delenv("no_proxy", raising=False)
        http = Http(trust_env=trust_env)
        assert (await fetch(http, service.url())).status == (404 if trust_env else 200)
        assert (len(proxy.requests), len(service.requests)) == ((1, 0) if trust_env else (0, 1))
        await http.aclose()


async def test_the_cookies_that_a_service_sets_are_bounded() -> None:
    """They are sent back as a browser would, and no more of them than a browser keeps, by aiohttp's own doing."""
    numbers = itertools.count()

    async def set_cookies(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cookies = "".join(f"Set-Cookie: name{next(numbers)}=value\r\n" for _ in range(90))
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n{cookies}\r\n".encode())

    async with Server(set_cookies) as server:
        http = Http(proxy=server.url())  # so that the service has a name: of an address, no cookies are kept
        for _ in range(10):
            await fetch(http, "http://service.example/")
        sent = [request.headers.get("cookie", "").count("value") for request in server.requests]
        assert 0 < max(sent) <= 200
        await http.aclose()
