"""One turn over one connection: feeds what comes to the protocol of the service, and keeps the time limits."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from bing_llm import events as ev
from bing_llm._safe_text import log_line
from bing_llm._secrets import Redactor
from bing_llm.backends.transport import End
from bing_llm.errors import BingError, TimedOut
from bing_llm.limits import Deadline, Timeouts

_log = logging.getLogger(__name__)

# Kinds of unknown events that were logged; bounded, since a hostile service could invent names for ever.
_noted: set[str] = set()
_MOST_NOTED: Final = 100
_HIGHEST_TYPE: Final = 1_000_000  # of a frame; those that are known are below 10

_STRETCH: Final = 100  # pieces and events without a wait; some milliseconds
# A piece counts for more by its bytes and its lines: it may be 8,000 lines of which none is an event. Long frames take
# 2 ms for 1 MiB, and to let others run costs as much as a frame.
_BYTES_OF_A_STEP: Final = 8192
_LINES_OF_A_STEP: Final = 32


class Transport(Protocol):
    """What a channel needs of a connection; `bing_llm.backends.transport.Transport` has it."""

    async def receive(self, seconds: float) -> Sequence[bytes | End]:
        """Wait that many seconds for the next piece, and take those after it, too; TimeoutError where none came."""

    def ready(self) -> Sequence[bytes | End]:
        """The pieces that have come already, in order."""

    async def send(self, data: bytes, seconds: float) -> None:
        """Send one message; TimeoutError where it was not taken in that many seconds."""

    def abort(self) -> None:
        """Drop the connection now."""

    def hang_up(self) -> None:
        """Close the connection now, after what was sent."""


class TurnProtocol(Protocol):
    """The client's side of one turn, without I/O: takes in what came, and gives events and what to send."""

    @property
    def separator(self) -> bytes:
        """What ends each record of the wire; the log has a line for each."""

    @property
    def ping_seconds(self) -> float:
        """How often the service wants a `ping`; infinite for never."""

    @property
    def silence_from_start(self) -> bool:
        """Whether the limit `silence` begins with the turn; else with the first byte."""

    @property
    def shaking_hands(self) -> bool:
        """Whether the answer to the handshake is awaited, for which there is a limit."""

    @property
    def progress(self) -> int:
        """Grows with each record that shows that the answer goes on; a ping does not."""

    @property
    def lines(self) -> int:
        """How many lines or records were found in what came, whatever they hold."""

    @property
    def text(self) -> str:
        """The whole text so far."""

    @property
    def completed(self) -> bool:
        """Whether `TurnCompleted` was given."""

    def receive(self, data: bytes) -> None:
        """Take in bytes, in any pieces. What is wrong with them, `next_event` raises, after the events before it."""

    def receive_eof(self, code: int | None) -> None:
        """Take in the end of the connection, with its WebSocket close code; None where none came.

        A response of HTTP that came to its end has 1000, one whose connection broke 1006.
        """

    def next_event(self) -> ev.Event | None:
        """The next event, None where more must come first.

        Raises:
            BingError: The turn failed; the same error again when called again.
        """

    def ping(self) -> bytes:
        """What to send as a sign of life."""

    def stop(self) -> bytes | None:
        """What to send so that the service ends the answer; empty where the connection is to be dropped instead.

        None while the request cannot be written yet: it is asked for again when more has come.
        """

    def cut_short(self) -> ev.TurnCompleted:
        """End a stopped turn here, since the service does not answer the stop: what had come is the answer."""


class Channel:
    """One turn on one connection, which it owns. Implements `bing_llm.backends.base.TurnChannel`.

    Args:
        transport: The connection, open or still opening.
        protocol: The turn.
        timeouts: The limits.
        deadline: The end of the whole turn; its clock and its label are the channel's.
        redact: What takes the secrets of this moment out of texts.
    """

    def __init__(
        self,
        transport: Transport,
        protocol: TurnProtocol,
        timeouts: Timeouts,
        deadline: Deadline,
        *,
        redact: Callable[[], Redactor],
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._timeouts = timeouts
        self._redact = redact
        self._closed = False
        self._at_end = False
        self._failure: BingError | None = None  # that was met by a look
        self._unlogged: list[bytes] = []  # the pieces of a record that is not complete
        # No limit is shorter, so one that begins after the limits were looked at cannot have passed this much later. A
        # stop may be asked for during a wait, too.
        self._period = min(timeouts.silence, timeouts.answer, timeouts.handshake, timeouts.stop)
        self.begin(deadline)

    def begin(self, deadline: Deadline) -> None:
        """Go on under another deadline, and with limits that begin now."""
        self._deadline = deadline
        self._clock = deadline.clock
        self._label = deadline.label
        self._unbroken = 0  # pieces and events since other tasks could run
        self._check_at = -math.inf  # when the limits are looked at next
        self._left = self._clock()  # when the last wait ended
        self._away = 0.0  # how long nobody waited in all; all times but `_stop_asked` leave it out
        self._opened = self._progressed = self._pinged = self._left
        self._heard = self._left if self._protocol.silence_from_start else None
        self._progress_seen = self._protocol.progress
        self._stop_asked: float | None = None
        self._stop_unsent = False  # asked for, but what to send is not known yet

    async def send(self, data: bytes) -> None:
        """Send what the protocol gave.

        Raises:
            ConnectionLost: The connection broke.
            TimedOut: The service does not read.
        """
        self._log_records("sent", data)
        seconds, limit = min((self._timeouts.silence, "silence"), (max(0.0, self._deadline.remaining()), "turn"))
        try:
            await self._transport.send(data, seconds)
        except TimeoutError as exc:
            msg = f"The service took in nothing of what was sent for {seconds:g} seconds (timeouts.{limit})."
            raise TimedOut(msg, partial_text=self._protocol.text) from exc
        except BingError as exc:
            exc.partial_text = self._protocol.text
            raise

    async def handshake(self, data: bytes) -> None:
        """Send the handshake alone, and wait for its answer.

        Raises:
            BingError: The service refused it, or the connection broke.
        """
        await self.send(data)
        with self._redact().errors():
            while self._protocol.shaking_hands:
                await self._wait()
                self._protocol.next_event()  # reads the answer, which gives none

    def look(self) -> bool:
        """Read what is buffered, without waiting. Returns whether the connection is still usable.

        It does not after a failure, after a silence, and where so much has come that it is a flood.
        """
        self._unbroken = 0
        self._left = self._clock()  # nobody is away where nobody is to wait
        while self.ready_event() is not None:
            pass
        heard = self._heard is None or self._left - self._away - self._heard < self._timeouts.silence
        return self._failure is None and not self._at_end and heard and self._unbroken < _STRETCH

    async def stop(self) -> None:
        """Ask the service to end the answer here. The events go on to `TurnCompleted`, which keeps what came."""
        if self._stop_asked is None and not self._protocol.completed:
            self._stop_asked = self._deadline.clock()
            await self._request_stop()

    async def _request_stop(self) -> None:
        request = self._protocol.stop()
        self._stop_unsent = request is None
        if request:
            await self.send(request)
        elif request is not None:
            self._transport.abort()

    async def _ready_event_and_stop(self) -> ev.Event | None:
        """Return what `ready_event` returns; a stop that can be sent now is sent, also after the last event."""
        self._stop_unsent = False
        event = self.ready_event()
        await self._request_stop()
        return event

    async def next_event(self) -> ev.Event:
        """The next event; `TurnCompleted` is the last.

        Raises:
            BingError: The turn failed.
        """
        event = self.ready_event()
        if event is None:
            try:
                while event is None:
                    if self._stop_unsent and (event := await self._ready_event_and_stop()) is not None:
                        break
                    if self._failure is not None:
                        raise self._failure
                    event = await self._wait() or self.ready_event()
            except BingError as exc:
                exc.partial_text = exc.partial_text or self._protocol.text
                with self._redact().errors():
                    raise
        return event

    def ready_event(self) -> ev.Event | None:
        """The next event if it is there without waiting, else None; an error is left for `next_event`.

        Also None after a stretch of work, so that other tasks can run, and while a stop is to be sent.
        """
        if self._failure is not None or self._stop_unsent:
            return None
        try:
            while self._unbroken < _STRETCH:
                self._unbroken += 1
                event = self._protocol.next_event()
                if event is not None:
                    if isinstance(event, ev.Unknown):
                        self._note(event)
                    return event
                pieces = self._transport.ready()
                if not pieces or self._at_end:
                    return None
                self._take(pieces)
        except BingError as exc:
            self._failure = exc
        return None

    def close(self) -> None:
        """Close the connection now: politely after the whole answer, with a reset before. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._protocol.completed:
            self._transport.hang_up()
        else:
            self._transport.abort()

    async def _wait(self) -> ev.TurnCompleted | None:
        """Let other tasks run, and keep to the limits, one of which may end the turn.

        The time since the last wait is left out of the service's: nobody listened, so nobody was silent. Out of our own
        pings too: one that is overdue must not go before what waits, or an answer whose service has closed the
        connection since would be lost with it.
        """
        now = self._clock()
        self._away += now - self._left
        self._left = now
        if self._protocol.progress != self._progress_seen:  # counted when its events were asked for, not in `_take`
            self._progress_seen = self._protocol.progress
            self._progressed = now - self._away if self._heard is None else self._heard
        stretched, self._unbroken = self._unbroken >= _STRETCH, 0
        if now >= self._check_at or stretched:
            due, limit = self._next_limit(now)
            if due <= 0:
                return await self._limit_passed(limit)
            self._check_at = now + min(due, self._period)
        if stretched:
            await asyncio.sleep(0)
            return None
        pieces: Sequence[bytes | End] = ()
        with suppress(TimeoutError):  # the limits are looked at again
            pieces = await self._transport.receive(self._check_at - now)
        self._left = self._clock()
        self._take(pieces)
        return None

    def _take(self, pieces: Sequence[bytes | End]) -> None:
        """Give the protocol what has come."""
        if not pieces:
            return
        logs = _log.isEnabledFor(logging.DEBUG)
        protocol, work, known = self._protocol, 0, self._protocol.lines
        self._heard = self._left - self._away
        for data in pieces:
            if isinstance(data, End):
                self._at_end = True
                self._log_records("received", b"".join(self._unlogged))
                self._unlogged.clear()
                _log.debug("%s %s", self._label, data.reason)
                protocol.receive_eof(data.code)
            else:
                if logs:
                    self._log_received(data)
                protocol.receive(data)
                work += len(data) // _BYTES_OF_A_STEP
        self._unbroken += work + (protocol.lines - known) // _LINES_OF_A_STEP

    def _next_limit(self, now: float) -> tuple[float, str]:
        """The limit that passes first: in how many seconds, and its name."""
        limits, protocol, served = self._timeouts, self._protocol, self._left - self._away
        dues = [
            (self._deadline.remaining(), "turn"),
            (self._progressed + limits.answer - served, "answer"),
            (self._pinged + protocol.ping_seconds - served, "ping"),
        ]
        if self._heard is not None:
            dues.append((self._heard + limits.silence - served, "silence"))
        if protocol.shaking_hands:
            dues.append((self._opened + limits.handshake - served, "handshake"))
        if self._stop_asked is not None:
            dues.append((self._stop_asked + limits.stop - now, "stop"))
        return min(dues)

    async def _limit_passed(self, limit: str) -> ev.TurnCompleted | None:
        if limit == "ping":
            self._pinged = self._left - self._away
            await self.send(self._protocol.ping())
            return None
        if limit == "stop":
            return self._protocol.cut_short()
        if limit == "turn":
            raise self._deadline.timed_out()
        seconds = getattr(self._timeouts, limit)
        raise TimedOut(f"The service was silent for {seconds:g} seconds (timeouts.{limit}).")

    def _note(self, event: ev.Unknown) -> None:
        """Log what this version does not know, once a kind."""
        kind = _kind(event.raw, self._redact())
        if kind not in _noted and len(_noted) < _MOST_NOTED:
            _noted.add(kind)
            _log.info("%s kept as Unknown, and not logged again: %s", self._label, kind)

    def _log_received(self, data: bytes) -> None:
        """Log whole records: a secret that is cut in two would be recognised in neither part."""
        complete, separator, rest = data.rpartition(self._protocol.separator)
        if separator:
            self._log_records("received", b"".join((*self._unlogged, complete)))
            self._unlogged.clear()
        self._unlogged.append(rest)

    def _log_records(self, direction: str, data: bytes) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            redact = self._redact()
            for record in filter(None, map(bytes.strip, data.split(self._protocol.separator))):
                _log.debug("%s %s %s", self._label, direction, log_line(redact(record.decode(errors="replace"))))


def _kind(raw: object, redact: Redactor) -> str:
    """What an unknown thing calls itself."""
    names = (raw.get(key) for key in ("type", "target", "messageType", "contentType")) if isinstance(raw, dict) else ()
    return " ".join(_named(name, redact) for name in names if name is not None) or type(raw).__name__


def _named(name: object, redact: Redactor) -> str:
    """A name, cut short after the redactor: half of a secret would not be known as one."""
    if isinstance(name, str):
        return repr(redact(name))[:40]
    is_short = isinstance(name, int) and abs(name) < _HIGHEST_TYPE  # a long one cannot be written, a list may be deep
    return repr(name) if is_short else type(name).__name__
