"""A service for the client's tests: its network is a list of events and errors for each attempt."""

from __future__ import annotations

import asyncio
import copy
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from bing_llm import events as ev
from bing_llm.backends.base import ConversationInfo
from bing_llm.client import BingClient
from bing_llm.emulator import Emulator
from bing_llm.errors import UNMETERED, BingError, ConnectionLost, InvalidRequest, PromptTooLong
from bing_llm.fold import Fold
from bing_llm.limits import Deadline, Retries, Timeouts
from bing_llm.messages import Prompt
from bing_llm.pool import WarmPool


class Pause:
    """A place where the service waits until `go` is set; `reached` says that it was come to."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def wait(self) -> None:
        """Wait here."""
        self.reached.set()
        await self.go.wait()


Line: TypeAlias = ev.Event | BingError | Pause
Turn: TypeAlias = Sequence[Line] | BingError
"""What one attempt at a turn gives; an error instead of a list means that it could not be opened."""


def answer(*pieces: str, **more: Any) -> list[Line]:
    """A whole turn of these pieces of text; `more` goes into its reply."""
    reply = ev.Reply(text="".join(pieces), **more)
    return [*(ev.TextDelta(piece) for piece in pieces), ev.TurnCompleted(reply)]


class Time:
    """A clock that only its own sleep moves, at once, or when `pause` is over.

    `waits` holds how long each sleep was, in seconds.
    """

    def __init__(self, pause: Pause | None = None) -> None:
        self._pause = pause
        self.now = 0.0
        self.waits: list[float] = []

    def clock(self) -> float:
        """The time in seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.waits.append(seconds)
        self.now += seconds
        if self._pause is not None:
            await self._pause.wait()
        await asyncio.sleep(0)

    def retries(
        self,
        *,
        attempts: int = 5,
        first_wait: float = 0.5,
        max_wait: float = 30.0,
        jitter: Callable[[], float] = lambda: 1.0,
    ) -> Retries:
        """The usual retries, by this clock and without chance."""
        return Retries(
            attempts=attempts,
            first_wait=first_wait,
            max_wait=max_wait,
            sleep=self.sleep,
            clock=self.clock,
            jitter=jitter,
        )


class Handle(msgspec.Struct, frozen=True):
    """A conversation of the fake service."""

    id: str


class FakeChannel:
    """One attempt at one turn."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = deque(lines)
        self._fold = Fold()
        self._waiting: Pause | None = None
        self.pulled = 0
        self.stops = 0
        self.closed = False
        self.closed_in: int | None = None

    async def next_event(self) -> ev.Event:
        """The next line; a list that ends without `TurnCompleted` is a connection that ends there."""
        while True:
            if self.closed or not self._lines:
                raise ConnectionLost("The connection ended.", partial_text=self._fold.text)
            line = self._lines.popleft()
            if isinstance(line, Pause):
                self._waiting = line
                await line.wait()
                continue
            if isinstance(line, BingError):
                raise line
            return self._give(line)

    def ready_event(self) -> ev.Event | None:
        """The next line, if it is an event."""
        line = self._lines[0] if self._lines and not self.closed else None
        if line is None or isinstance(line, Pause | BingError):
            return None
        self._lines.popleft()
        return self._give(line)

    def _give(self, event: ev.Event) -> ev.Event:
        self.pulled += 1
        self._fold.add(event)
        return event

    async def stop(self) -> None:
        """End the answer here."""
        self.stops += 1
        self._lines = deque([ev.TurnCompleted(self._fold.reply())])
        self._wake()

    def close(self) -> None:
        """Close the connection, and remember in which thread."""
        self.closed = True
        self.closed_in = threading.get_ident()
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.go.set()


class FakeWarm:
    """A conversation of the fake service that waits for its first turn.

    Attributes:
        handle: The conversation.
        is_alive: Whether the service has kept it.
        failure: What a ping meets.
        pings: How many were sent.
        closed: Whether it was closed without a turn.
    """

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.is_alive = True
        self.failure: BingError | None = None
        self.pings = 0
        self.closed = False

    def alive(self) -> bool:
        """Whether the service has kept it."""
        return self.is_alive

    async def keep_alive(self) -> None:
        """Count a ping."""
        self.pings += 1
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Note it."""
        self.closed = True


class FakeBackend:
    """A service that plays these turns, one for each attempt that gets as far as to open one.

    Attributes:
        calls: What was asked of it, in order.
        prompts: What each turn sent.
        channels: The turns that were opened.
        warmed: The conversations that were made ready.
        deadlines: The deadline of each call.
        creations: What the next creations give; an error, a place to wait, or None for a conversation, as when empty.
        opening: Where each turn waits before it is opened; None for nowhere.
        chats: What the service keeps.
        model: The model of this view of the service, None until `with_model` names one; all views are one service.
        models: The model of each turn.
        prompt_limit: The longest prompt, in characters.
        keeps_context: Whether a conversation remembers the context of earlier turns.
        max_images: How many pictures a turn may have; None for any number.
    """

    metering = UNMETERED

    def __init__(
        self, *turns: Turn, creations: Iterable[BingError | Pause | None] = (), prompt_limit: int = 4000
    ) -> None:
        self._turns = deque(turns)
        self.creations = deque(creations)
        self.opening: Pause | None = None
        self.calls: list[str] = []
        self.prompts: list[Prompt] = []
        self.channels: list[FakeChannel] = []
        self.warmed: list[FakeWarm] = []
        self.deadlines: list[Deadline] = []
        self.chats: list[ConversationInfo] = []
        self.model: str | None = None
        self.models: list[str | None] = []
        self.prompt_limit = prompt_limit
        self.keeps_context = True
        self.max_images: int | None = None
        self._numbers = itertools.count(1)

    @property
    def open_channels(self) -> int:
        """How many turns hold a connection."""
        return sum(not channel.closed for channel in self.channels)

    def with_model(self, model: str) -> FakeBackend:
        """The same service, for another model."""
        view = copy.copy(self)
        view.model = model
        return view

    def check_prompt(self, prompt: Prompt) -> None:
        """Refuse an empty or over-long prompt."""
        if not prompt.text:
            raise InvalidRequest("The prompt is empty.")
        if len(prompt.text) > self.prompt_limit:
            raise PromptTooLong("The prompt is too long.")
        if self.max_images is not None and len(prompt.images) > self.max_images:
            raise InvalidRequest("The prompt has too many images.")

    async def create_conversation(self, deadline: Deadline) -> Handle:
        """The next of `creations`."""
        self._called("create", deadline)
        step = self.creations.popleft() if self.creations else None
        if isinstance(step, Pause):
            await step.wait()
        elif step is not None:
            raise step
        return Handle(f"conversation-{next(self._numbers)}")

    async def open_conversation(self, conversation_id: str, deadline: Deadline) -> Handle:
        """Like `create_conversation`, for a conversation that exists."""
        self._called(f"reopen {conversation_id}", deadline)
        if self.creations and isinstance(step := self.creations.popleft(), BingError):
            raise step
        return Handle(conversation_id)

    async def open_turn(self, handle: Any, prompt: Prompt, number: int, deadline: Deadline) -> FakeChannel:
        """The next turn."""
        self._called(f"turn {number} of {handle.id}", deadline)
        return await self._open(prompt)

    async def warm_up(self, deadline: Deadline) -> FakeWarm:
        """Like `create_conversation`."""
        warm = FakeWarm(await self.create_conversation(deadline))
        self.warmed.append(warm)
        return warm

    async def open_warm(self, warm: FakeWarm, prompt: Prompt, deadline: Deadline) -> FakeChannel:
        """The next turn."""
        self._called(f"warm turn of {warm.handle.id}", deadline)
        return await self._open(prompt)

    async def _open(self, prompt: Prompt) -> FakeChannel:
        self.prompts.append(prompt)
        self.models.append(self.model)
        if self.opening is not None:
            await self.opening.wait()
        turn = self._turns.popleft()
        if isinstance(turn, BingError):
            raise turn
        channel = FakeChannel(turn)
        self.channels.append(channel)
        return channel

    async def list_conversations(self, deadline: Deadline) -> list[ConversationInfo]:
        """What the service keeps."""
        self._called("list", deadline)
        if self.creations and isinstance(step := self.creations.popleft(), BingError):
            raise step
        return self.chats

    async def delete_conversation(self, handle: Any, deadline: Deadline) -> None:
        """Forget a conversation."""
        self._called(f"delete {handle.id}", deadline)
        if self.creations and isinstance(step := self.creations.popleft(), BingError):
            raise step

    async def aclose(self) -> None:
        """Close the service."""
        self.calls.append("close")

    def _called(self, what: str, deadline: Deadline) -> None:
        self.calls.append(what)
        self.deadlines.append(deadline)


async def settled(pool: WarmPool) -> None:
    """Wait until nothing is being made ready or pinged on this loop."""
    here = asyncio.get_running_loop()
    for ready in pool._loops:
        while ready._loop is here and ready._tasks:
            await asyncio.wait(ready._tasks)
            await asyncio.sleep(0)


async def caught_up(emulator: Emulator) -> None:
    """Wait until an emulator has taken in every connection that was opened before this.

    asyncio complains of a server that is closed while it takes in one, be that one given up already.
    """
    async with BingClient(endpoint=emulator.url) as visitor:
        await visitor.list_conversations()


def client_of(
    backend: FakeBackend,
    time: Time | None = None,
    *,
    timeouts: Timeouts | None = None,
    continue_conversations: bool = True,
    max_concurrency: int | None = None,
    warm: int = 0,
    **retries: Any,
) -> BingClient:
    """A client of this service, by this clock."""
    client = BingClient(
        backend="chathub",
        timeouts=timeouts,
        retries=(time or Time()).retries(**retries),
        continue_conversations=continue_conversations,
        max_concurrency=max_concurrency,
        warm=warm,
    )
    client._backends.opened[client.model] = backend
    return client
