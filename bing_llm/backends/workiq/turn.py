"""The client's side of one turn, without I/O: the bytes of the response in, events out.

See docs/protocol/workiq.md, section 6.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final, Protocol, TypeVar

from bing_llm import errors
from bing_llm import events as ev
from bing_llm.backends.sse import EventReader
from bing_llm.limits import DEFAULT_LIMITS, Limits

_DONE: Final = b"[DONE]"  # not documented here; other services end a stream with it, and clients expect it
_NORMAL_CLOSURE: Final = 1000
_PARTS_AT_ONCE: Final = 32


T = TypeVar("T")


class ResponseReader(Protocol[T]):
    """What makes events of the parts of a response: snapshots over REST, JSON-RPC responses over A2A."""

    @property
    def events(self) -> deque[ev.Event]:
        """The events, for the caller to take from the left."""

    @property
    def completed(self) -> bool:
        """Whether `TurnCompleted` is among the events, or was."""

    @property
    def text(self) -> str:
        """The whole text so far."""

    def parse(self, data: bytes) -> T:
        """A part as typed data.

        Raises:
            ProtocolError: It is not one.
        """

    def read(self, part: T, data: bytes, *, whole: bool) -> None:
        """Add the events of a part.

        Args:
            part: The part.
            data: What it was parsed from.
            whole: Whether no further one follows.

        Raises:
            BingError: The turn failed.
        """

    def complete(self) -> None:
        """Add `TurnCompleted`: what had come is the answer."""

    def stop_request(self) -> bytes | None:
        """What to send so that the service ends the answer; empty for nothing, None while it is not known yet."""


class Turn:
    """One turn of one conversation, whose request is an HTTP call of its own.

    Implements `bing_llm.backends.channel.TurnProtocol`.

    Args:
        reader: What makes events of what comes.
        limits: How much is taken of what the service sends.
    """

    separator: Final = b"\n"
    ping_seconds: Final = math.inf
    silence_from_start: Final = False
    shaking_hands: Final = False

    def __init__(self, reader: ResponseReader[Any], limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._stream = EventReader(limits)
        self._body: bytearray | None = None  # of a response that is not a stream
        self._reader = reader
        self._events = reader.events
        self._progress = 0
        self._end_code: int | None = None
        self._at_end = False
        self._stopped = False
        self._dropped = False
        self._failure: errors.BingError | None = None

    @property
    def completed(self) -> bool:
        """Whether `TurnCompleted` was given."""
        return self._reader.completed and not self._reader.events

    @property
    def text(self) -> str:
        """The whole text so far."""
        return self._reader.text

    @property
    def lines(self) -> int:
        """How many lines of the stream have come."""
        return self._stream.lines

    @property
    def progress(self) -> int:
        """How many server-sent events were read, comments left out."""
        return self._progress

    def expect_json(self) -> None:
        """The response is not a stream, but one conversation as JSON, as that of the call `chat`."""
        self._body = bytearray()

    def receive(self, data: bytes) -> None:
        """Take in bytes of the response, in any pieces. What is wrong with them, `next_event` raises."""
        if self._body is None:
            self._stream.receive(data)
        elif len(self._body) <= self._limits.frame_bytes:
            self._body += data

    def receive_eof(self, code: int | None) -> None:
        """Take in that the response is at its end: with code 1000, else the connection broke."""
        self._at_end, self._end_code = True, code
        self._stream.receive_eof()

    def ping(self) -> bytes:
        """Nothing: the service has no such request."""
        return b""

    def resume(self) -> None:
        """Another response follows, which goes on with the turn where the last one broke."""
        self._stream = EventReader(self._limits)
        self._body = None
        self._end_code, self._at_end = None, False
        self._failure = None

    def stop(self) -> bytes | None:
        """End the answer with what came. Empty where the service has no such request: it sees the connection end.

        None while the request is not known yet: more of the response is read first.
        """
        self._stopped = True
        request = self._reader.stop_request()
        self._dropped = request == b""
        return request

    def cut_short(self) -> ev.TurnCompleted:
        """End the answer with what came."""
        self._reader.complete()
        completed = self._reader.events.pop()
        assert isinstance(completed, ev.TurnCompleted)  # noqa: S101 - for the type checker
        return completed

    def next_event(self) -> ev.Event | None:
        """The next event, None where more must come first.

        Raises:
            BingError: The turn failed; the same error again when called again.
            ProtocolError: Also, that the turn is complete: nothing comes after its last event.
        """
        events = self._events
        while not events:
            if self._failure is not None:
                raise self._failure
            if not self._read():
                return None
        return events.popleft()

    def _read(self) -> bool:
        """Add the events of what came next, or note why there are none; whether there was something.

        Of some parts at once: those who take the events run faster where none is parsed between two of them.
        """
        try:
            was_complete = self._reader.completed
            if was_complete:
                raise errors.ProtocolError("This turn is complete; it has no further event.")
            if self._body is not None:
                return self._read_body(self._body)
            for _ in range(_PARTS_AT_ONCE):
                if not self._read_event():
                    return bool(self._events)
                if self._reader.completed:
                    break
        except errors.BingError as exc:
            exc.partial_text = exc.partial_text or self._reader.text
            self._failure = exc
        return True

    def _read_event(self) -> bool:
        data = self._stream.next_event()
        if data is None and not (self._dropped or self._stream.at_end):
            return False
        if data is None or data.strip() == _DONE:
            self._end()
        else:
            self._progress += 1
            self._take(data)
        return True

    def _read_body(self, body: bytearray) -> bool:
        if len(body) > self._limits.frame_bytes:  # it may have been cut off, so it is not read
            raise self._limits.exceeded("frame_bytes", "bytes in one answer")
        if not (self._dropped or self._at_end):
            return False
        if self._at_end and self._end_code == _NORMAL_CLOSURE:
            self._take(bytes(body), whole=True)
        else:
            self._end()
        return True

    def _take(self, data: bytes, *, whole: bool = False) -> None:
        """Add the events of one part; `whole` where no further one follows."""
        try:
            part = self._reader.parse(data)
        except errors.ProtocolError:
            if self._stream.cut_off:
                self._end()
                return
            data = _repaired(data)
            part = self._reader.parse(data)
        self._reader.read(part, data, whole=whole)

    def _end(self) -> None:
        """Nothing more comes, and there was no final snapshot."""
        if not self._stopped:
            raise errors.ConnectionLost("The service ended the stream before the answer was complete.")
        self._reader.complete()


def _repaired(data: bytes) -> bytes:
    """The data with what is not UTF-8 replaced, as a reader of server-sent events must."""
    return data.decode(errors="replace").encode()
