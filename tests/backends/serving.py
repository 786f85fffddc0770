"""A server on loopback that sends what a test wrote down, byte for byte."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Self, TypeAlias

import msgspec

from bing_llm.sync import run

GRACE_S = 10.0
"""How long to wait for what must happen, in seconds; only a failure waits that long."""

_ACCEPT_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Request(msgspec.Struct):
    """One HTTP request: its target as it was sent, its headers by name in lower case, its body."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Talk: TypeAlias = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Goes on with a connection after a request; the connection ends with it."""

Answer: TypeAlias = bytes | Talk


def reply(body: bytes = b"", status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP response."""
    given = {"Content-Length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode() + body


def cut_off(data: bytes) -> Talk:
    """Send this, and end the connection."""

    async def talk(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return talk


async def silent(_request: Request, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other end is gone."""
    while await reader.read(65536):
        pass


async def deaf(_request: Request, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Neither say nor read anything until the server ends."""
    await asyncio.Event().wait()


def upgraded(talk: Talk) -> Talk:
    """Open the WebSocket that was asked for, and go on with it."""

    async def accept(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        digest = hashlib.sha1(request.headers["sec-websocket-key"].encode() + _ACCEPT_KEY, usedforsecurity=False)
        key = base64.b64encode(digest.digest()).decode()
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": key}
        writer.write(reply(status=101, headers=headers))
        await talk(request, reader, writer)

    return accept


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """One short WebSocket frame of a server: text unless the opcode says otherwise."""
    assert len(payload) < 126
    return bytes([0x80 | opcode, len(payload)]) + payload


class Server:
    """Listens on a free port; `async with Server(...) as server` starts and stops it.

    Attributes:
        requests: What it was sent.
        port: Where it listens.

    Args:
        *script: What it answers, one for each request; the last one counts for all later ones.
        routes: What it answers at these paths, instead.
        tls: How to encrypt; None for plain http.
    """

    def __init__(
        self, *script: Answer, routes: Mapping[str, Answer] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.port = 0
        self._script = script
        self._routes = routes or {}
        self._tls = tls
        self._scripted = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = asyncio.Event()
        self._server: asyncio.Server | None = None

    def url(self, path: str = "/", scheme: str = "http") -> str:
        """A URL of this server."""
        return f"{scheme}{'s' if self._tls else ''}://127.0.0.1:{self.port}{path}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await self.idle()

    async def asked(self) -> None:
        """Wait for the next request."""
        await asyncio.wait_for(self._asked.wait(), GRACE_S)
        self._asked.clear()

    async def idle(self) -> None:
        """Wait until no connection is open."""
        if self._tasks:
            _, open_ones = await asyncio.wait(self._tasks, timeout=GRACE_S)
            assert not open_ones, "a connection stayed open"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._talk(reader, writer)
                await writer.drain()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await _read(reader)
            answer = self._answer(request)
            self.requests.append(request)
            self._asked.set()
            if not isinstance(answer, bytes):
                await answer(request, reader, writer)
                return
            writer.write(answer)

    def _answer(self, request: Request) -> Answer:
        routed = self._routes.get(request.target.partition("?")[0])
        if routed is not None:
            return routed
        self._scripted += 1
        return self._script[min(self._scripted, len(self._script)) - 1]


@contextmanager
def served(*script: Answer) -> Iterator[str]:
    """The URL of a server that runs on the background loop."""
    server = Server(*script)
    run(server.__aenter__())
    try:
        yield server.url("")
    finally:
        run(server.__aexit__())


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)
