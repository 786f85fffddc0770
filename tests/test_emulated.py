"""The emulator as a service: a ChatHub backend with a server of its own."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import pytest

from bing_llm import emulator as emulator_package
from bing_llm import events as ev
from bing_llm.backends.base import TurnChannel
from bing_llm.emulated import EmulatedBackend
from bing_llm.emulator import Emulator, Scripted
from bing_llm.errors import BingError, ConfigurationError, ConnectionFailed
from bing_llm.images import Image
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Timeouts
from bing_llm.messages import Prompt
from bing_llm.services import Emulated, Location
from bing_llm.sync import run
from tests.backends.serving import GRACE_S

T = TypeVar("T")


class Counted(Emulator):
    """An emulator that says hello, and is in a list while it runs; its start may be held back."""

    running: list[Counted]
    may_start: threading.Event
    starting: threading.Event
    starts: int

    def __init__(self) -> None:
        super().__init__(Scripted(lambda _question: ["Hello"]))

    async def start(self, listening: socket.socket | None = None) -> None:
        """Start, and count it."""
        type(self).starts += 1
        self.starting.set()
        await asyncio.to_thread(self.may_start.wait, GRACE_S)
        await super().start(listening)
        self.running.append(self)

    async def aclose(self) -> None:
        """Stop, and count it."""
        if self in self.running:
            self.running.remove(self)
        await super().aclose()


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    """The emulator that the backend starts."""
    events = {"may_start": threading.Event(), "starting": threading.Event()}
    kind: type[Counted] = type("Counted", (Counted,), {"running": [], "starts": 0, **events})
    kind.may_start.set()
    monkeypatch.setattr(emulator_package, "Emulator", kind, raising=False)
    return kind


def in_time() -> Deadline:
    """A deadline that no test reaches."""
    return Deadline(60.0, lambda: 0.0)


def new_backend(**settings: Any) -> EmulatedBackend:
    """A backend that nothing has used yet."""
    backend = Emulated(**settings).open(timeouts=Timeouts(answer=7), limits=DEFAULT_LIMITS)
    assert isinstance(backend, EmulatedBackend)
    return backend


@asynccontextmanager
async def opened() -> AsyncIterator[EmulatedBackend]:
    """A backend, closed in the end."""
    backend = new_backend()
    try:
        yield backend
    finally:
        await backend.aclose()


async def ask(backend: EmulatedBackend) -> str:
    """The text of one turn in a conversation of its own."""
    conversation = await backend.create_conversation(in_time())
    channel = await backend.open_turn(conversation, Prompt("Hi"), 0, in_time())
    try:
        while True:
            event = await channel.next_event()
            if isinstance(event, ev.TurnCompleted):
                return event.reply.text
    finally:
        channel.close()


async def refused(kind: type[BingError], call: Coroutine[Any, Any, object]) -> str:
    """What the error says that a call raises."""
    with pytest.raises(kind) as caught:
        await call
    return str(caught.value)


async def test_an_answer_comes_from_a_server_of_its_own(counted: type[Counted]) -> None:
    """The first call starts the server; closing stops it."""
    async with opened() as backend:
        assert (backend.prompt_limit, counted.starts) == (4000, 0)
        assert await ask(backend) == "Hello"
        assert await ask(backend) == "Hello"
        assert len(counted.running) == 1
    assert counted.running == []


async def test_two_tasks_start_one_server(counted: type[Counted]) -> None:
    """Whoever comes second waits for the server that the first one starts."""
    async with opened() as backend:
        assert await asyncio.gather(*[ask(backend) for _ in range(3)]) == ["Hello"] * 3
        assert counted.starts == 1


def test_it_works_from_several_loops(counted: type[Counted]) -> None:
    """The server outlives the loop that started it, and serves every loop."""
    backend = new_backend()
    try:
        assert [asyncio.run(ask(backend)) for _ in range(2)] == ["Hello"] * 2
        answers: list[str] = []
        threads = [threading.Thread(target=lambda: answers.append(asyncio.run(ask(backend)))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GRACE_S)
        assert answers == ["Hello"] * 2
        assert counted.starts == 1
    finally:
        asyncio.run(backend.aclose())
    assert counted.running == []


async def test_conversations_are_its_own() -> None:
    """They are listed, taken up and deleted as those of the service."""
    async with opened() as backend:
        assert await backend.list_conversations(in_time()) == []
        await ask(backend)
        [info] = await backend.list_conversations(in_time())
        known = await backend.open_conversation(info.id, in_time())
        await backend.delete_conversation(known, in_time())
        assert await backend.list_conversations(in_time()) == []


async def test_all_models_share_one_server(counted: type[Counted]) -> None:
    """A backend for another model speaks to the same server, whichever of them starts it or closes it."""
    for first in (False, True):
        backend = new_backend()
        both = [backend, backend.with_model("bing-precise")]
        assert [await ask(each) for each in (reversed(both) if first else both)] == ["Hello"] * 2
        [server] = counted.running
        tones = [request.body["arguments"][0]["tone"] for request in server.requests if request.kind == "chat"]
        assert sorted(tones) == ["Balanced", "Precise"]
        await both[first].aclose()
        assert counted.running == []
    with pytest.raises(ConfigurationError, match="bing-huge"):
        backend.with_model("bing-huge")


async def test_a_warm_conversation_serves_all_models(counted: type[Counted]) -> None:
    """What one model made ready another may take, also with a picture, which goes to the same server."""
    async with opened() as backend:
        warm = await backend.warm_up(in_time())
        prompt = Prompt("What is this?", images=(Image(b"\x89PNG\r\n\x1a\n"),))
        channel = await backend.with_model("bing-precise").open_warm(warm, prompt, in_time())
        assert [event async for event in _events(channel)]
        [server] = counted.running
        assert [request.kind for request in server.requests] == ["creation", "upload", "chat"]


async def _events(channel: TurnChannel) -> AsyncIterator[ev.Event]:
    try:
        while True:
            event = await channel.next_event()
            yield event
            if isinstance(event, ev.TurnCompleted):
                return
    finally:
        channel.close()


async def test_closing_twice_is_closing_once(counted: type[Counted]) -> None:
    """Whether the backend was used or not."""
    for used in (False, True):
        backend = new_backend()
        if used:
            await ask(backend)
        await backend.aclose()
        await backend.aclose()
        assert counted.running == []


async def test_a_closed_backend_has_no_server(counted: type[Counted]) -> None:
    """What is used after its end finds nobody there; it does not start another server."""
    async with opened() as backend:
        conversation = await backend.create_conversation(in_time())
        await backend.aclose()
        turn = backend.open_turn(conversation, Prompt("Hi"), 0, in_time())
        assert "There was no connection" in await refused(ConnectionFailed, turn)
        assert counted.starts == 1


async def test_a_cancelled_caller_does_not_stop_the_start(counted: type[Counted]) -> None:
    """Whoever waits for the same start gets the server, and the cancelled caller may come again."""
    counted.may_start.clear()
    async with opened() as backend:
        first, second = (asyncio.ensure_future(ask(backend)) for _ in range(2))
        await asyncio.to_thread(counted.starting.wait, GRACE_S)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        counted.may_start.set()
        assert await second == "Hello"
        assert await ask(backend) == "Hello"
        assert counted.starts == 1


async def test_closing_waits_for_the_start(counted: type[Counted]) -> None:
    """A server that is just starting is closed, too."""
    counted.may_start.clear()
    backend = new_backend()
    task = asyncio.ensure_future(ask(backend))
    await asyncio.to_thread(counted.starting.wait, GRACE_S)
    task.cancel()
    closing = asyncio.ensure_future(backend.aclose())
    counted.may_start.set()
    await closing
    assert counted.running == []
    assert task.cancelled()


async def test_a_start_that_fails_refuses_the_connections(
    counted: type[Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a server that does not come, and the log says why; closing has nothing left to do."""

    async def fail(_self: Emulator, _listening: socket.socket) -> None:
        raise ConfigurationError("The emulator cannot listen.")

    monkeypatch.setattr(counted, "start", fail)
    backend = new_backend()
    assert await refused(ConnectionFailed, ask(backend))
    await backend.aclose()
    assert counted.running == []


async def test_nothing_reaches_another_machine(counted: type[Counted], monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoint, cookies and proxies of the environment are left out; the client's time limits stay."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("BING_LLM_ENDPOINT", "https://service.example")
    monkeypatch.setenv("BING_COOKIES", "_U=hunter2")
    backend = new_backend()
    assert await ask(backend) == "Hello"
    [server] = counted.running
    for request in server.requests:
        assert not {"cookie", "x-forwarded-for"} & {name.lower() for name in request.headers}
    assert "autosave" not in server.requests[1].body["arguments"][0]["optionsSets"]
    assert backend._timeouts == Timeouts(answer=7)
    await backend.aclose()


async def test_it_answers_as_its_settings_say(counted: type[Counted]) -> None:
    """They are those of a ChatHub."""
    place = Location(1.0, 2.0)
    backend = new_backend(model="bing-precise", search=False, locale="de-DE", location=place, prompt_limit=10)
    assert backend.prompt_limit == 10
    assert await ask(backend) == "Hello"
    [arguments] = counted.running[0].requests[-1].body["arguments"]
    assert (arguments["tone"], arguments["optionsSets"][-1]) == ("Precise", "nosearchall")
    assert (arguments["message"]["locale"], arguments["message"]["location"]) == ("de-DE", str(place))
    await backend.aclose()
    backend = new_backend(option_sets=["deepleo"])
    assert await ask(backend) == "Hello"
    assert counted.running[0].requests[-1].body["arguments"][0]["optionsSets"] == ["deepleo"]
    await backend.aclose()


async def test_a_backend_that_nobody_closed_closes_its_server(counted: type[Counted]) -> None:
    """When the backend is collected its emulator stops listening."""
    backend = new_backend()
    assert await ask(backend) == "Hello"
    [server] = counted.running
    url = server.url
    del backend
    gc.collect()
    await asyncio.to_thread(run, _settled())
    assert counted.running == []
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as http, http.get(url):
            pass


async def _settled() -> None:
    """Wait for whatever runs on the background loop; the server's close cancels some of it."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
