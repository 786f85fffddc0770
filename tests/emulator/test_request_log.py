"""The log of requests: one line for each, whatever becomes of it, and no secret in it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import aiohttp
import pytest

from bing_llm import BingClient, BingError, ChatHub, Service, TextDelta, WorkIQ
from bing_llm import events as ev
from bing_llm.emulator import Cut, Emulator, Fault, Late, Scripted, Silence, Split
from bing_llm.emulator.fault_plan import FaultKind, Step
from bing_llm.emulator.received import Received
from bing_llm.emulator.request_log import line_of, log_frame, redactor_of
from bing_llm.errors import ContentFiltered, ConversationEnded, ServiceError, Throttled
from bing_llm.limits import Retries, Timeouts
from tests.emulator.chathub.visitor import SEPARATOR, Visitor, chat

LINES = "bing_llm.emulator.requests"
FRAMES = "bing_llm.emulator.frames"
TOKEN = "the-token-of-work-iq"
LATER = Late(0.0)
ONCE: dict[str, Any] = {"retries": Retries(attempts=1)}
IMPATIENT: dict[str, Any] = {**ONCE, "timeouts": Timeouts(silence=0.2, answer=0.2)}
"""Of a client that waits for what never comes."""

SERVICES: dict[str, Callable[[Emulator], Service]] = {
    "chathub": lambda emulator: ChatHub(endpoint=emulator.url),
    "workiq": lambda emulator: WorkIQ(endpoint=emulator.workiq_url, token=TOKEN, time_zone="UTC"),
    "a2a": lambda emulator: WorkIQ(endpoint=emulator.a2a_url, token=TOKEN, agent="P_writer.emulator", time_zone="UTC"),
}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """One whose token is known."""
    async with Emulator(Scripted(lambda _: ["One ", "two ", "three."]), token=TOKEN) as running:
        yield running


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[str]]:
    """The lines of requests so far whose words contain this one."""
    caplog.set_level(logging.INFO, LINES)
    return lambda word: [line for line in logged(caplog) if f" {word} " in line]


def logged(caplog: pytest.LogCaptureFixture, name: str = LINES) -> list[str]:
    """What one logger has logged; asyncio's may have slow steps of a busy machine."""
    return [record.getMessage() for record in caplog.records if record.name == name]


class Waiting:
    """A brain that begins, and never ends."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def answer(self, _question: object) -> AsyncIterator[ev.Event]:
        """Begin."""
        yield ev.TextDelta("One")
        self.begun.set()
        await asyncio.Event().wait()


async def until_ended(emulator: Emulator) -> None:
    """Wait until nothing is running any more."""
    while not all(request.ended for request in emulator.requests):  # noqa: ASYNC110 - nothing sets an event
        await asyncio.sleep(0)


async def ask(emulator: Emulator, service: str, *, stop: bool = False, waits: bool = True) -> None:
    """Ask once, whatever comes, and wait until the emulator knows what came."""
    async with BingClient(SERVICES[service](emulator), **(ONCE if waits else IMPATIENT)) as bing:
        with suppress(BingError):
            async with bing.stream("Hello") as turn:
                async for event in turn:
                    if stop and isinstance(event, TextDelta):
                        break
    await until_ended(emulator)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_turn_that_was_answered(emulator: Emulator, lines: Callable[[str], list[str]], service: str) -> None:
    """Its line has method, path, conversation, turn and outcome."""
    await ask(emulator, service)
    asked = emulator.requests[-1]
    method = "WS" if service == "chathub" else "POST"
    short = asked.conversation_id[-8:]
    assert lines("chat") == [f"{method} {asked.path} chat conversation=...{short} turn=1 ok"]
    assert (asked.method, asked.turn, asked.outcome) == (method, 1, "ok")
    first = "card" if service == "a2a" else "creation"
    assert [line.rpartition(" ")[2] for line in lines(first)] == ["ok"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([Throttled(service_message="Not\nnow.")], r"error: throttled: Not\nnow."),
        (["One", ServiceError()], "error: service error"),
        ([ContentFiltered()], "error: content filtered"),
        ([ConversationEnded()], "error: conversation ended"),
        ([ev.ImageCreated("https://e.example")], "error: invalid request: The emulator's brain failed (it yiel"),
    ],
)  # fmt: skip
async def test_a_turn_that_ends_with_an_error(
    emulator: Emulator, lines: Callable[[str], list[str]], service: str, answer: list[Any], said: str
) -> None:
    """Before its text or after: the line names the error and has the service's words."""

    class Brain:
        async def answer(self, _question: object) -> AsyncIterator[Any]:
            for each in answer:
                yield ev.TextDelta(each) if isinstance(each, str) else each

    emulator.brain = Brain()
    await ask(emulator, service)
    [line] = lines("chat")
    assert f" turn=1 {said}" in line


@pytest.mark.parametrize("service", SERVICES)
async def test_a_turn_that_the_client_leaves(
    emulator: Emulator, lines: Callable[[str], list[str]], service: str
) -> None:
    """By its stop, or by closing the connection."""
    emulator.brain = Waiting()
    await ask(emulator, service, stop=True)
    [line] = lines("chat")
    assert line.endswith(" turn=1 stopped by the client")


class Hit(NamedTuple):
    """A fault of one service, and how the line ends."""

    service: str
    what: FaultKind
    step: Step
    said: str


@pytest.mark.parametrize(
    "hit",
    [
        *(
            each
            for service in SERVICES
            for each in [
                Hit(service, Cut(), "mid", "fault: cut at mid"),
                Hit(service, Split(5), "first", "fault: split at first; answered"),
                Hit(service, Silence(), "last", "fault: silence at last"),
                Hit(service, Throttled(), "first", "fault: throttled at first; throttled"),
                Hit(service, ev.TextRevised("new"), "mid", "fault: text revised at mid; answered"),
            ]
        ),
        Hit("workiq", Cut("end"), "mid", "fault: cut at mid"),
        Hit("workiq", LATER, "request", "fault: late at request; answered"),
        Hit("a2a", LATER, "request", "fault: late at request; answered"),
        Hit("a2a", Cut(), "request", "fault: cut at request"),
    ],
)
async def test_a_turn_that_a_fault_hits(emulator: Emulator, lines: Callable[[str], list[str]], hit: Hit) -> None:
    """The line names the fault and its step, and says whether the answer came nevertheless."""
    emulator.faults = [Fault(hit.what, hit.step)]
    await ask(emulator, hit.service, waits=not isinstance(hit.what, Silence))
    assert lines("chat")[0].endswith(hit.said)


async def test_other_requests(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Each has its line: also those that no service knows, that the guard refuses, or whose socket never opens."""
    caplog.set_level(logging.INFO, LINES)
    emulator.faults = [Fault(Cut(), "handshake"), Fault(Cut(), "upgrade", turn=3)]
    async with aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = await visitor.create()
        await http.get(f"{emulator.url}/else%20where%0A%1B[31m?token={TOKEN}")
        await http.get(f"{emulator.url}/sydney%3Fsec_access_token=abcdef")
        await http.get(f"{emulator.url}/turing/conversation/chats", headers={"Host": "evil.example"})
        async with visitor.socket(created.token, greeted=False) as socket:
            await socket.send({"protocol": "json", "version": 1})
            assert await socket.frame() is None
        async with visitor.socket(created.token) as socket:
            await socket.raw.send_str("{" + SEPARATOR)
            await socket.turn()
        async with visitor.socket(created.token) as socket:  # aiohttp opens it again after the cut
            await socket.send({"type": 6}, {**chat(created), "invocationId": ""})
            await socket.turn()
        async with visitor.socket(created.token) as socket:
            await socket.send({**chat(created), "target": "dance"})
            await socket.turn()
        async with visitor.socket(created.token, greeted=False) as socket:
            await socket.send({"protocol": "xml", "version": 1})
            await socket.message()
        await http.post(f"{emulator.url}/rest/conversations", data=b"{}")
        await http.post(f"{emulator.url}/a2a/", data=b"{", headers={"Authorization": f"Bearer {TOKEN}"})
        await http.post(f"{emulator.url}/sydney/DeleteSingleConversation", json={"conversationId": "gone"})
    said = [re.sub(r"\.\.\.\w{8}", "ID", line) for line in logged(caplog)]
    assert [line if len(line) < 108 else f"{line[:105]}..." for line in said] == [
        "GET /turing/conversation/create creation conversation=ID ok",
        r"GET /else where\n\u001b[31m error: HTTP 404",
        "GET /sydney error: HTTP 404",
        "GET /turing/conversation/chats error: The emulator is not reached by this Host. Use --allow-host; in Pyth...",
        "GET /sydney/ChatHub socket fault: cut at handshake",
        "GET /sydney/ChatHub socket ok",
        "WS /sydney/ChatHub error: protocol error: The other end sent a text that is not JSON: Input data was trun...",
        "GET /sydney/ChatHub socket fault: cut at upgrade",
        "GET /sydney/ChatHub socket ok",
        "WS /sydney/ChatHub chat conversation=ID error: It has no invocationId.",
        "GET /sydney/ChatHub socket ok",
        "WS /sydney/ChatHub chat conversation=ID error: Unknown hub method 'dance'",
        "GET /sydney/ChatHub socket error: The protocol 'xml' in version 1 is not supported.",
        "POST /rest/conversations creation error: unauthorized",
        "POST /a2a/ error: The body is not JSON: Input data was truncated",
        "POST /sydney/DeleteSingleConversation deletion conversation=gone error: InvalidSession: Conversation 'gon...",
    ]


async def test_a_request_that_is_not_whole(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Its client leaves in the middle of it, or its body is not what its header says."""
    caplog.set_level(logging.INFO, LINES)
    host, port = emulator.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /_emulator/script HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
    writer.close()
    await writer.wait_closed()
    async with aiohttp.ClientSession() as http:
        url = f"{emulator.url}/_emulator/script"
        async with http.post(url, data=b"abcde", headers={"Content-Encoding": "gzip"}) as response:
            assert response.status == 400
    while len(logged(caplog)) < 2:  # noqa: ASYNC110 - nothing sets an event
        await asyncio.sleep(0)
    assert sorted(logged(caplog)) == [
        "POST /_emulator/script error: HTTP 400: its body cannot be read",
        "POST /_emulator/script stopped by the client",
    ]


async def test_a_stop_and_a_second_request_have_lines(emulator: Emulator, lines: Callable[[str], list[str]]) -> None:
    """Both are frames of a socket on which a turn runs."""
    emulator.brain = Waiting()
    async with aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = await visitor.create()
        async with visitor.socket(created.token) as socket:
            await socket.send(chat(created))
            await socket.frame()
            await socket.send(chat(created, number=1))
            while (await socket.frame())["type"] != 3:
                pass
            await socket.send({"type": 1, "target": "stop", "arguments": [], "invocationId": "0"})
            while (await socket.frame())["type"] != 3:
                pass
    await until_ended(emulator)
    short = created.id[-8:]
    assert [*lines("chat"), *lines("stop")] == [
        f"WS /sydney/ChatHub chat conversation=...{short} error: conversation busy",
        f"WS /sydney/ChatHub chat conversation=...{short} turn=1 stopped by the client",
        f"WS /sydney/ChatHub stop conversation=...{short} turn=1 ok",
    ]


async def test_closing_the_emulator_is_not_the_client(caplog: pytest.LogCaptureFixture) -> None:
    """A turn that runs then ends with the emulator."""
    caplog.set_level(logging.INFO, LINES)
    brain = Waiting()
    async with Emulator(brain, token=TOKEN) as emulator, BingClient(SERVICES["workiq"](emulator), **ONCE) as bing:
        asking = asyncio.create_task(bing.ask("Hello"))
        await brain.begun.wait()
        await emulator.aclose()
        with pytest.raises(BingError):
            await asking
    assert logged(caplog)[-1].endswith("turn=1 error: the emulator was closed")


async def test_many_at_once_have_a_line_each(emulator: Emulator, lines: Callable[[str], list[str]]) -> None:
    """However their turns mix: each line has the conversation of its own request."""
    emulator.brain = Scripted(lambda question: [*question.text] if question.text != "error" else [Throttled()])
    async with aiohttp.ClientSession() as http:
        visitor = Visitor(emulator, http)
        created = [await visitor.create() for _ in range(20)]

        async def one(number: int) -> None:
            with suppress(BingError):
                await visitor.ask("error" if number % 2 else "words", created[number])

        await asyncio.gather(*map(one, range(20)))
    await until_ended(emulator)
    assert sorted(lines("chat")) == sorted(
        f"WS /sydney/ChatHub chat conversation=...{each.id[-8:]} turn=1 {'error: throttled' if number % 2 else 'ok'}"
        for number, each in enumerate(created)
    )


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
async def test_frames_are_logged_on_demand(emulator: Emulator, caplog: pytest.LogCaptureFixture, service: str) -> None:
    """What came in and what went out, each in one line, and no token or signature in any of them."""
    await ask(emulator, service)
    assert logged(caplog) == logged(caplog, FRAMES) == []
    caplog.set_level(logging.DEBUG, "bing_llm.emulator")
    emulator.brain = Scripted([["Line\n", "\x1b[31m"]])
    await ask(emulator, service)
    texts = logged(caplog, FRAMES)
    assert any(" received {" in text and "Hello" in text for text in texts)
    assert any(" sent {" in text and "Line\\n" in text for text in texts)
    assert not re.search(r"[\x00-\x1f]", "".join(texts))
    secrets = [secret for request in emulator.requests for secret in request.secrets() if secret]
    assert secrets
    for secret in [TOKEN, *secrets]:
        assert secret not in caplog.text


SECRETS = {
    "Authorization": "Bearer the-bearer/one+1=",
    "Cookie": "_U=the-cookie-of-an-account; b=more-of-them",
}


@pytest.mark.parametrize(
    "text",
    [
        f"a {TOKEN} b",
        "a the-bearer/one+1= b",
        "a the-bearer%2Fone%2B1%3D b",
        "the-cookie-of-an-account",
        '{"conversationSignature": "unknown", "x": 1}',
        '{"encryptedConversationSignature":"unk\\"nown"}',
        r"the-bearer\u002fone+1=",
    ],
)
async def test_no_secret_is_in_a_line_or_a_frame(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """However it is spelled, and wherever a client put it."""
    caplog.set_level(logging.DEBUG, "bing_llm.emulator")
    received = Received(kind="chat", method="POST", path=f"/{text}", headers=SECRETS, error=text)
    line = line_of(received, redactor_of(emulator._state, received))
    log_frame(emulator._state, received, "received", text.encode())
    for shown in (line if "ignature" not in text else "", logged(caplog, FRAMES)[-1].partition("received")[2]):
        assert not re.search(r"the-|unk|nown|one", shown)


def test_a_long_frame_is_cut(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """After its secrets were taken out; the line says how long it was."""
    caplog.set_level(logging.DEBUG, FRAMES)
    log_frame(emulator._state, Received(kind="chat", method="WS", path="/"), "sent", "x" * 20_000)
    assert logged(caplog, FRAMES)[-1].endswith("xxx... (20,000 characters)")
    assert len(logged(caplog, FRAMES)[-1]) < 10_100


def test_a_line_is_one_line(emulator: Emulator) -> None:
    """Whatever text comes in: controls are escaped, and long texts cut."""
    received = Received(
        kind="chat", method="WS", path="/a\r\nb\x1b]0;x\x07", conversation_id="\u202e" * 20, error="e\n" * 999
    )
    line = line_of(received, redactor_of(emulator._state, received))
    assert line.isprintable()
    assert len(line) < 900


async def test_the_log_makes_no_line_where_nobody_listens(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fixture it costs nothing."""
    monkeypatch.setattr("bing_llm.emulator.request_log.line_of", lambda *_: pytest.fail("a line was made"))
    monkeypatch.setattr("bing_llm.emulator.request_log.redactor_of", lambda *_: pytest.fail("a frame was read"))
    await ask(emulator, "chathub")
    assert emulator.requests[-1].outcome == "ok"
