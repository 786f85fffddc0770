"""One turn over one socket: the thin shell that feeds `Turn` and keeps the time limits."""

from __future__ import annotations

import asyncio
import logging
from asyncio import timeout
from contextlib import suppress
from typing import Any, Protocol

import aiohttp

from bing_llm import events as ev
from bing_llm._escaping import log_line
from bing_llm._secrets import Redactor
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.connection import UNANSWERED, Sentinel, State
from bing_llm.backends.chathub.turn import Turn
from bing_llm.errors import BingError, ConnectionLost, ProtocolError, TimedOut
from bing_llm.limits import DEFAULT_LIMITS, Deadline, Limits, Timeouts

__all__ = ["PING_SECONDS", "ChatHubChannel", "WebSocket"]

_log = logging.getLogger(__name__)

# SignalR servers presume a client gone after 30 s without a word; its own clients ping each 15 s.
PING_SECONDS = 15.0

# Kinds that were logged; bounded, since a hostile service could invent names for ever.
_noted: set[str] = set()
_MOST_NOTED = 100
_HIGHEST_TYPE = 1_000_000  # of a frame; those that are known are below 10

_NO_CODE = 1005  # RFC 6455, section 7.1.5: a close frame without a code; aiohttp says 0
_BUSY = 8  # frames that came together; more are on their way then, and a turn of the loop costs less than a timer
_STRETCH = 100  # messages and events without a wait; some milliseconds

_AT_END = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}


class WebSocket(Protocol):
    """What a channel needs of a socket; `bing_llm.backends.http.Socket` has it."""

    async def receive(self, seconds: float | None = None) -> Any:
        """The next message, in aiohttp's form; a text as bytes."""

    def ready(self) -> Any:
        """The next message if it has come already, else None."""

    async def send_frame(self, message: bytes, opcode: aiohttp.WSMsgType) -> None:
        """Send one message."""

    def abort(self) -> None:
        """Drop the connection now."""

    def hang_up(self) -> None:
        """Close the connection now, after what was sent."""


class ChatHubChannel:
    """One turn on one open socket, which it owns.

    Args:
        socket: The open socket.
        timeouts: The limits.
        deadline: The end of the whole turn; its clock and its label are the channel's.
        redact: Takes secrets out of frames before they are logged.
        turn: The turn, where its handshake is done; None for a new one.
        limits: How much is taken of what the service sends.
    """

    def __init__(
        self,
        socket: WebSocket,
        timeouts: Timeouts,
        deadline: Deadline,
        *,
        redact: Redactor,
        turn: Turn | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._socket = socket
        self._limits = limits
        self._turn = turn or Turn(limits)
        self._timeouts = timeouts
        self._deadline = deadline
        self._redact = redact
        self._label = deadline.label
        self._closed = False
        self._frames_seen = 0
        self._failure: BingError | None = None  # that `ready_event` met
        self._unbroken = 0  # messages and events since the last wait
        self._left = deadline.clock()  # when the caller got what it asked for
        self._away = 0.0  # how long the caller was away in all; the next ones leave it out
        self._opened = self._heard = self._progressed = self._pinged = self._left
        self._stop_asked: float | None = None

    async def greet(self) -> None:
        """Send the handshake alone, and wait for its answer.

        Raises:
            BingError: The service refused it, or the socket broke.
        """
        await self._send(self._turn.greet())
        with self._redact.errors():
            while self._turn.state is not State.READY:
                await self._wait()

    def alive(self) -> bool:
        """Whether the socket still takes a request, after its handshake. Reads what has come, without waiting."""
        self._unbroken = 0
        try:
            while self._failure is None and self._taken() is not None:
                pass
        except BingError as exc:
            self._failure = exc
        heard = self._served() - self._heard < self._timeouts.silence
        calm = self._unbroken < _STRETCH  # else it is a flood
        return self._failure is None and self._turn.state is State.READY and heard and calm

    async def ping(self) -> None:
        """Send a ping. While a turn is waited for, `next_event` does.

        Raises:
            ConnectionLost: The socket broke.
            TimedOut: The service does not read.
        """
        await self._send(self._turn.ping())

    def under(self, deadline: Deadline) -> ChatHubChannel:
        """The same turn with another deadline, and with limits that begin now; this channel is used no more."""
        return ChatHubChannel(
            self._socket, self._timeouts, deadline, redact=self._redact, turn=self._turn, limits=self._limits
        )

    async def ask(self, chat: frames.Chat) -> None:
        """Send the request.

        Raises:
            ConnectionLost: The socket broke.
            TimedOut: The service does not read.
        """
        await self._send(self._turn.ask(chat))

    async def stop(self) -> None:
        """Ask the service to end the answer here."""
        over = self._turn.completed or self._turn.state is State.CLOSED
        if self._stop_asked is None and not over:
            self._stop_asked = self._deadline.clock()
            await self._send(self._turn.stop())

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
            with self._redact.errors():
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

    def _resume(self) -> None:
        """Leave the time that the caller took out of the service's: nobody listened, so nobody was silent.

        Of our own pings too: one that is overdue must not go before what waits, or an answer whose service has closed
        the connection since would be lost with it.
        """
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
            message = self._socket.ready()
            if message is None:
                return None
            self._take(message)
        return None

    def close(self) -> None:
        """Close the socket now: politely after the whole answer, with a reset before."""
        if self._closed:
            return
        self._closed = True
        if self._turn.completed:
            self._socket.hang_up()
        else:
            self._socket.abort()

    async def _wait(self) -> ev.Event | None:
        """Keep to the limits and wait for a message; answer with an event where there is one now."""
        busy = self._turn.frames_received - self._frames_seen >= _BUSY or self._unbroken >= _STRETCH
        due, what = self._next_limit()
        if due <= 0:
            ended = await self._limit_passed(what)
            if ended is not None:
                return ended
        elif busy:
            await asyncio.sleep(0)
        else:
            with suppress(TimeoutError):  # the limits are looked at again
                # At most as long as a stop may take: one that is asked for meanwhile is then cut short in time.
                self._take(await self._socket.receive(seconds=min(due, self._timeouts.stop)))
        self._unbroken = 0
        return self._taken()

    def _take(self, message: Any) -> None:
        self._heard = self._served()
        if message.type is aiohttp.WSMsgType.TEXT:
            self._debug("received", message.data)
            self._turn.receive(message.data)
        elif message.type in _AT_END:
            code = (message.data or _NO_CODE) if message.type is aiohttp.WSMsgType.CLOSE else None
            _log.debug("%s socket at its end, code %s", self._label, code)
            self._turn.receive_eof(code)
        elif message.type is aiohttp.WSMsgType.ERROR:
            raise self._broken(message.data)
        else:
            msg = "The service sent a binary message; the ChatHub sends text."
            raise ProtocolError(msg, partial_text=self._turn.text)

    def _broken(self, cause: Any) -> ProtocolError:
        """The error for a frame that aiohttp does not take. Its own words name no URL."""
        if getattr(cause, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            error = self._limits.exceeded("frame_bytes", "bytes in one message")
        else:
            error = ProtocolError(f"The service broke the WebSocket protocol ({cause}).")
        error.partial_text = self._turn.text
        return error

    def _served(self) -> float:
        """The time by a clock that stands still while the caller is away."""
        return self._deadline.clock() - self._away

    def _next_limit(self) -> tuple[float, str]:
        """The limit that passes first: in how many seconds, and its name."""
        limits = self._timeouts
        if self._turn.frames_received != self._frames_seen:  # counted when its events were asked for, not in `_take`
            self._frames_seen = self._turn.frames_received
            self._progressed = self._heard
        now = self._served()
        dues = [
            (self._deadline.remaining(), "turn"),
            (self._heard + limits.silence - now, "silence"),
            (self._progressed + limits.answer - now, "answer"),
            (self._pinged + PING_SECONDS - now, "ping"),
        ]
        if self._turn.state in UNANSWERED:
            dues.append((self._opened + limits.handshake - now, "handshake"))
        if self._stop_asked is not None:
            dues.append((self._stop_asked + limits.stop - self._deadline.clock(), "stop"))
        return min(dues)

    async def _limit_passed(self, what: str) -> ev.TurnCompleted | None:
        if what == "ping":
            self._pinged = self._served()
            await self._send(self._turn.ping())
            return None
        if what == "stop":
            return self._turn.cut_short()
        if what == "turn":
            error = self._deadline.timed_out()
            error.partial_text = self._turn.text
            raise error
        seconds = getattr(self._timeouts, what)
        msg = f"The service was silent for {seconds:g} seconds (timeouts.{what})."
        raise TimedOut(msg, partial_text=self._turn.text)

    async def _send(self, data: bytes) -> None:
        self._debug("sent", data)
        seconds, limit = min((self._timeouts.silence, "silence"), (max(0.0, self._deadline.remaining()), "turn"))
        try:
            async with timeout(seconds):  # a peer that does not read makes a long request wait for ever
                await self._socket.send_frame(data, aiohttp.WSMsgType.TEXT)
        except TimeoutError as exc:
            msg = f"The service took in nothing of what was sent for {seconds:g} seconds (timeouts.{limit})."
            raise TimedOut(msg, partial_text=self._turn.text) from exc
        except (OSError, aiohttp.ClientError) as exc:
            msg = "The connection broke while something was sent."
            raise ConnectionLost(msg, partial_text=self._turn.text) from exc

    def _note(self, event: ev.Event) -> None:
        """Log what this version does not know, once a kind."""
        if isinstance(event, ev.Unknown):
            kind = _kind(event.raw, self._redact)
            if kind not in _noted and len(_noted) < _MOST_NOTED:
                _noted.add(kind)
                _log.info("%s kept as Unknown, and not logged again: %s", self._label, kind)

    def _debug(self, direction: str, data: bytes) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s %s", self._label, direction, log_line(self._redact(data.decode(errors="replace"))))


def _kind(raw: Any, redact: Redactor) -> str:
    """What an unknown thing calls itself."""
    names = (raw.get(key) for key in ("type", "target", "messageType", "contentType")) if isinstance(raw, dict) else ()
    return " ".join(_named(name, redact) for name in names if name is not None) or type(raw).__name__


def _named(name: Any, redact: Redactor) -> str:
    """A name, cut short behind the redactor: half of a secret would not be known as one."""
    if isinstance(name, str):
        return repr(redact(name))[:40]
    is_short = isinstance(name, int) and abs(name) < _HIGHEST_TYPE  # a long one cannot be written, a list may be deep
    return repr(name) if is_short else type(name).__name__
