"""One turn over one answer: the thin shell that feeds `WorkIQTurn` and keeps the time limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from bing_llm import events as ev
from bing_llm._escaping import log_line
from bing_llm._secrets import Redactor
from bing_llm.backends.answer import Answer
from bing_llm.backends.workiq.turn import Sentinel, WorkIQTurn
from bing_llm.errors import BingError, ConnectionLost, TimedOut
from bing_llm.limits import Deadline, Timeouts

__all__ = ["Stream", "WorkIQChannel"]

_log = logging.getLogger(__name__)

_STRETCH = 100  # pieces and events without a wait; some milliseconds


class Stream(Protocol):
    """What a channel needs of an answer; `bing_llm.backends.http.ByteStream` has it."""

    head: Answer

    async def receive(self, seconds: float | None = None) -> bytes:
        """What has come since, at least one byte; empty at the end."""

    def ready(self) -> bytes | None:
        """What has come since without waiting, None where nothing has."""

    def abort(self) -> None:
        """Drop the connection now."""


class WorkIQChannel:
    """One turn whose request was sent.

    The service takes 10 to 60 seconds to its first byte, and nothing tells whether the head of the answer comes before
    that. So the channel is there at once, and waits for the answer as for its events.

    Args:
        opening: Gives the answer; a task of the channel's own.
        turn: What reads the answer.
        timeouts: The limits. `silence` counts from the first byte on, `answer` from the beginning.
        deadline: The end of the whole turn; its clock and its label are the channel's.
        redact: What takes the tokens of this moment out of texts.
    """

    def __init__(
        self,
        opening: asyncio.Future[Any],
        turn: WorkIQTurn,
        timeouts: Timeouts,
        deadline: Deadline,
        *,
        redact: Callable[[], Redactor],
    ) -> None:
        self._opening: asyncio.Future[Stream] = opening
        self._turn = turn
        self._timeouts = timeouts
        self._deadline = deadline
        self._redact = redact
        self._label = deadline.label
        self._left_alone = False  # nothing of the answer is wanted any more
        self._failure: BingError | None = None  # that `ready_event` met
        self._unbroken = 0  # pieces and events since the last wait
        self._left = deadline.clock()  # when the caller got what it asked for
        self._away = 0.0  # how long the caller was away in all; the next ones leave it out
        self._progressed = self._left
        self._heard: float | None = None  # when the last byte came
        self._events_seen = 0
        self._body: bytearray | None = None  # of an answer that is no stream
        self._noted = False
        self._unlogged: list[bytes] = []
        opening.add_done_callback(self._opened)

    async def stop(self) -> None:
        """End the answer here. The service knows no such request: it sees the connection end."""
        if not self._turn.completed:
            self._turn.stop()
            self._leave()

    async def next_event(self) -> ev.Event:
        """The next event; `TurnCompleted` is the last.

        Raises:
            BingError: The turn failed.
        """
        self._resume()
        try:
            if self._failure is not None:
                raise self._failure
            event = self._taken()
            while event is None:
                event = await self._wait()
        except BingError:
            with self._redact().errors():
                raise
        self._left = self._deadline.clock()
        return event

    def ready_event(self) -> ev.Event | None:
        """The next event if it is there without waiting, else None; an error is left for `next_event`."""
        self._resume()
        try:
            return self._taken() if self._failure is None else None
        except BingError as exc:
            self._failure = exc
            return None

    def close(self) -> None:
        """Drop the connection now, unless the answer is at its end. May be called twice."""
        self._leave()

    def _opened(self, opening: asyncio.Future[Stream]) -> None:
        """Take note of how the opening ended: of a failure that nobody waits for, and of an answer that comes late."""
        if not opening.cancelled() and opening.exception() is None and self._left_alone:
            opening.result().abort()

    def _leave(self) -> None:
        self._left_alone = True
        if not self._opening.done():
            self._opening.cancel()
        elif not self._opening.cancelled() and self._opening.exception() is None:
            self._opening.result().abort()

    def _resume(self) -> None:
        """Leave the time that the caller took out of the service's: nobody listened, so nobody was silent."""
        now = self._deadline.clock()
        self._away += now - self._left
        self._left = now

    def _taken(self) -> ev.Event | None:
        """The next event of what has come, None where nothing has; also None at the end of a stretch, for others."""
        while self._unbroken < _STRETCH:
            self._unbroken += 1
            event = self._turn.next_event()
            if not isinstance(event, Sentinel):
                self._note(event)
                return event
            if not self._opening.done():
                return None
            try:
                data = self._opening.result().ready()
            except ConnectionLost as exc:
                self._lose(exc)
                continue
            if data is None:
                return None
            self._take(data)
        return None

    async def _wait(self) -> ev.Event | None:
        """Keep to the limits and wait for some bytes; answer with an event where there is one now."""
        due, what = self._next_limit()
        if due <= 0:
            raise self._limit_passed(what)
        if self._unbroken >= _STRETCH:
            await asyncio.sleep(0)
        elif not self._opening.done():
            await asyncio.wait({self._opening}, timeout=due)
        else:
            await self._listen(due)
        self._unbroken = 0
        return self._taken()

    async def _listen(self, seconds: float) -> None:
        try:
            with suppress(TimeoutError):  # the limits are looked at again
                self._take(await self._opening.result().receive(seconds=seconds))
        except ConnectionLost as exc:
            self._lose(exc)

    def _take(self, data: bytes) -> None:
        if self._heard is None and "json" in self._opening.result().head.headers.get("content-type", ""):
            self._body = bytearray()
        self._heard = self._served()
        self._debug(data)
        if self._body is None:
            self._turn.receive(data) if data else self._turn.receive_eof()
            return
        self._body += data
        if not data or len(self._body) > self._turn.limits.frame_bytes:
            self._turn.receive_body(bytes(self._body))

    def _lose(self, exc: ConnectionLost) -> None:
        """The turn says what is missing: its last event may have come before."""
        _log.debug("%s %s", self._label, exc.message)
        self._turn.receive_eof()

    def _served(self) -> float:
        """The time by a clock that stands still while the caller is away."""
        return self._deadline.clock() - self._away

    def _next_limit(self) -> tuple[float, str]:
        """The limit that passes first: in how many seconds, and its name."""
        now = self._served()
        if self._turn.events_received != self._events_seen:
            self._events_seen = self._turn.events_received
            self._progressed = now if self._heard is None else self._heard
        dues = [(self._deadline.remaining(), "turn"), (self._progressed + self._timeouts.answer - now, "answer")]
        if self._heard is not None:
            dues.append((self._heard + self._timeouts.silence - now, "silence"))
        return min(dues)

    def _limit_passed(self, what: str) -> TimedOut:
        if what == "turn":
            error = self._deadline.timed_out()
            error.partial_text = self._turn.text
            return error
        seconds = getattr(self._timeouts, what)
        msg = f"The service was silent for {seconds:g} seconds (timeouts.{what})."
        return TimedOut(msg, partial_text=self._turn.text)

    def _note(self, event: ev.Event) -> None:
        """Log what this version does not know, once a turn: its names are whatever the service invents."""
        if isinstance(event, ev.Unknown) and not self._noted:
            self._noted = True
            _log.info("%s an event that is not known was kept as Unknown; further ones are not logged", self._label)

    def _debug(self, data: bytes) -> None:
        """Log whole lines: a secret that is cut in two would be recognised in neither part."""
        if not _log.isEnabledFor(logging.DEBUG):
            return
        self._unlogged.append(data)
        if data and b"\n" not in data:
            return
        lines = b"".join(self._unlogged).split(b"\n")
        self._unlogged = [lines.pop()] if data else []
        redact = self._redact()
        for line in filter(None, map(bytes.strip, lines)):
            _log.debug("%s received %s", self._label, log_line(redact(line.decode(errors="replace"))))
        if not data:
            _log.debug("%s answer at its end", self._label)
