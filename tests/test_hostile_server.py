"""A server that means harm, over real sockets: each attack ends in time, in a typed error, and in little memory."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

import pytest

from bing_llm import BingClient, BingError, Limits, Retries, Timeouts, errors
from bing_llm.backends.workiq.a2a.backend import A2ABackend
from tests.backends.chathub.wire import ACK, PING, bot, cursor, final, update
from tests.backends.serving import Answer, Request, Server, cut_off, frame, reply, silent, upgraded
from tests.backends.workiq import wire as workiq
from tests.backends.workiq.a2a import wire as a2a

CREATE = "/turing/conversation/create"
SOCKET = "/sydney/ChatHub"
TURN = "/conversations/c1/chatOverStream"

CREATED = reply(json.dumps({"conversationId": "c1", "clientId": "p1", "conversationSignature": "signature"}).encode())
CREATED_TOO = reply(b'{"id": "c1"}', 201)

MIB = 1024 * 1024
SMALL = Limits(frame_bytes=200_000, answer_characters=200_000, citations=100)


class Ticking:
    """A clock that a second passes on each time it is read: then no test waits for a limit of minutes."""

    def __init__(self) -> None:
        self._seconds = count()

    def __call__(self) -> float:
        """The time in seconds."""
        return float(next(self._seconds))


def once(clock: Callable[[], float] | None = None) -> Retries:
    """One attempt."""
    return Retries(attempts=1, clock=clock)


# Waits by the machine's clock are short, those by the clock of the client are the defaults.
TIMEOUTS = Timeouts(connect=1.0, stop=0.01)


def message(text: str, first: int = 0x81) -> bytes:
    """One WebSocket message of a server, in one frame: text unless its first byte says otherwise."""
    payload = text.encode()
    return bytes([first, 127]) + len(payload).to_bytes(8, "big") + payload


def saying(parts: Iterable[bytes]) -> Answer:
    """A chat socket that says this as fast as it is taken, and then nothing."""

    async def talk(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)  # a drain that need not wait gives nobody else a turn
        await silent(request, reader, writer)

    return upgraded(talk)


def streaming(parts: Iterable[bytes], head: bytes = b"Content-Type: text/event-stream\r\n") -> Answer:
    """An answer of Work IQ whose body is this, as fast as it is taken, and then nothing."""

    async def talk(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        await silent(request, reader, writer)

    return talk


def flood(data: bytes) -> Answer:
    """Nothing but this, again and again, before any answer."""

    async def talk(_request: Request, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0)

    return talk


@asynccontextmanager
async def chathub(
    socket: Answer, create: Answer = CREATED, **settings: Any
) -> AsyncIterator[tuple[BingClient, Server]]:
    """A client of a ChatHub."""
    async with (
        Server(reply(status=404), routes={CREATE: create, SOCKET: socket}) as server,
        BingClient(backend="chathub", endpoint=server.url(""), **_settings(settings)) as client,
    ):
        yield client, server


@asynccontextmanager
async def work_iq(
    turn: Answer, create: Answer = CREATED_TOO, **settings: Any
) -> AsyncIterator[tuple[BingClient, Server]]:
    """A client of a Work IQ."""
    async with Server(reply(status=404), routes={"/conversations": create, TURN: turn}) as server:
        given = {"token": "a-token", "time_zone": "Europe/Zurich", **_settings(settings)}
        async with BingClient(backend="workiq", endpoint=server.url(""), **given) as client:
            yield client, server


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    return {"timeouts": TIMEOUTS, "retries": once(), "limits": SMALL, **given}


async def failure(client: BingClient) -> BingError:
    """How a turn ends."""
    with pytest.raises(BingError) as caught:
        await client.ask("Hello")
    return caught.value


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """What is imported when it is first used is not what an attack costs."""
    backends = ("chathub.backend", "workiq.backend", "workiq.a2a.backend")
    for name in (*(f"bing_llm.backends.{backend}" for backend in backends), "tenacity"):
        importlib.import_module(name)


@contextmanager
def memory(most: int) -> Iterator[None]:
    """Fail where more than so many bytes are held at once within."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak:,} bytes"


# --- without an end ---------------------------------------------------------------------------------------------------


def progress() -> Iterator[bytes]:
    """A new loader line each time."""
    return (message(update(bot(f"Step {number}", message_id="p", messageType="Progress"))) for number in count())


def news(**fields: Any) -> Iterator[bytes]:
    """A new message of some kind each time."""
    return (message(update(bot("x", message_id=f"m{number}", **fields))) for number in count())


def again(*parts: str) -> Iterator[bytes]:
    """The same each time."""
    return (message(part) for _ in count() for part in parts)


FRAMES_WITHOUT_END: dict[str, tuple[Iterable[bytes], str]] = {
    "frames without anything": (again(update()), "timeouts.turn"),
    "the same message": (again(update(bot("x", message_id="p", messageType="Progress"))), "timeouts.turn"),
    "a text that changes": (again(update(bot("Cats")), update(bot("Dogs"))), "timeouts.turn"),
    "pings of SignalR": (again(PING), "timeouts.answer"),
    "loader lines": (progress(), "limits.answer_characters"),
    "what is not known": (news(messageType="Mystery"), "limits.answer_characters"),
    "ids": (news(author="user"), "limits.answer_characters"),
    "searches": (news(messageType="InternalSearchQuery"), "limits.answer_characters"),
    "pieces": (again(update(writeAtCursor="x", cursor=cursor("a1"))), "limits.answer_characters"),
    "quotas": (
        (message(update(throttling={"maxNumUserMessagesInConversation": number})) for number in count()),
        "limits.answer_characters",
    ),
}


@pytest.mark.parametrize("name", FRAMES_WITHOUT_END)
async def test_frames_without_an_end_come_to_one(name: str) -> None:
    """What a server says for ever ends by the time of the turn, or as soon as it is more than an answer may be."""
    frames, limit = FRAMES_WITHOUT_END[name]
    limits = Limits(answer_characters=5_000)
    with memory(4 * MIB):
        async with chathub(saying(_after_ack(frames)), limits=limits, retries=once(Ticking())) as (client, _):
            error = await failure(client)
    assert limit in error.message


def _after_ack(frames: Iterable[bytes]) -> Iterator[bytes]:
    yield message(ACK)
    yield from frames


async def test_pings_of_the_socket_are_not_an_answer() -> None:
    """Pings below the protocol do not put off the end of a wait."""
    pings = _after_ack(frame(b"", opcode=9) for _ in count())
    async with chathub(saying(pings), retries=once(Ticking())) as (client, _):
        error = await failure(client)
    assert "timeouts.silence" in error.message


async def test_a_frame_that_drips_is_silence() -> None:
    """A frame that comes a byte at a time is nothing until it is whole."""
    drip = _after_ack(bytes([byte]) for byte in message("x" * 100_000))
    async with chathub(saying(drip), retries=once(Ticking())) as (client, _):
        error = await failure(client)
    assert "timeouts.silence" in error.message


EVENTS_WITHOUT_END: dict[str, tuple[bytes, str]] = {
    "comments": (b": still here\n", "timeouts.answer"),
    "empty events": (b"\n\n", "timeouts.answer"),
    "bytes": (b"d", "timeouts.answer"),
    "events that are not known": (workiq.event({"hello": "there"}), "timeouts.turn"),
    "snapshots without a text": (workiq.partial(None), "timeouts.turn"),
}


@pytest.mark.parametrize("name", EVENTS_WITHOUT_END)
async def test_events_without_an_end_come_to_one(name: str) -> None:
    """Dripping bytes are not an answer, and events that say nothing new end with the turn."""
    data, limit = EVENTS_WITHOUT_END[name]
    with memory(4 * MIB):
        async with work_iq(streaming(data for _ in count()), retries=once(Ticking())) as (client, _):
            error = await failure(client)
    assert limit in error.message


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"H", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000],
    ids=["informational answers", "a status that does not end", "headers"],
)
async def test_a_head_without_an_end_comes_to_one(data: bytes) -> None:
    """An HTTP answer that never begins ends within its time, or where its head is longer than any."""
    timeouts = Timeouts(connect=0.3, answer=0.3)
    with memory(8 * MIB):
        async with chathub(saying([]), create=flood(data), timeouts=timeouts) as (client, _):
            assert type(await failure(client)) in {errors.ConnectionFailed, errors.TimedOut}
        async with work_iq(flood(data), timeouts=timeouts) as (client, _):
            assert type(await failure(client)) in {errors.ConnectionLost, errors.TimedOut}


async def test_a_server_that_sends_each_request_on_is_asked_once() -> None:
    """Redirects are not followed, so they make no loop, and take no secret elsewhere."""
    for path in (CREATE, SOCKET):
        to_itself = reply(status=302, headers={"Location": path})
        create, socket = (to_itself, saying([])) if path == CREATE else (CREATED, to_itself)
        async with chathub(socket, create=create) as (client, server):
            assert type(await failure(client)) is errors.Unauthorized
            assert [request.target.partition("?")[0] for request in server.requests].count(path) == 1
    async with work_iq(reply(status=307, headers={"Location": TURN})) as (client, server):
        assert type(await failure(client)) is errors.InvalidRequest
        assert [request.target for request in server.requests] == ["/conversations", TURN]


# --- an agent ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def agent(turn: Answer, **settings: Any) -> AsyncIterator[tuple[BingClient, Server]]:
    """A client of an agent, which is asked at `/rpc`."""
    routes: dict[str, Answer] = {"/rpc": turn}
    async with Server(reply(status=404), routes=routes) as server:
        card = {"url": server.url("/rpc"), "capabilities": {"streaming": True}}
        routes["/a2a/P_1/.well-known/agent-card.json"] = reply(json.dumps(card).encode())
        given = {"token": "a-token", "time_zone": "Europe/Zurich", **_settings(settings)}
        async with BingClient(agent="P_1", endpoint=server.url("/a2a"), **given) as client:
            yield client, server


RESULTS_WITHOUT_END: dict[str, tuple[Iterable[bytes], str]] = {
    "comments": ((b": still here\n" for _ in count()), "timeouts.answer"),
    "results that are not known": ((a2a.event(hello="there") for _ in count()), "timeouts.turn"),
    "the same status": ((a2a.update("WORKING", "x") for _ in count()), "timeouts.turn"),
    "the same task": ((a2a.task("WORKING", a2a.artifact("x")) for _ in count()), "timeouts.turn"),
    "a text that changes": ((a2a.piece("xy"[number % 2]) for number in count()), "timeouts.turn"),
    "progress": ((a2a.update("WORKING", f"{number}") for number in count()), "limits.answer_characters"),
    "pieces": ((a2a.piece("x", append=True) for _ in count()), "limits.answer_characters"),
    "artifacts": ((a2a.piece(key=f"{number}") for number in count()), "limits.answer_characters"),
}


@pytest.mark.parametrize("name", RESULTS_WITHOUT_END)
async def test_results_without_an_end_come_to_one(name: str) -> None:
    """What an agent says for ever ends as what a service says."""
    results, limit = RESULTS_WITHOUT_END[name]
    limits = Limits(answer_characters=5_000)
    with memory(4 * MIB):
        async with agent(streaming(results), limits=limits, retries=once(Ticking())) as (client, _):
            error = await failure(client)
    assert limit in error.message


async def at_once(_seconds: float) -> None:
    """A wait that takes no time."""


async def test_an_agent_that_breaks_each_connection_is_left() -> None:
    """Its stream is asked for a few times, then its task until the limit of an answer; its message is sent once."""
    data = a2a.task("WORKING", a2a.artifact("x"))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
    async with agent(cut_off(head + data), retries=once(Ticking())) as (client, server):
        backend = client.backend
        assert isinstance(backend, A2ABackend)
        backend._sleep = at_once
        error = await failure(client)
    assert "timeouts.answer" in error.message
    sent = Counter(json.loads(request.body)["method"] for request in server.requests if request.method == "POST")
    assert sent.pop("SendStreamingMessage") == 1
    assert sent.pop("SubscribeToTask") <= 20
    assert set(sent) == {"GetTask"}


async def test_a_huge_card_is_refused() -> None:
    """A card has the limit of any other answer."""
    card = reply(b'{"name": "' + b"x" * 5_000_000 + b'"}')
    async with (
        Server(card) as server,
        BingClient(agent="P_1", endpoint=server.url("/a2a"), token="a-token", time_zone="UTC") as client,
    ):
        assert type(await failure(client)) is errors.ProtocolError


# --- too much at once -------------------------------------------------------------------------------------------------


def card(citations: int) -> str:
    """A final frame whose answer cites so many sources."""
    text = "".join(f"[{number}]: https://e.example\n" for number in range(citations))
    return final(bot("Hi", adaptiveCards=[{"body": [{"text": text}]}]))


def searched(pages: int) -> str:
    """A search that found so many pages."""
    found = json.dumps({"web_search_results": [{"url": "https://e.example"}] * pages})
    return update(bot(found, message_id="s", messageType="InternalSearchResult"))


TOO_MUCH: dict[str, tuple[Callable[[], list[bytes]], str]] = {
    "a frame that says that it is 1 TiB": (
        lambda: [b"\x81\x7f" + (2**40).to_bytes(8, "big"), *[b"x" * 65536] * 8],
        "limits.frame_bytes",
    ),
    "a record in many messages": (lambda: [message("x" * 65536)] * 8, "limits.frame_bytes"),
    "a message in many frames": (
        lambda: [message("x" * 65536, 0x01), *[message("x" * 65536, 0x00)] * 8],
        "limits.frame_bytes",
    ),
    "citations": (lambda: [message(card(1000))], "limits.citations"),
    "pages found": (lambda: [message(searched(1000))], "limits.citations"),
    "text": (lambda: [message(update(writeAtCursor="x" * 150_000))] * 2, "limits.answer_characters"),
    "records in one message": (lambda: [message("\x1e" * 100_000)], "records in one message"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_too_much_is_a_protocol_error(name: str) -> None:
    """What is over a limit is refused by its name, and not held."""
    parts, limit = TOO_MUCH[name]
    sent = parts()
    with memory(4 * MIB):
        async with chathub(saying(_after_ack(sent))) as (client, _):
            error = await failure(client)
    assert (type(error), limit in error.message) == (errors.ProtocolError, True), error
    assert limit.startswith("limits.") == ("`limits=`" in error.hint)


@pytest.mark.parametrize(
    ("events", "limit"),
    [
        (lambda: [b"data: " + b"x" * 65536] * 8, "limits.frame_bytes"),
        (lambda: [b"data: x\n" * 10_000] * 40, "limits.frame_bytes"),
        (lambda: [workiq.final("x" * 190_000)], "limits.answer_characters"),
        (
            lambda: [workiq.final("Hi", attributions=[{"attributionType": "citation"}] * 1000)],
            "limits.citations",
        ),
    ],
    ids=["line", "lines", "text", "citations"],
)
async def test_too_much_of_work_iq_is_a_protocol_error(events: Callable[[], list[bytes]], limit: str) -> None:
    """An answer over a limit is refused by the name of the limit, and is not held."""
    sent = events()
    limits = Limits(frame_bytes=200_000, answer_characters=180_000, citations=100)
    with memory(4 * MIB):
        async with work_iq(streaming(sent), limits=limits) as (client, _):
            error = await failure(client)
    assert (type(error), limit in error.message) == (errors.ProtocolError, True), error


async def test_a_frame_full_of_citations_is_refused_by_default() -> None:
    """The defaults hold, too, where all of it comes in one frame of an allowed length."""
    frames = [message(ACK), message(card(400_000))]
    with memory(10 * len(frames[1])):
        async with chathub(saying(frames), limits=Limits()) as (client, _):
            error = await failure(client)
    assert "over 10,000 sources of one answer (limits.citations)" in error.message


HUGE = 700_000

VALUES: dict[str, Callable[[], str]] = {
    "messages": lambda: f'{{"type":1,"target":"update","arguments":[{{"messages":[{"{}," * HUGE}{{}}]}}]}}\x1e',
    "values that are not known": lambda: f'{{"type":99,"x":[{"[]," * HUGE}[]]}}\x1e',
    "suggestions": lambda: f'{{"type":2,"item":{{"messages":[{{"suggestedResponses":[{"{}," * HUGE}{{}}]}}]}}}}\x1e',
}


@pytest.mark.parametrize("name", VALUES)
async def test_a_frame_of_tiny_values_is_not_read(name: str) -> None:
    """A short text may be a lot of data: it is counted before it is read."""
    frames = [message(ACK), message(VALUES[name]())]
    with memory(8 * len(frames[1])):
        async with chathub(saying(frames), limits=Limits()) as (client, _):
            error = await failure(client)
    assert "values" in error.message


NESTED: dict[str, Callable[[int], str]] = {
    "frame": lambda depth: "[" * depth + "]" * depth,
    "unknown frame": lambda depth: f'{{"type":99,"x":{"[" * depth}{"]" * depth}}}',
    "name of a frame": lambda depth: f'{{"type":{"[" * depth}{"]" * depth}}}',
    "name of a message": lambda depth: (
        f'{{"type":1,"target":"update","arguments":[{{"messages":[{{"messageType":"Mystery","contentType":"x",'
        f'"text":"a","y":{"[" * depth}{"]" * depth}}}]}}]}}'
    ),
    "references": lambda depth: (
        f'{{"type":1,"target":"update","arguments":[{{"references":{"[" * depth}{"]" * depth}}}]}}'
    ),
}


@pytest.mark.parametrize("depth", [200, 900, 100_000])
@pytest.mark.parametrize("name", NESTED)
async def test_nesting_breaks_nothing(name: str, depth: int) -> None:
    """However deep it is nested, a frame is an error of ours, or kept as not known."""
    nested = f"{NESTED[name](depth)}\x1e"
    async with chathub(saying([message(ACK), message(nested), message(final(bot("Hi")))]), limits=Limits()) as (
        client,
        _,
    ):
        try:
            assert (await client.ask("Hello")).text == "Hi"
        except BingError as exc:
            assert type(exc) is errors.ProtocolError  # noqa: PT017 - either end is right


BOMB = gzip.compress(b" " * (16 * MIB)) * 16
"""256 MiB in 256 KiB."""


def packed(body: bytes, status: int = 200, kind: str = "application/json") -> bytes:
    """An answer that unpacks itself."""
    return reply(body, status, {"Content-Encoding": "gzip", "Content-Type": kind})


async def test_a_packed_body_is_bounded() -> None:
    """A body that grows when it is unpacked is held as far as one that is not."""
    with memory(40 * MIB):
        async with chathub(saying([]), create=packed(BOMB)) as (client, _):
            error = await failure(client)
        assert (type(error), "4,194,304 bytes" in error.message) == (errors.ProtocolError, True)
        async with work_iq(packed(BOMB), create=packed(BOMB)) as (client, _):
            assert type(await failure(client)) is errors.ProtocolError
        for kind in ("text/event-stream", "application/json"):
            async with work_iq(packed(BOMB, kind=kind), timeouts=Timeouts(connect=5.0)) as (client, _):
                error = await failure(client)
            assert (type(error), "limits.frame_bytes" in error.message) == (errors.ProtocolError, True)
        async with work_iq(packed(BOMB, 500)) as (client, _):
            assert type(await failure(client)) is errors.ServiceError


async def test_packed_frames_are_refused() -> None:
    """No compression is offered for the socket, so a frame that claims one breaks the protocol."""
    async with chathub(saying([message(ACK), message("x", 0xC1)])) as (client, server):
        error = await failure(client)
        assert "sec-websocket-extensions" not in server.requests[-1].headers
    assert (type(error), "broke the WebSocket protocol" in error.message) == (errors.ProtocolError, True)


async def test_the_client_is_usable_after_an_attack() -> None:
    """An attack costs its own turn alone, and leaves no connection open."""
    answers = iter([saying([message(ACK), message("[" * 9)]), saying([message(ACK), message(final(bot("Hi")))])])

    async def socket(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = next(answers)
        assert not isinstance(answer, bytes)
        await answer(request, reader, writer)

    async with chathub(socket, timeouts=Timeouts(answer=0.2)) as (client, _):
        assert type(await failure(client)) is errors.TimedOut
        assert (await client.ask("Hello")).text == "Hi"
