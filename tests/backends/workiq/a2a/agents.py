"""Agents that answer as a test wrote down, and clients of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bing_llm import events as ev
from bing_llm.backends.workiq.a2a.answer import AgentConversation
from bing_llm.backends.workiq.a2a.backend import A2ABackend
from bing_llm.backends.workiq.a2a.channel import TaskChannel
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Timeouts
from bing_llm.messages import Prompt
from bing_llm.services import WorkIQ
from tests.backends.serving import Answer, Server, cut_off, reply

SECRET = "hunter2-the-token"
AGENT = "P_1/../x y"
CARD_PATH = "/a2a/P_1%2F..%2Fx%20y/.well-known/agent-card.json"


def in_time(seconds: float = 60.0) -> Deadline:
    """A deadline that no test reaches, on a clock that stands still."""
    return Deadline(seconds, lambda: 0.0)


class Slept:
    """Takes down how long it was to wait, and does not."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Wait."""
        self.seconds.append(seconds)
        await asyncio.sleep(0)

    def clock(self) -> float:
        """A clock on which only these waits take time."""
        return sum(self.seconds)


@asynccontextmanager
async def backend_at(
    url: str, agent: str | None = AGENT, timeouts: Timeouts | None = None, **settings: Any
) -> AsyncIterator[A2ABackend]:
    """A client of the agent there."""
    service = WorkIQ(endpoint=url, agent=agent, protocol="a2a", token=SECRET, time_zone="Europe/Zurich", **settings)
    backend = A2ABackend(service, timeouts=timeouts or Timeouts(), limits=DEFAULT_LIMITS, sleep=Slept())
    try:
        yield backend
    finally:
        await backend.aclose()


def card(server: Server, path: str = "/rpc", *, streaming: bool = True) -> dict[str, Any]:
    """A card that names this path of the server."""
    interface = {"url": server.url(path), "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    return {"name": "Agent", "supportedInterfaces": [interface], "capabilities": {"streaming": streaming}}


STREAM = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


def streamed(*events: bytes) -> bytes:
    """A stream that comes to its end."""
    return reply(b"".join(events), headers=STREAM)


def broken(*events: bytes) -> Answer:
    """A stream that breaks after these events."""
    body = b"".join(events)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(body) + 100}\r\n\r\n"
    return cut_off(head.encode() + body)


def whole(value: Any) -> bytes:
    """One JSON text."""
    return reply(json.dumps(value).encode(), headers=JSON)


@asynccontextmanager
async def agent_at(
    *script: Answer, streaming: bool = True, **settings: Any
) -> AsyncIterator[tuple[Server, A2ABackend]]:
    """An agent that answers its calls in this order, and a client of it."""
    routes: dict[str, Answer] = {CARD_PATH: b""}
    async with Server(*script, routes=routes) as server:
        routes[CARD_PATH] = whole(card(server, streaming=streaming))
        async with backend_at(server.url("/a2a/"), **settings) as backend:
            yield server, backend


async def events_of(channel: TaskChannel) -> list[ev.Event]:
    """All events of a turn, and the end of its channel."""
    given: list[ev.Event] = []
    try:
        while not (given and isinstance(given[-1], ev.TurnCompleted)):
            given.append(await channel.next_event())
    finally:
        channel.close()
    return given


async def ask(backend: A2ABackend, handle: AgentConversation | None = None, text: str = "Ask") -> ev.Reply:
    """A whole turn."""
    handle = await backend.create_conversation(in_time()) if handle is None else handle
    last = (await events_of(await backend.open_turn(handle, Prompt(text), 0, in_time())))[-1]
    assert isinstance(last, ev.TurnCompleted)
    return last.reply


def methods(server: Server) -> list[str]:
    """What the agent was asked, after its card."""
    return [json.loads(request.body)["method"] for request in server.requests if request.method == "POST"]
