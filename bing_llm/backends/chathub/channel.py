"""One turn over one socket: the thin shell that feeds `Turn` and keeps the time limits."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

import aiohttp

from bing_llm import events as ev
from bing_llm._redact import Redactor
from bing_llm._timeout import timeout
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.connection import Sentinel, State
from bing_llm.backends.chathub.turn import Turn
from bing_llm.errors import ConnectionLost, ProtocolError, TimedOut
from bing_llm.limits import Deadline, Timeouts

__all__ = ["PING_SECONDS", "ChatHubChannel", "WebSocket"]

_log = logging.getLogger(__name__)

# SignalR servers presume a client gone after 30 s without a word; its own clients ping each 15 s.
PING_SECONDS = 15.0

# Kinds that were logged; bounded, since a hostile service could invent names for ever.
_noted: set[str] = set()
_MOST_NOTED = 100

_NO_CODE = 1005  # RFC 6455, section 7.1.5: a close frame without a code; aiohttp says 0
_EVENTS_AT_A_STRETCH = 100  # some milliseconds

_UNANSWERED = {State.GREETED, State.ASKED, State.HASTY}
_AT_END = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}


class WebSocket(Protocol):
    """What a channel needs of a socket; `bing_llm.backends.http.Socket` has it."""

    async def receive(self, timeout: float | None = None) -> Any:
        """The next message, in aiohttp's form."""

    async def send_str(self, data: str) -> None:
        """Send one text message."""

    def abort(self) -> None:
        """Drop the connection now."""

    def hang_up(self) -> None:
        """Close the connection now, after what was sent."""


class ChatHubChannel:
    """One turn on one open socket, which it owns.

    Args:
        socket: The open socket.
        timeouts: The limits.
        deadline: The end of the whole turn; its clock is the channel's.
        redact: Takes secrets out of frames before they are logged.
        label: What log lines begin with.
    """

    def __init__(
        self, socket: WebSocket, timeouts: Timeouts, deadline: Deadline, *, redact: Redactor, label: str
    ) -> None:
        self._socket = socket
        self._turn = Turn()
        self._timeouts = timeouts
        self._deadline = deadline
        self._redact = redact
        self._label = label
        self._closed = False
        self._frames_seen = 0
        self._unbroken = 0  # events given since the last wait for the socket
        now = deadline.clock()
        self._heard = self._progressed = self._pinged = self._opened = self._left = now
        self._stop_asked: float | None = None

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
        while True:
            with self._redact.errors():
                event = self._turn.next_event()
            if not isinstance(event, Sentinel):
                self._note(event)
                await self._let_others_run()
                self._left = self._deadline.clock()
                return event
            self._unbroken = 0
            ended = await self._receive()
            if ended is not None:
                return ended

    def _resume(self) -> None:
        """Leave the time that the caller took out of the service's: nobody listened, so nobody was silent.

        Of our own pings too: one that is overdue must not go before what waits, or an answer whose service has closed
        the connection since would be lost with it.
        """
        pause = self._deadline.clock() - self._left
        self._pinged += pause
        self._heard += pause
        self._progressed += pause
        self._opened += pause

    async def _let_others_run(self) -> None:
        """Between the events of one long message, keep to the deadline and give the event loop a turn."""
        self._unbroken += 1
        if self._unbroken % _EVENTS_AT_A_STRETCH == 0:
            if self._deadline.remaining() <= 0:
                await self._limit_passed("turn")
            await asyncio.sleep(0)

    def close(self) -> None:
        """Close the socket now: politely after the whole answer, with a reset before."""
        if self._closed:
            return
        self._closed = True
        if self._turn.completed:
            self._socket.hang_up()
        else:
            self._socket.abort()

    async def _receive(self) -> ev.TurnCompleted | None:
        """Take in one message; answer with the end of a stopped turn whose service stays silent."""
        due, what = self._next_limit()
        wait = due - self._deadline.clock()
        if wait <= 0:
            return await self._limit_passed(what)
        try:
            # At most as long as a stop may take: one that is asked for meanwhile is then cut short in time.
            message = await self._socket.receive(timeout=min(wait, self._timeouts.stop))
        except (TimeoutError, asyncio.TimeoutError):
            return None  # the limits are looked at again
        self._take(message)
        return None

    def _take(self, message: Any) -> None:
        self._heard = self._deadline.clock()
        if message.type is aiohttp.WSMsgType.TEXT:
            self._debug("received", message.data)
            self._turn.receive_text(message.data)
        elif message.type in _AT_END:
            code = (message.data or _NO_CODE) if message.type is aiohttp.WSMsgType.CLOSE else None
            _log.debug("%s socket at its end, code %s", self._label, code)
            self._turn.receive_eof(code)
        elif message.type is aiohttp.WSMsgType.ERROR:
            # aiohttp's own words name no URL: a frame that breaks RFC 6455, or one over the size limit.
            msg = f"The service broke the WebSocket protocol, or sent too large a message ({message.data})."
            raise ProtocolError(msg, partial_text=self._turn.text)
        else:
            msg = "The service sent a binary message; the ChatHub sends text."
            raise ProtocolError(msg, partial_text=self._turn.text)

    def _next_limit(self) -> tuple[float, str]:
        """The limit that passes first: when, by the clock, and its name."""
        limits = self._timeouts
        if self._turn.frames_received != self._frames_seen:  # counted when its events were asked for, not in `_take`
            self._frames_seen = self._turn.frames_received
            self._progressed = self._heard
        dues = [
            (self._deadline.clock() + self._deadline.remaining(), "turn"),
            (self._heard + limits.silence, "silence"),
            (self._progressed + limits.answer, "answer"),
            (self._pinged + PING_SECONDS, "ping"),
        ]
        if self._turn.state in _UNANSWERED:
            dues.append((self._opened + limits.handshake, "handshake"))
        if self._stop_asked is not None:
            dues.append((self._stop_asked + limits.stop, "stop"))
        return min(dues)

    async def _limit_passed(self, what: str) -> ev.TurnCompleted | None:
        if what == "ping":
            self._pinged = self._deadline.clock()
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

    async def _send(self, text: str) -> None:
        self._debug("sent", text)
        seconds = min(self._timeouts.silence, max(0.0, self._deadline.remaining()))
        try:
            async with timeout(seconds):  # a peer that does not read makes a long request wait for ever
                await self._socket.send_str(text)
        except (TimeoutError, asyncio.TimeoutError) as exc:
            msg = f"The service took in nothing of what was sent for {seconds:g} seconds (timeouts.silence)."
            raise TimedOut(msg, partial_text=self._turn.text) from exc
        except (OSError, aiohttp.ClientError) as exc:
            msg = "The connection broke while something was sent."
            raise ConnectionLost(msg, partial_text=self._turn.text) from exc

    def _note(self, event: ev.Event) -> None:
        """Log what this version does not know, once a kind."""
        if isinstance(event, ev.Unknown):
            kind = self._redact(_kind(event.raw))
            if kind not in _noted and len(_noted) < _MOST_NOTED:
                _noted.add(kind)
                _log.info("%s kept as Unknown, and not logged again: %s", self._label, kind)

    def _debug(self, direction: str, text: str) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s %s", self._label, direction, self._redact(text))


def _kind(raw: Any) -> str:
    """What an unknown thing calls itself, cut short."""
    names = (raw.get(key) for key in ("type", "target", "messageType", "contentType")) if isinstance(raw, dict) else ()
    return " ".join(repr(name)[:40] for name in names if name is not None) or type(raw).__name__
