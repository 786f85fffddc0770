"""Cancellation at each await: whatever a client does, at every suspension of it, over both services of the emulator.

Each case runs once for every suspension of the work, of the tasks that it starts too, and is cancelled there: while it
waits, or when what it waits for has come already. Then the cancellation must have come out, and nothing may be left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from itertools import product
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

import pytest

from bing_llm import events as ev
from bing_llm import sync
from bing_llm.client import BingClient
from bing_llm.completion.request import Request
from bing_llm.completion.stream import Completion
from bing_llm.emulator import Emulator, Fault, Question
from bing_llm.errors import BingError, ServiceError
from bing_llm.limits import Retries
from bing_llm.messages import Message
from bing_llm.sync import background_loop, run
from bing_llm.sync_client import SyncBingClient
from bing_llm.tools.prompt import JsonFormat
from bing_llm.turn import TurnStream
from tests.fakes import settled
from tests.pairwise import pairwise
from tests.stepping import Interruption, stepped

GRACE_S = 10.0
"""How long to wait for what must happen, in seconds; only a failure waits that long."""

PNG = b"\x89PNG\r\n\x1a\n"
WORDS = ["Hello ", "to ", "you."]
ANSWER = "".join(WORDS)

Settings: TypeAlias = Mapping[str, Any]
Work: TypeAlias = Callable[[BingClient], Coroutine[Any, Any, object]]


SETTINGS: Mapping[str, Settings] = {
    "one at a time": {"max_concurrency": 1},
    "warm": {"max_concurrency": 1, "warm": 1},
}
"""What else the clients are made with. A slot that is lost shows in the next turn, which would wait for ever."""

LONG = "Earlier. " * 500_000
"""A context that no socket takes at once, in characters."""

held: list[TurnStream] = []
"""Streams that outlive the task that reads them: what closes them is not their collection."""


class Brain:
    """Says each word alone, once the client waits for it. Raises its failures first, one a turn."""

    def __init__(self) -> None:
        self.failures: list[BingError] = []

    async def answer(self, question: Question) -> AsyncIterator[ev.Event | BingError]:
        """The same answer to everything."""
        del question
        if self.failures:
            yield self.failures.pop()
            return
        for word in WORDS:
            for _ in range(6):
                await asyncio.sleep(0)
            yield ev.TextDelta(word)


class Service:
    """One of the services of an emulator.

    Args:
        name: The name of its backend.
        emulator: The emulator.
        brain: Its brain.
    """

    def __init__(self, name: str, emulator: Emulator, brain: Brain) -> None:
        self._name = name
        self._emulator = emulator
        self._brain = brain

    def settings(self, more: Settings) -> dict[str, Any]:
        """What a client of this service is made with."""
        to = {"endpoint": self._emulator.url}
        if self._name != "chathub":
            to = {"endpoint": self._emulator.workiq_url, "token": self._emulator.token}
        if self._name == "a2a":
            to["agent"] = "P_writer.emulator"
        retries = Retries(sleep=_one_turn, jitter=lambda: 1.0, resend_metered=True)
        return {"backend": "chathub" if self._name == "chathub" else "workiq", "retries": retries, **to, **more}

    def fail_next(self, *, creations: int = 0, turns: int = 0) -> None:
        """Let the next ones fail, each with an error that is worth another attempt."""
        self._emulator.faults = [Fault(ServiceError(), "creation") for _ in range(creations)]
        self._brain.failures[:] = [ServiceError() for _ in range(turns)]


async def _one_turn(_seconds: float) -> None:
    await asyncio.sleep(0)


# --- what is cancelled ------------------------------------------------------------------------------------------------


async def ask(client: BingClient) -> None:
    """A whole answer."""
    assert (await client.ask("Hello")).text == ANSWER


async def stream(client: BingClient) -> None:
    """The text, and then the reply."""
    async with client.stream("Hello") as turn:
        assert "".join([text async for text in turn.text]) == (await turn.reply()).text == ANSWER


async def leave(client: BingClient) -> None:
    """A stream that is closed at its first text."""
    turn = client.stream("Hello")
    held.append(turn)
    assert await anext(turn.text) == WORDS[0]
    await turn.aclose()


async def stop(client: BingClient) -> None:
    """An answer that is ended early."""
    async with client.stream("Hello") as turn:
        await anext(turn.text)
        await turn.stop()
        assert (await turn.reply()).text.startswith(WORDS[0])


async def complete(client: BingClient) -> None:
    """A history and the one that extends it, by the layer that both adapters use."""
    messages = [Message("user", "Hello")]
    for _ in range(2):
        items = await Completion(client, Request(messages=tuple(messages))).whole()
        assert "".join(item for item in items if isinstance(item, str)) == ANSWER
        messages += [Message("assistant", ANSWER), Message("user", "And again?")]


async def repair(client: BingClient) -> None:
    """An answer in another form than was asked for, so that the model is asked once more."""
    completion = Completion(client, Request(messages=(Message("user", "Hello"),), json_format=JsonFormat()))
    with suppress(StopAsyncIteration):
        while True:
            await anext(completion)
    await completion.aclose()


async def converse(client: BingClient) -> None:
    """Two turns of a conversation; if one is cancelled, the next may follow."""
    conversation = await client.create_conversation()
    try:
        for _ in range(2):
            assert (await conversation.ask("Hello")).text == ANSWER
    finally:
        conversation.stream("Does it take another turn?")


async def queue(client: BingClient) -> None:
    """Two turns at once, one of which waits for the other where only one may be open."""
    await asyncio.gather(client.ask("Hello"), client.ask("Hello"))


async def create(client: BingClient) -> None:
    """A conversation without turns."""
    assert (await client.create_conversation()).id


async def close(client: BingClient) -> None:
    """A whole life."""
    async with client:
        assert (await client.ask("Hello")).text == ANSWER


async def upload(client: BingClient) -> None:
    """A turn with a picture."""
    assert (await client.ask("Hello", images=[PNG])).text == ANSWER


async def send(client: BingClient) -> None:
    """A request that takes a while to be sent."""
    assert (await client.ask("Hello", context=LONG)).text == ANSWER


async def tidy(client: BingClient) -> None:
    """The list of conversations, and the deletion of one of them."""
    conversation = await client.create_conversation()
    await conversation.ask("Hello")
    assert conversation.id in {info.id for info in await client.list_conversations()}
    await client.delete_conversation(conversation.id)


class Case(NamedTuple):
    """Some work, and what fails of it at first: creations and turns, which are tried again."""

    work: Work
    services: tuple[str, ...] = ("chathub", "workiq", "a2a")
    creations: int = 0
    turns: int = 0


CASES = {
    "ask": Case(ask),
    "ask, creation fails": Case(ask, creations=1),
    "ask, turn fails": Case(ask, turns=1),
    "stream": Case(stream),
    "leave": Case(leave),
    "stop": Case(stop),
    "complete": Case(complete),
    "repair": Case(repair),
    "converse": Case(converse),
    "queue": Case(queue),
    "create": Case(create, services=("chathub", "workiq")),  # over A2A, the first answer makes it
    "close": Case(close),
    "send": Case(send, services=("chathub",)),
    "upload": Case(upload, services=("chathub",)),
    "tidy": Case(tidy, services=("chathub",)),
}

INTERRUPTIONS = [
    (title, name, served, settings)
    for (title, case), served, settings in product(CASES.items(), (False, True), SETTINGS)
    for name in case.services
]
CHOSEN = pairwise(INTERRUPTIONS, lambda interruption: interruption)
"""Each suspension of each case costs a run; the others of these belong to the system part."""


# --- cancelled tasks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "name", "served", "settings"),
    [pytest.param(*one, marks=() if one in CHOSEN else pytest.mark.system) for one in INTERRUPTIONS],
)
async def test_a_cancellation_comes_out_and_leaves_nothing(
    title: str, name: str, *, served: bool, settings: str
) -> None:
    """At every suspension: CancelledError, no task, no connection in use, no slot taken, and the client goes on."""
    case = CASES[title]
    brain = Brain()
    async with Emulator(brain, context_limit=2 * len(LONG)) as emulator:
        service = Service(name, emulator, brain)
        with stepped(asyncio.get_running_loop()):
            at = 0
            while await goes_on(case, service, SETTINGS[settings], at, served=served):
                at += 1
    assert at > 2


async def goes_on(case: Case, service: Service, settings: Settings, at: int, *, served: bool) -> bool:
    """Cancel the work of a new client at that suspension, and use it again. False where the work ended before."""
    async with BingClient(**service.settings(settings)) as client:
        service.fail_next(creations=case.creations, turns=case.turns)
        was_reached = await cancelled(case.work(client), at, served=served)
        await settled(client.pool)
        assert in_use(client) == (client.pool.ready if client.backend_name == "chathub" else 0)
        held.clear()
        service.fail_next()
        await asyncio.wait_for(client.aclose() if case.work is close else ask(client), GRACE_S)
    return was_reached


async def cancelled(work: Coroutine[Any, Any, object], at: int, *, served: bool) -> bool:
    """Cancel the work at that suspension, or before its first step. False where it has come to its end before."""
    loop = asyncio.get_running_loop()

    def strike() -> bool:
        return task.cancel()

    interruption = Interruption(at, served=served, strike=strike)
    with interruption:
        task = loop.create_task(work)
    was_cancelled = at == 0 and task.cancel()
    _, working = await asyncio.wait({task}, timeout=GRACE_S)
    assert not working, "the work hangs"
    await ended(interruption)
    if was_cancelled or interruption.struck:
        assert task.cancelled(), f"the cancellation was swallowed: {task}"
    else:
        task.result()
    return interruption.suspensions >= at


async def ended(interruption: Interruption) -> None:
    """Wait until all tasks of the work have ended; each must."""
    interruption.end()
    left = {task for task in interruption.tasks if not task.done()}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE_S)
    assert not left, f"tasks are left: {left}"


def in_use(client: BingClient) -> int:
    """How many connections of a client are not given back. Those that are kept for the next call are none of them."""
    backend: Any = client._backends.opened.get(client.model)  # a client that was closed shows it no more
    sessions = () if backend is None else backend._http._sessions
    return sum(len(session.http.connector._acquired) for session in sessions if session.http.connector is not None)


# --- interrupted threads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chathub", "workiq"])
@pytest.mark.parametrize("way", ["ask", "stream", "converse"])
def test_ctrl_c_comes_out_of_a_synchronous_call_and_leaves_nothing(
    way: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every suspension of the background loop: KeyboardInterrupt in the caller's thread, and the client goes on."""
    monkeypatch.setattr(sync, "Future", Interruptible)
    brain = Brain()
    with Emulator(brain) as emulator:
        service = Service(name, emulator, brain)
        at, was_reached = 0, True
        with stepped(background_loop()):
            while was_reached:
                at += 1
                with SyncBingClient(**service.settings(SETTINGS["one at a time"])) as client:
                    was_reached = interrupted(SYNCHRONOUS[way], client, at)
                    assert in_use(client._async) == 0
                    assert client.ask("Hello").text == ANSWER
    assert at > 2


def ask_in_this_thread(client: SyncBingClient) -> None:
    """A whole answer."""
    assert client.ask("Hello").text == ANSWER


def stream_in_this_thread(client: SyncBingClient) -> None:
    """The text, and then the reply."""
    with client.stream("Hello") as turn:
        assert "".join(turn.text) == turn.reply().text == ANSWER


def converse_in_this_thread(client: SyncBingClient) -> None:
    """Two turns of a conversation."""
    conversation = client.create_conversation()
    for _ in range(2):
        assert conversation.ask("Hello").text == ANSWER


SYNCHRONOUS: Mapping[str, Callable[[SyncBingClient], None]] = {
    "ask": ask_in_this_thread,
    "stream": stream_in_this_thread,
    "converse": converse_in_this_thread,
}


def interrupted(work: Callable[[SyncBingClient], None], client: SyncBingClient, at: int) -> bool:
    """Press Ctrl-C at that suspension. False where the work has come to its end before."""
    interruption = Interruption(at, served=False, strike=lambda: Interruptible.newest.interrupt())  # noqa: PLW0108 - the newest at that time
    came_out = False
    with interruption:
        try:
            work(client)
        except KeyboardInterrupt:
            came_out = True
    run(ended(interruption))
    assert came_out == interruption.struck
    return interruption.suspensions >= at


class Interruptible(Future[Any]):
    """What a synchronous call waits for. Its wait can be interrupted at will; a signal comes when it likes."""

    newest: Interruptible

    def __init__(self) -> None:
        super().__init__()
        self.wakes: SimpleQueue[bool] = SimpleQueue()
        self.add_done_callback(lambda _: self.wakes.put(item=False))
        Interruptible.newest = self

    def interrupt(self) -> bool:
        """Interrupt whoever waits; False where nobody does: a connection is read between two calls, too."""
        if not self.done():
            self.wakes.put(item=True)
        return not self.done()

    def result(self, timeout: float | None = None) -> Any:
        """The result, or the interrupt."""
        if self.wakes.get(timeout=GRACE_S):
            raise KeyboardInterrupt
        return super().result(timeout)
