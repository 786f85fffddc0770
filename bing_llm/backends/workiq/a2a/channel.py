"""One turn of an agent over its connections: if one breaks, the next one goes on with the task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NoReturn

import msgspec

from bing_llm import events as ev
from bing_llm.backends.channel import Channel
from bing_llm.backends.http import ByteStream
from bing_llm.backends.workiq.a2a.answer import TaskReader
from bing_llm.backends.workiq.a2a.wire import PLACE_HINT, VERSION_HEADERS, Method, task_request
from bing_llm.backends.workiq.calls import Calls
from bing_llm.backends.workiq.errors import error_for
from bing_llm.backends.workiq.turn import Turn
from bing_llm.errors import BingError, ConnectionLost, ServiceError, rule_for
from bing_llm.limits import Deadline, Limits

_WAITS: Final = (0.0, 0.5, 2.0)
"""Seconds before each attempt to take up a task again: a connection that broke is often back within seconds, and a task
that is asked for may need a few more."""

_MOST_SUBSCRIPTIONS: Final = 20  # that brought something, of one turn: a service may break each connection


class TaskChannel:
    """One turn of an agent. Implements `bing_llm.backends.base.TurnChannel`.

    Each connection of it is a `Channel`. If one breaks after the service named the task, the next one goes on with the
    task, which costs nothing: the message is sent once.

    Args:
        calls: The calls of the client.
        url: Where the agent is asked.
        reader: What reads all responses.
        limits: How much is taken of what the service sends.
        deadline: The end of the whole turn.
        used: Whether the conversation was used before, and may be gone.
        stop_seconds: How long the service may take to cancel the task.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        calls: Calls,
        url: str,
        reader: TaskReader,
        limits: Limits,
        deadline: Deadline,
        *,
        used: bool,
        stop_seconds: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._calls = calls
        self._url = url
        self._reader = reader
        self._turn = Turn(reader, limits)
        self._deadline = deadline
        self._used = used
        self._stop_seconds = stop_seconds
        self._sleep = sleep
        self._channel: Channel | None = None
        self._closed = False
        self._stop_asked = False
        self._lost: BingError | None = None  # how the first connection ended, once it did
        self._method: Method = "SubscribeToTask"
        self._attempts = 0  # at this method, since something came
        self._subscriptions = 0
        self._results = 0  # that had come when the last connection was opened

    async def open(self, request: dict[str, object], *, streaming: bool) -> None:
        """Send a request whose response goes on with the turn.

        Raises:
            BingError: Nothing was sent.
        """
        accept = "text/event-stream" if streaming else "application/json"

        async def ask(sent: Callable[[], None]) -> ByteStream:
            what = "the turn"
            answered = await self._calls.stream(
                self._url, self._deadline, what=what, accept=accept, json=request, sent=sent, headers=VERSION_HEADERS
            )
            if isinstance(answered, ByteStream):
                return answered
            error = error_for(answered, what, reused=self._used, place_hint=PLACE_HINT)
            if error is None:
                error = ServiceError(f"The service answered {what} with HTTP {answered.status}.")
            with self._calls.redact.errors():
                raise error

        opened = await self._calls.open_channel(self._turn, ask, self._deadline, send=self._cancel)
        if self._closed:  # by another task, during the wait
            opened.close()
        self._channel = opened

    async def next_event(self) -> ev.Event:
        """The next event; `TurnCompleted` is the last.

        Raises:
            BingError: The turn failed.
        """
        while True:
            assert self._channel is not None  # noqa: S101 - `open` was called
            try:
                return await self._channel.next_event()
            except BingError as exc:
                failure = exc
            await self._go_on(failure)

    def ready_event(self) -> ev.Event | None:
        """The next event if it is there without waiting, else None; an error is left for `next_event`."""
        return None if self._channel is None else self._channel.ready_event()

    async def stop(self) -> None:
        """Have the service cancel the task. The events go on to `TurnCompleted`, which keeps what came."""
        self._stop_asked = True
        if self._channel is not None:
            await self._channel.stop()

    def close(self) -> None:
        """Close the connection now, without waiting for anything. May be called twice."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    async def _cancel(self, request: bytes) -> None:
        """Send the request that cancels the task. If that fails, the channel ends the answer by its own limit."""
        with suppress(BingError, TimeoutError):
            async with asyncio.timeout(self._stop_seconds):
                await self._calls.request(
                    "POST",
                    self._url,
                    self._deadline,
                    what="the end of a task",
                    json=msgspec.json.decode(request),
                    headers=VERSION_HEADERS,
                )

    async def _go_on(self, failure: BingError) -> None:
        """Take up the task on another connection.

        Raises:
            BingError: The failure, which no other connection would mend; or, after all attempts, the loss of the first.
        """
        while True:
            self._choose_method(failure)
            await self._sleep(_WAITS[self._attempts])
            self._attempts += 1
            assert self._channel is not None  # noqa: S101 - it has failed
            self._channel.close()
            self._turn.resume()
            self._results = self._reader.results
            try:
                request = task_request(self._method, self._reader.task_id)
                await self.open(request, streaming=self._method == "SubscribeToTask")
            except BingError as exc:
                failure = exc
                continue
            if self._stop_asked:
                await self._channel.stop()
            return

    def _choose_method(self, failure: BingError) -> None:
        """Choose how to go on: subscribe to the task, or else ask for it as it is.

        Raises:
            BingError: There is no way.
        """
        reader = self._reader
        is_lost = isinstance(failure, ConnectionLost)
        goes_on = reader.results > self._results  # since the last connection was opened
        if self._closed:
            raise failure
        if self._lost is None:
            if not is_lost or not reader.task_id or reader.ended:
                raise failure
            self._lost = failure
        elif reader.ended or (goes_on and not is_lost):
            raise failure
        elif goes_on and self._method == "SubscribeToTask":
            self._subscriptions += 1
            self._attempts = 0 if self._subscriptions < _MOST_SUBSCRIPTIONS else len(_WAITS)
        elif not (goes_on or rule_for(failure).transient):
            self._attempts = len(_WAITS)  # it was refused
        if self._attempts == len(_WAITS) and self._method == "SubscribeToTask":
            self._method, self._attempts = "GetTask", 0
        if self._attempts == len(_WAITS) or self._deadline.remaining() <= _WAITS[self._attempts]:
            self._give_up(failure)

    def _give_up(self, failure: BingError) -> NoReturn:
        lost = self._lost or failure
        lost.partial_text = self._reader.text
        raise lost from None if failure is lost else failure
