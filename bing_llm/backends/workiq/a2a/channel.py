"""One turn of an agent over its connections: if one ends too early, the next one goes on with the task."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from bing_llm import events as ev
from bing_llm.backends.channel import Channel
from bing_llm.backends.http import ByteStream
from bing_llm.backends.workiq.a2a.answer import TaskReader
from bing_llm.backends.workiq.a2a.resume import Outcome, Step
from bing_llm.backends.workiq.a2a.wire import PLACE_HINT, VERSION_HEADERS, task_request
from bing_llm.backends.workiq.calls import Calls
from bing_llm.backends.workiq.errors import error_for
from bing_llm.backends.workiq.turn import Turn
from bing_llm.errors import BingError, ConnectionLost, ServiceError, TimedOut, rule_for
from bing_llm.limits import Deadline, Limits, Timeouts


class TaskChannel:
    """One turn of an agent. Implements `bing_llm.backends.base.TurnChannel`.

    Each connection of it is a `Channel`. If one ends after the service named the task, but before the task ended, the
    next one goes on with the task, which costs nothing: the message is sent once.

    Args:
        calls: The calls of the client.
        url: Where the agent is asked.
        reader: What reads all responses.
        limits: How much is taken of what the service sends.
        deadline: The end of the whole turn.
        used: Whether the conversation was used before, and may be gone.
        timeouts: The time limits of each step.
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
        timeouts: Timeouts,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._calls = calls
        self._url = url
        self._reader = reader
        self._turn = Turn(reader, limits)
        self._deadline = deadline
        self._used = used
        self._timeouts = timeouts
        self._sleep = sleep
        self._channel: Channel | None = None
        self._closed = False
        self._stop_asked = False
        self._stop_sent = asyncio.Event()
        self._pausing: asyncio.Future[None] | None = None
        self._shown: object = None  # by the last poll that brought something new
        self._changed_at = -math.inf  # in seconds, on the clock of the deadline
        self._lost: BingError | None = None  # how the first connection ended, once it did
        self._step: Step | None = None  # that is being tried, once the first connection ended
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
            if self._stop_asked:
                await self._stop_sent.wait()
                return self._turn.cut_short()

    def ready_event(self) -> ev.Event | None:
        """The next event if it is there without waiting, else None; an error is left for `next_event`."""
        return None if self._channel is None else self._channel.ready_event()

    async def stop(self) -> None:
        """Have the service cancel the task. The events go on to `TurnCompleted`, which keeps what came."""
        self._stop_asked = True
        try:
            if self._channel is not None:
                await self._channel.stop()
        finally:
            self._stop_sent.set()
            self._end_pause()

    def close(self) -> None:
        """Close the connection now, without waiting for anything. May be called twice."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()
        self._end_pause()

    async def _cancel(self, request: bytes) -> None:
        """Send the request that cancels the task. If that fails, the channel ends the answer by its own limit."""
        with suppress(BingError, TimeoutError):
            async with asyncio.timeout(self._timeouts.stop):
                await self._calls.request(
                    "POST",
                    self._url,
                    self._deadline,
                    what="the end of a task",
                    json=msgspec.json.decode(request),
                    headers=VERSION_HEADERS,
                )

    async def _go_on(self, failure: BingError) -> None:
        """Take up the task on another connection, unless the user asked to stop.

        Raises:
            BingError: The failure, which no other connection would mend; or, after all attempts, the loss of the first.
        """
        while True:
            outcome = self._outcome_of(failure)
            if not self._stop_asked:
                await self._pause(self._next_wait(outcome, failure))
            if self._closed:
                raise failure
            if self._stop_asked:
                return
            assert self._channel is not None  # noqa: S101 - it has failed
            assert self._step is not None  # noqa: S101 - it was just chosen
            self._channel.close()
            self._turn.resume()
            self._results = self._reader.results
            try:
                request = task_request(self._step.method, self._reader.task_id)
                await self.open(request, streaming=self._step.method == "SubscribeToTask")
            except BingError as exc:
                failure = exc
                continue
            return

    def _outcome_of(self, failure: BingError) -> Outcome:
        """What the last connection brought.

        Raises:
            BingError: The failure, if it is how the turn ended.
        """
        reader = self._reader
        is_lost, is_first = isinstance(failure, ConnectionLost), self._step is None
        runs = reader.results > self._results  # since the last connection was opened
        if self._closed or reader.ended or not reader.task_id or (not is_lost and (runs or is_first)):
            raise failure
        if runs:
            return "runs"
        return "nothing" if is_lost or rule_for(failure).transient else "refused"

    def _next_wait(self, outcome: Outcome, failure: BingError) -> float:
        """Choose the next call; the seconds to wait before it.

        Raises:
            ConnectionLost: The turn cannot be resumed. This is the error of the first loss.
            TimedOut: The task runs, but shows nothing new for too long, or the turn has no time left.
        """
        lost = self._lost = self._lost or failure
        step = self._step = Step() if self._step is None else self._step.after(outcome)
        remaining = self._deadline.remaining()
        if step is not None and step.polls:
            self._check_polls(lost)
        seconds = math.inf if step is None else step.wait(remaining)
        if seconds < remaining:
            return seconds
        error = self._deadline.timed_out() if step is not None and step.polls else lost
        error.partial_text = self._reader.text
        raise error from None if failure is error else failure

    def _check_polls(self, lost: BingError) -> None:
        """Keep to the limit of a task that shows nothing new, as that of a stream which brings only pings."""
        now, shown = self._deadline.clock(), self._reader.shown
        if shown != self._shown:
            self._shown, self._changed_at = shown, now
        seconds = self._timeouts.answer
        if now - self._changed_at >= seconds:
            msg = f"The task showed nothing new for {seconds:g} seconds (timeouts.answer)."
            raise TimedOut(msg, partial_text=self._reader.text) from lost

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the user stops or leaves the turn."""
        self._pausing = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait((self._pausing,))
        finally:
            self._pausing.cancel()
            self._pausing = None

    def _end_pause(self) -> None:
        if self._pausing is not None:
            self._pausing.cancel()
