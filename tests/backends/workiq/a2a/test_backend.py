"""Agents over real connections: the official SDK's server answers, and a server that sends what a test wrote down."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.workiq.a2a.answer import AgentConversation
from bing_llm.backends.workiq.a2a.backend import A2ABackend, TaskChannel
from bing_llm.client import BingClient
from bing_llm.images import Image
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Retries, Timeouts
from bing_llm.messages import Prompt
from bing_llm.services import WorkIQ
from tests.backends.serving import Answer, Server, cut_off, reply, silent
from tests.backends.workiq.a2a.wire import (
    CONTEXT,
    DONE,
    artifact,
    bare_task,
    message,
    piece,
    response,
    rpc_error,
    task,
    update,
)

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


# --- cards and requests -----------------------------------------------------------------------------------------------


async def test_a_card_is_asked_for_once() -> None:
    """However many turns begin at the same time; each request has the token and the version."""
    async with agent_at(streamed(task(), piece("Hi"), DONE)) as (server, backend):
        replies = await asyncio.gather(*[ask(backend) for _ in range(5)])
        assert [each.text for each in replies] == ["Hi"] * 5
        assert [request.target for request in server.requests].count(CARD_PATH) == 1
        assert len(server.requests) == 6
        for request in server.requests:
            assert request.headers["authorization"] == f"Bearer {SECRET}"
            assert request.headers["a2a-version"] == "1.0"
        assert (await backend.agent_card(in_time())).name == "Agent"
        assert (await backend.with_model("copilot").agent_card(in_time())).name == "Agent"
        assert len(server.requests) == 6


async def test_an_unknown_agent_is_named() -> None:
    """Its card is a 404; nothing is sent after that."""
    async with Server(reply(b"", 404)) as server, backend_at(server.url("/a2a/")) as backend:
        with pytest.raises(errors.InvalidRequest, match=re.escape(repr(AGENT))):
            await ask(backend)
        assert [request.target for request in server.requests] == [CARD_PATH]


async def test_copilot_needs_no_card() -> None:
    """Where none is shown, it is asked where it is documented."""
    routes: dict[str, Answer] = {"/a2a/": streamed(task(), piece("Hi"), DONE)}
    async with Server(reply(b"", 404), routes=routes) as server, backend_at(server.url("/rest"), None) as backend:
        assert (await ask(backend)).text == "Hi"
        assert [request.target for request in server.requests] == ["/a2a/.well-known/agent-card.json", "/a2a/"]


async def test_the_token_stays_at_its_origin() -> None:
    """A card that names another one is refused before anything is sent there."""
    async with Server(streamed(DONE)) as other, Server() as server, backend_at(server.url("/a2a/")) as backend:
        server._script = (whole(card(other)),)
        with pytest.raises(errors.ProtocolError, match="token is not sent") as caught:
            await ask(backend)
        assert other.requests == []
        assert SECRET not in f"{caught.value}{vars(caught.value)}"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, errors.Unauthorized), (403, errors.Unauthorized), (429, errors.Throttled), (503, errors.ServiceError)],
)
async def test_statuses_are_those_of_rest(status: int, error: type[errors.BingError]) -> None:
    """Of the card, and of a turn."""
    async with Server(reply(b"", status)) as server, backend_at(server.url("/a2a/")) as backend:
        with pytest.raises(error):
            await ask(backend)
    async with agent_at(reply(b"", status)) as (_, backend):
        with pytest.raises(error):
            await ask(backend)


async def test_a_context_that_is_gone_has_expired() -> None:
    """HTTP 404 means that only for one that was used before."""
    async with agent_at(reply(b"", 404)) as (_, backend):
        with pytest.raises(errors.SessionExpired):
            await ask(backend, await backend.open_conversation(CONTEXT, in_time()))
        with pytest.raises(errors.InvalidRequest):
            await ask(backend)


async def test_a_conversation_goes_on_by_its_context() -> None:
    """And by the task of an agent that asked."""
    asks = streamed(task(), update("INPUT_REQUIRED", "Which?"))
    async with agent_at(asks, streamed(task(), piece("Hi"), DONE)) as (server, backend):
        handle = await backend.create_conversation(in_time())
        assert handle.id == ""
        for text in ("One", "Two", "Three"):
            await ask(backend, handle, text)
        assert handle.id == CONTEXT
        sent = [json.loads(each.body)["params"]["message"] for each in server.requests[1:]]
        assert [(each.get("contextId"), each.get("taskId")) for each in sent] == [
            (None, None),
            (CONTEXT, "t1"),
            (CONTEXT, None),
        ]


@pytest.mark.parametrize("over_stream", [True, False])
async def test_an_agent_that_does_not_stream_is_asked_for_the_whole(*, over_stream: bool) -> None:
    """By its card, or by the setting."""
    answer = whole(response({"task": bare_task("COMPLETED", artifact("Hi"))}))
    async with agent_at(answer, streaming=not over_stream, over_stream=over_stream) as (server, backend):
        assert (await ask(backend)).text == "Hi"
        assert methods(server) == ["SendMessage"]
    async with agent_at(whole(response({"message": message("Hi")})), streaming=False) as (server, backend):
        assert (await ask(backend)).text == "Hi"


async def test_a_json_rpc_error_may_answer_a_stream() -> None:
    """With status 200, as JSON; the token is taken out of its words."""
    async with agent_at(whole(rpc_error(-32602, f"Bad {SECRET}"))) as (server, backend):
        with pytest.raises(errors.InvalidRequest, match="Bad") as caught:
            await ask(backend)
        assert SECRET not in f"{caught.value}{vars(caught.value)}"
        assert len(methods(server)) == 1


async def test_only_text_is_taken() -> None:
    """A picture, and an empty prompt, are refused before anything is sent."""
    async with agent_at() as (server, backend):
        for prompt in (Prompt(" "), Prompt("Hi", images=(Image(url="https://x.example/y.png"),))):
            with pytest.raises(errors.InvalidRequest):
                backend.check_prompt(prompt)
        with pytest.raises(errors.InvalidRequest):
            await backend.list_conversations(in_time())
        with pytest.raises(errors.InvalidRequest):
            await backend.delete_conversation(AgentConversation("c1"), in_time())
        assert server.requests == []


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_slow_answer_is_asked_for_once(*, streaming: bool) -> None:
    """A turn is paid for when it is sent, so no limit makes the client send it again by itself."""
    async with agent_at(silent, streaming=streaming) as (server, _):
        service = WorkIQ(endpoint=server.url("/a2a/"), agent=AGENT, token=SECRET, time_zone="UTC")
        retries = Retries(sleep=Slept())
        async with BingClient(service, timeouts=Timeouts(answer=0.05), retries=retries) as client:
            with pytest.raises(errors.TimedOut) as caught:
                await client.ask("Ask")
        assert caught.value.may_be_charged
        assert len(methods(server)) == 1
        paying = msgspec.structs.replace(retries, attempts=3, resend_metered=True)
        async with BingClient(service, timeouts=Timeouts(answer=0.05), retries=paying) as client:
            with pytest.raises(errors.TimedOut):
                await client.ask("Ask")
        assert len(methods(server)) == 1 + 3


# --- connections that break -------------------------------------------------------------------------------------------


async def outcome_of(backend: A2ABackend) -> str | errors.BingError:
    """The text of a turn, or its error."""
    try:
        return (await ask(backend)).text
    except errors.BingError as exc:
        return exc


GONE_ON = streamed(task("WORKING", artifact("One two")), piece(" three", append=True), DONE)
REFUSED = whole(rpc_error(-32004, "Not here"))
FINISHED = whole(response(bare_task("COMPLETED", artifact("One two three"))))
NO_ANSWER = cut_off(b"")


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        ([GONE_ON], ["SubscribeToTask"]),
        ([NO_ANSWER, GONE_ON], ["SubscribeToTask"] * 2),
        ([reply(b"", 503), NO_ANSWER, GONE_ON], ["SubscribeToTask"] * 3),
        ([broken(task("WORKING", artifact("One two"))), GONE_ON], ["SubscribeToTask"] * 2),
        ([REFUSED, FINISHED], ["SubscribeToTask", "GetTask"]),
        ([reply(b"", 404), FINISHED], ["SubscribeToTask", "GetTask"]),
        ([NO_ANSWER, NO_ANSWER, NO_ANSWER, FINISHED], ["SubscribeToTask"] * 3 + ["GetTask"]),
        ([streamed(), REFUSED, FINISHED], ["SubscribeToTask", "SubscribeToTask", "GetTask"]),
    ],
)
async def test_a_turn_whose_task_is_known_goes_on(script: Sequence[Answer], asked: list[str]) -> None:
    """The message is sent once, and no text is doubled."""
    async with agent_at(broken(task(), piece("One")), *script) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
        given = await events_of(channel)
        assert "".join(each.text for each in given if isinstance(each, ev.TextDelta)) == "One two three"
        assert methods(server) == ["SendStreamingMessage", *asked]


@pytest.mark.parametrize(
    "script",
    [
        [REFUSED, whole(rpc_error(-32001))],
        [REFUSED, whole(response(bare_task("WORKING", artifact("One"))))],
        [REFUSED, NO_ANSWER],
        [REFUSED, reply(b"", 401)],
    ],
)
async def test_a_turn_that_cannot_go_on_is_lost(script: Sequence[Answer]) -> None:
    """With the text that had come; the message is not sent again."""
    async with agent_at(broken(task(), piece("One")), *script) as (server, backend):
        error = await outcome_of(backend)
        assert isinstance(error, errors.ConnectionLost)
        assert error.partial_text == "One"
        assert methods(server).count("SendStreamingMessage") == 1


async def test_a_task_that_failed_meanwhile_says_so() -> None:
    """How it ended is asked for, and told."""
    failed = whole(response(bare_task("FAILED", artifact("One"), text="Broken")))
    async with agent_at(broken(task(), piece("One")), REFUSED, failed) as (_, backend):
        assert isinstance(await outcome_of(backend), errors.ServiceError)


@pytest.mark.parametrize("first", [NO_ANSWER, broken(), streamed()])
async def test_a_turn_that_breaks_before_its_task_is_known_is_lost(first: Answer) -> None:
    """There is nothing to go on with."""
    async with agent_at(first) as (server, backend):
        assert isinstance(await outcome_of(backend), errors.ConnectionLost)
        assert len(methods(server)) == 1


async def test_a_service_that_breaks_each_connection_is_left() -> None:
    """After as many as bring something, and no more."""
    async with agent_at(broken(task("WORKING", artifact("One")))) as (server, backend):
        assert isinstance(await outcome_of(backend), errors.ConnectionLost)
        assert methods(server) == ["SendStreamingMessage", *["SubscribeToTask"] * 20]


async def test_a_turn_does_not_go_on_after_its_deadline() -> None:
    """Waiting for the next connection would take longer."""
    async with agent_at(broken(task(), piece("One")), NO_ANSWER) as (server, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time(0.4))
        with pytest.raises(errors.ConnectionLost):
            await events_of(channel)
        assert methods(server) == ["SendStreamingMessage", "SubscribeToTask"]


async def test_a_closed_turn_opens_no_connection() -> None:
    """It was left while it was to go on."""
    async with agent_at(broken(task(), piece("One")), GONE_ON) as (_, backend):
        channel = await backend.open_turn(AgentConversation(), Prompt("Ask"), 0, in_time())
        assert await channel.next_event() == ev.TextDelta("One")
        channel.close()
        channel.close()
        with pytest.raises(errors.ConnectionLost):
            await channel.next_event()
