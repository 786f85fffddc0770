"""Connections to a server on loopback whose test decides what comes when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from bing_llm.backends.http import ByteStream, Http, Socket
from bing_llm.backends.response import Response
from bing_llm.limits import Limits
from tests.backends.serving import GRACE_S, Request, Server, frame, reply, upgraded

T = TypeVar("T", bound=Exception)
T2 = TypeVar("T2")

TOKEN = "?sec_access_token=hunter2"


async def fetch(http: Http, url: str, *, seconds: float = GRACE_S, **options: Any) -> Response:
    """One GET."""
    return await http.request("GET", url, what="the call", seconds=seconds, headers={"X-A": "b"}, **options)


async def open_socket(http: Http, url: str, *, seconds: float = GRACE_S, max_bytes: int = 1000) -> Socket:
    """One WebSocket."""
    limits = Limits(frame_bytes=max_bytes)
    return await http.connect(url, what="the socket", seconds=seconds, headers={"X-A": "b"}, limits=limits)


CALLS: list[Callable[..., Coroutine[Any, Any, object]]] = [fetch, open_socket]


class Talker:
    """A server's end of one WebSocket, for a test that decides what comes when."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.over = asyncio.Event()
        self.writer: asyncio.StreamWriter

    async def __call__(self, _request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold the connection until it is to end."""
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


async def greet(_request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one text message, and wait for the end."""
    writer.write(frame(b"hello"))
    await reader.read()


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


async def as_coroutine(call: Awaitable[T2]) -> T2:
    """The same as a coroutine."""
    return await call
