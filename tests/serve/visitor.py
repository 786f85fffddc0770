"""A front over a service that plays what it is told to, and a visitor who talks to it in plain HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from bing_llm.client import BingClient
from bing_llm.serve.server import Server
from tests.fakes import FakeBackend, client_of

KEY = "a-key-of-the-front"
HELLO = [{"role": "user", "content": "Hello"}]


class Answered(msgspec.Struct, frozen=True):
    """A response that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> Any:
        """What `error` holds."""
        return self.json["error"]

    @property
    def events(self) -> list[Any]:
        """The events of a stream, the `[DONE]` of its end as it is."""
        lines = self.body.decode().split("\n")
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in data]

    @property
    def kinds(self) -> list[str]:
        """The names of the events."""
        lines = self.body.decode().split("\n")
        return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


class Visitor:
    """Talks to a front.

    Attributes:
        http: Its session.
        base: The URL of the server without `/v1`.
        server: The server.
    """

    def __init__(self, http: aiohttp.ClientSession, server: Server) -> None:
        self.http = http
        self.server = server
        self.base = server.url.removesuffix("/v1")

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        """Send a request, and read its answer."""
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, self.base + path, data=data, headers=named) as response:
            low = {name.lower(): value for name, value in response.headers.items()}
            return Answered(response.status, low, await response.read())

    async def chat(self, messages: Any = None, **options: Any) -> Answered:
        """Ask with chat completions."""
        return await self.send("POST", "/v1/chat/completions", {"messages": messages or HELLO, **options})

    async def respond(self, given: Any = "Hello", **options: Any) -> Answered:
        """Ask with responses."""
        return await self.send("POST", "/v1/responses", {"input": given, **options})


@asynccontextmanager
async def visiting(client: BingClient, **settings: Any) -> AsyncIterator[Visitor]:
    """A visitor of a front over this client, which is closed with it."""
    async with client, Server(client, port=0, **settings) as server, aiohttp.ClientSession() as http:
        yield Visitor(http, server)


@asynccontextmanager
async def fronting(backend: FakeBackend, *, attempts: int = 2, **settings: Any) -> AsyncIterator[Visitor]:
    """A visitor of a front over this service."""
    async with visiting(client_of(backend, attempts=attempts), **settings) as visitor:
        yield visitor
