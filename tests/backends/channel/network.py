"""A connection that is a list, whose time passes only where the channel waits."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from bing_llm import events as ev
from bing_llm.backends.channel import Channel
from bing_llm.backends.chathub.codec import SEPARATOR
from bing_llm.backends.transport import End
from bing_llm.errors import BingError

Step: TypeAlias = str | bytes | float | End | BingError | Callable[[], Awaitable[None]]
"""What comes, seconds of silence, the end, an error of the connection, or what is done while the channel waits."""


def each(seconds: float, data: str | bytes, times: int) -> list[Step]:
    """The same data again and again, this many seconds apart."""
    steps: list[Step] = [seconds, data]
    return steps * times


class Network:
    """A transport with a script, and the clock that it moves. After the script it is silent for ever.

    Attributes:
        now: The time in seconds.
        sent: When what was sent, as JSON records.
        waits: How long each wait might have been, in seconds.
        ends: How it was closed, each time.
        broken: What is raised where something is sent.
    """

    def __init__(self, *script: Step) -> None:
        self.now = 1000.0
        self.script: deque[Step] = deque(script)
        self.sent: list[tuple[float, list[dict[str, Any]]]] = []
        self.waits: list[float] = []
        self.ends: list[str] = []
        self.broken: BingError | None = None
        self._over: End | BingError | None = None

    def clock(self) -> float:
        """The time in seconds."""
        return self.now

    @property
    def passed(self) -> float:
        """Seconds since the channel was opened."""
        return self.now - 1000.0

    async def receive(self, seconds: float) -> list[bytes | End]:
        """The next data of the script, or the end of the wait."""
        assert seconds > 0
        self.waits.append(seconds)
        until = self.now + seconds
        while self.script:
            if pieces := self.ready():
                return pieces
            step = self.script.popleft()
            if callable(step):
                await step()
                continue
            assert isinstance(step, int | float)
            if self.now + step > until:
                self.script.appendleft(self.now + step - until)
                break
            self.now += step
        if self._over is not None:
            return [End()]
        self.now = until
        raise TimeoutError

    def ready(self) -> list[bytes | End]:
        """The next data of the script, if it comes before anything else; the end and an error each time."""
        step = self.script[0] if self.script else None
        if self._over is None and isinstance(step, End | BingError):
            self._over = step
            self.script.popleft()
        if isinstance(self._over, BingError):
            raise self._over
        if self._over is not None:
            return [self._over]
        if not isinstance(step, str | bytes):
            return []
        self.script.popleft()
        return [step.encode() if isinstance(step, str) else step]

    async def send(self, data: bytes, seconds: float) -> None:
        """Keep what is sent, and when."""
        assert seconds >= 0
        if self.broken is not None:
            raise self.broken
        records = [json.loads(record) for record in data.split(SEPARATOR)[:-1]]
        self.sent.append((self.passed, records))

    def abort(self) -> None:
        """Note it; from now on there is only the end."""
        self.ends.append("abort")
        self._over = self._over or End()

    def hang_up(self) -> None:
        """Note it."""
        self.ends.append("hang up")

    def sent_of(self, kind: int) -> list[tuple[float, dict[str, Any]]]:
        """The frames of this type that were sent, with their times."""
        return [(at, record) for at, records in self.sent for record in records if record.get("type") == kind]


async def events_of(channel: Channel) -> list[ev.Event]:
    """The events of a turn to its end."""
    given: list[ev.Event] = []
    while not (given and isinstance(given[-1], ev.TurnCompleted)):
        given.append(await channel.next_event())
    return given


async def reply_of(channel: Channel) -> ev.Reply:
    """The reply that ends a turn."""
    completed = (await events_of(channel))[-1]
    assert isinstance(completed, ev.TurnCompleted)
    return completed.reply


async def failure_of(channel: Channel) -> BingError:
    """The error that ends a turn."""
    with pytest.raises(BingError) as caught:
        await events_of(channel)
    return caught.value
