"""Tasks: each runs on its own, whoever listens, and any connection may take it up (docs/protocol/a2a.md, section 2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal, TypeAlias

import msgspec

from bing_llm import events as ev
from bing_llm.emulator.faults import WireFault
from bing_llm.emulator.wire import new_id
from bing_llm.errors import BingError
from bing_llm.events import Citation

State: TypeAlias = Literal[
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_AUTH_REQUIRED",
]

TERMINAL = frozenset(("TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_REJECTED"))
_RUNNING = frozenset(("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"))

GRACE_S = 30.0  # for a client that lost its connection to come back
_LEAD = 256  # steps that a task may be ahead of who listens: a slow client must not make it keep everything
TASKS_KEPT = 1_000  # as `REQUESTS_KEPT`
CHARACTERS_KEPT = 64 * 2**20  # as of conversations


class Said(msgspec.Struct, frozen=True):
    """The agent says how far it is."""

    text: str


class Ended(msgspec.Struct, frozen=True):
    """The turn is over.

    Attributes:
        state: How.
        words: What the agent says with it.
        citations: What the answer rests on.
        label: The sensitivity label; None for none.
        withdrawn: Whether the answer was taken back.
    """

    state: State
    words: str = ""
    citations: tuple[Citation, ...] = ()
    label: object = None
    withdrawn: bool = False


Step: TypeAlias = ev.TextDelta | ev.TextRevised | Said | Ended | ev.Unknown | WireFault
"""What happens in a turn. A fault of the wire hits the connection that the message came by alone."""

First: TypeAlias = Step | BingError
"""A step, or the error that refuses the turn before its task begins."""


class Task:
    """One task, in one or more turns: an agent may ask for more input.

    Attributes:
        id: Its id.
        context_id: Its conversation.
        agent_id: The agent that has it; None for Copilot.
        artifacts: The texts that it has given: one of each turn, by id.
        state: Where it stands.
        words: What the agent says with that.
        ended: How its last turn ended; None while one runs.
    """

    def __init__(self, context_id: str, agent_id: str | None) -> None:
        self.id = new_id()
        self.context_id = context_id
        self.agent_id = agent_id
        self.artifacts: dict[str, str] = {}
        self.state: State = "TASK_STATE_SUBMITTED"
        self.words = ""
        self.ended: Ended | None = None
        self._steps: list[Step] = []
        self._changed = asyncio.Event()  # set, and replaced, with each change
        self._listeners: dict[int, int] = {}  # how far each is
        self._producer: asyncio.Task[None] | None = None
        self._farewell: asyncio.TimerHandle | None = None

    @property
    def characters(self) -> int:
        """How much it holds."""
        return sum(map(len, self.artifacts.values()))

    @property
    def is_running(self) -> bool:
        """Whether a turn of it runs."""
        return self.state in _RUNNING

    @property
    def artifact_id(self) -> str:
        """The artifact of the newest turn."""
        return next(reversed(self.artifacts))

    def begin(self, first: Step, running: AsyncGenerator[First, None]) -> None:
        """Begin a turn with this step; all others follow."""
        self.state, self.words, self.ended = "TASK_STATE_SUBMITTED", "", None
        self.artifacts[f"{self.id}-{len(self.artifacts) + 1}"] = ""
        self._steps = []
        self._producer = asyncio.create_task(self._produce(first, running))

    @property
    def place(self) -> int:
        """How many steps the newest turn has had."""
        return len(self._steps)

    async def follow(self, place: int) -> AsyncGenerator[Step, None]:
        """The steps of the newest turn from this one on, as they come."""
        steps, me = self._steps, object()
        self._listen(id(me), place)
        try:
            while True:
                while place < len(steps):
                    step = steps[place]
                    place += 1
                    self._listen(id(me), place)
                    yield step
                    if isinstance(step, Ended):
                        return
                if steps is not self._steps or not self.is_running:
                    return
                await self._changed.wait()
        finally:
            self._leave(id(me))

    async def cancel(self) -> None:
        """End the running turn."""
        if self._producer is not None and self.is_running:
            self._producer.cancel()
            await asyncio.wait({self._producer})
            self._add(Ended("TASK_STATE_CANCELED"))

    async def _produce(self, first: Step, running: AsyncGenerator[First, None]) -> None:
        async with aclosing(running):
            self._add(first)
            async for step in running:
                if not isinstance(step, BingError):  # which comes first, or not at all
                    self._add(step)
                await asyncio.sleep(0)
                while self._listeners and len(self._steps) - min(self._listeners.values()) > _LEAD:
                    await self._changed.wait()

    def _add(self, step: Step) -> None:
        key = self.artifact_id
        match step:
            case ev.TextDelta(text=text):
                self.state = "TASK_STATE_WORKING"
                self.artifacts[key] += text
            case ev.TextRevised(text=text):
                self.state = "TASK_STATE_WORKING"
                self.artifacts[key] = text
            case Said(text=text):
                self.state, self.words = "TASK_STATE_WORKING", text
            case Ended(state=state, words=words):
                self.state, self.words, self.ended = state, words, step
                if step.withdrawn:
                    self.artifacts[key] = ""
            case _:
                pass
        self._steps.append(step)
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _listen(self, listener: int, place: int) -> None:
        self._listeners[listener] = place
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None
        self._change()

    def _leave(self, listener: int) -> None:
        self._listeners.pop(listener, None)
        self._change()
        if not (self._listeners or self.is_running):
            self._steps = []  # which nobody can follow any more
        elif not self._listeners:
            self._farewell = asyncio.get_running_loop().call_later(GRACE_S, self.abandon)

    def abandon(self) -> None:
        """End the running turn, to which nobody listens any more."""
        if self._farewell is not None:
            self._farewell.cancel()
        if self._producer is not None and self.is_running:
            self._producer.cancel()
            self._add(Ended("TASK_STATE_CANCELED"))


class Tasks:
    """The tasks of one emulator, the oldest first."""

    def __init__(self) -> None:
        self._by_id: dict[str, Task] = {}

    def add(self, task: Task) -> None:
        """Keep a task, and drop the oldest ones that do not run if there are too many."""
        self._by_id[task.id] = task
        characters = sum(each.characters for each in self._by_id.values())
        for each in list(self._by_id.values()):
            if len(self._by_id) <= TASKS_KEPT and characters <= CHARACTERS_KEPT:
                break
            if not each.is_running:
                characters -= each.characters
                del self._by_id[each.id]

    def find(self, task_id: str) -> Task | None:
        """The task with this id."""
        return self._by_id.get(task_id)

    def abandon(self) -> None:
        """End all with the emulator."""
        for task in self._by_id.values():
            task.abandon()
