"""Responses that are read as they come."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import aiohttp
import pytest

from bing_llm.backends import http as http_module
from bing_llm.backends.http import ByteStream, Http
from bing_llm.backends.transport import End
from bing_llm.errors import ConnectionFailed, ConnectionLost, ProtocolError, TimedOut
from bing_llm.sync import run
from tests.backends.connecting import (
    END,
    STREAMING,
    TOKEN,
    Talker,
    as_coroutine,
    chunk,
    failure,
    fetch,
    open_stream,
    streaming,
)
from tests.backends.serving import GRACE_S, Request, Server, cut_off, reply


async def test_a_stream_is_read_as_it_comes() -> None:
    """Head and pieces come when they are sent, and then the end, each time."""
    async with streaming() as (opened, talker):
        assert (opened.head.status, opened.head.headers["content-type"]) == (200, "text/event-stream")
        for piece in (b"one", b"two"):
            talker.writer.write(chunk(piece))
            assert await opened.read() == [piece]
        talker.writer.write(END)
        assert [await opened.read(), await opened.read()] == [[End(1000, "response at its end")]] * 2


async def test_what_came_before_a_stream_broke_is_given() -> None:
    """A connection that ends without the end of the body has lost nothing that came, and is lost after it."""
    async with streaming() as (opened, talker):
        talker.writer.write(chunk(b"one"))
        talker.over.set()
        while opened._response.content.exception() is None:  # noqa: ASYNC110 - the connection has no event for it
            await asyncio.sleep(0)
        assert await opened.read() == [b"one"]
        for _ in range(2):
            reason = "The connection broke in the middle of the answer (ClientPayloadError)."
            assert await opened.read() == [End(1006, reason)]


async def test_a_stream_that_is_aborted_wakes_who_waits() -> None:
    """Aborting drops the connection at once, and may be done twice; a task that waits finds it lost."""
    async with streaming() as (opened, talker):
        waiting = asyncio.ensure_future(opened.read())
        await asyncio.sleep(0)
        opened.abort()
        opened.abort()
        (end,) = await asyncio.wait_for(waiting, GRACE_S)
        assert isinstance(end, End)
        assert end.code == 1006
        talker.over.set()


async def test_a_stream_at_its_end_gives_its_connection_back() -> None:
    """The next call goes over the same connection, and to abort the answer before does not touch it."""
    http = Http()
    async with Server(STREAMING + chunk(b"one") + END, reply()) as server:
        opened = await open_stream(http, server.url())
        while not isinstance((await opened.read())[0], End):
            pass
        task = asyncio.ensure_future(fetch(http, server.url()))
        await asyncio.sleep(0)
        opened.abort()
        assert (await task).status == 200
        assert (len(server.requests), len(server._tasks)) == (2, 1)
        await http.aclose()


async def test_a_stream_sends_its_body_and_says_so() -> None:
    """`sent` is called once, before there is an answer; the body goes as JSON."""
    calls: list[str] = []
    http, talker = Http(), Talker()
    async with Server(talker) as server:
        task = asyncio.ensure_future(open_stream(http, server.url(f"/a{TOKEN}"), sent=lambda: calls.append("sent")))
        await talker.opened.wait()
        assert calls == ["sent"]
        [request] = server.requests
        assert (request.method, request.target, request.body) == ("POST", f"/a{TOKEN}", b'{"hello": 1}')
        talker.writer.write(STREAMING + END)
        (await task).abort()
        assert calls == ["sent"]
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
    calls: list[str] = []
    http = Http()
    url = f"http://127.0.0.1:{unused_port}/a{TOKEN}"
    await failure(ConnectionFailed, open_stream(http, url, sent=lambda: calls.append("sent")))
    assert calls == []
    await http.aclose()


async def test_a_stream_that_cannot_connect_in_time_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that does not come about is given up after the limit, which the error names."""

    async def never(*_args: Any, **_options: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", never)
    http = Http()
    calls: list[str] = []
    error = await failure(
        TimedOut, open_stream(http, "http://127.0.0.1:1/a", seconds=0.05, sent=lambda: calls.append("sent"))
    )
    assert error.message.endswith("within 0.05 seconds (timeouts.connect).")
    assert calls == []
    await http.aclose()


@pytest.mark.parametrize("sent", [b"", b"hunter2\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A: hunter2\r\n"])
async def test_a_stream_whose_head_does_not_come_is_lost(sent: bytes) -> None:
    """The request was sent, so the service may have acted on it: this is no longer a failed connection."""
    http = Http()
    async with Server(cut_off(sent)) as server:
        error = await failure(ConnectionLost, open_stream(http, server.url(f"/a{TOKEN}")))
        assert error.message == f"The connection to {server.url('/a')} ended before there was an answer to the turn."
        await http.aclose()


@pytest.mark.parametrize("end", [END, b""], ids=["whole", "broken"])
async def test_an_answer_that_is_not_a_stream_is_read_whole(end: bytes) -> None:
    """A refusal has its status, its headers and as much of its body as came; the connection is closed."""
    head = STREAMING.replace(b"200 OK", b"503 Service Unavailable").replace(b"\r\n\r\n", b"\r\nRetry-After: 7\r\n\r\n")
    http = Http()
    async with Server(cut_off(head + chunk(b"hunter") + chunk(b"2") + end)) as server:
        opened = await open_stream(http, server.url())
        answer = await opened.response(GRACE_S)
        assert (answer.status, answer.body, answer.retry_after) == (503, b"hunter2", 7.0)
        await server.idle()
        await http.aclose()


async def test_an_endless_refusal_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a body without end nor one that does not come keeps its reader."""
    monkeypatch.setattr(http_module, "MAX_BODY_BYTES", 5)
    async with streaming() as (opened, talker):
        talker.writer.write(chunk(b"x" * 100))
        assert (await opened.response(GRACE_S)).body == b"x" * 5
        talker.over.set()
    async with streaming() as (opened, talker):
        assert (await opened.response(0.001)).body == b""
        talker.over.set()


async def test_an_empty_answer_is_at_its_end() -> None:
    """A body of no bytes is an end, not a wait."""
    async with streaming(reply(status=401)) as (opened, talker):
        assert isinstance((await opened.read())[0], End)
        assert (await opened.response(GRACE_S)).status == 401
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


@pytest.mark.parametrize("line", [b":\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_piece_of_many_lines_is_given_in_parts(line: bytes, encoding: str) -> None:
    """Each line takes its time, and the clock is looked at between two parts; nothing of them is lost."""
    body = line * (200_000 // len(line))
    packed = gzip.compress(body) if encoding == "gzip" else body
    async with Server(reply(packed, headers={"Content-Encoding": encoding})) as server:
        http = Http()
        opened = await open_stream(http, server.url())
        parts: list[bytes] = []
        while not isinstance((piece := (opened.ready() or await opened.read())[0]), End):
            parts.append(piece)
        assert b"".join(parts) == body
        assert max(map(len, parts)) <= 4096
        await http.aclose()


async def test_packed_and_endless_is_read_in_parts() -> None:
    """A body of 65 KB that unpacks to 64 MiB is held in pieces of 16 KiB at most; one that lies is an error."""
    bomb = gzip.compress(b"x" * 2**26)
    headers = {"Content-Encoding": "gzip"}
    async with Server(reply(bomb, headers=headers), reply(b"no gzip", headers=headers)) as server:
        http = Http()
        opened = await open_stream(http, server.url())
        taken = [len(piece) for _ in range(50) for piece in await opened.read() if not isinstance(piece, End)]
        assert len(taken) == 50
        assert max(taken) <= 16_384
        opened.abort()
        opened = await open_stream(http, server.url())
        with pytest.raises(ProtocolError, match="cannot be unpacked"):
            await opened.read()
        opened.abort()
        await http.aclose()
