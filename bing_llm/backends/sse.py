"""Server-sent events: the data of each event, whatever pieces the bytes come in.

WHATWG HTML, section 9.2, read with three more liberties, since the samples of Work IQ and its wire differ
(docs/protocol/workiq.md, section 6): lines without a field after `data` go on with it, as in JSON that was printed over
several lines; an event that the end of the stream cuts off is given; one without data is not.
"""

from __future__ import annotations

import re
from collections import deque

from bing_llm.errors import ProtocolError
from bing_llm.limits import DEFAULT_LIMITS, Limits

_LINE_END = re.compile(rb"\r\n|\r|\n")
_FIELD = re.compile(r"[A-Za-z]")  # begins a field, known or not; a line of JSON inside an object begins otherwise
_BOM = b"\xef\xbb\xbf"


class EventReader:
    """Cuts incoming bytes into events. `receive` takes in, `next_event` gives.

    Args:
        limits: `frame_bytes` is the longest event, and the longest line.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._max = limits.frame_bytes
        self._events: deque[str] = deque()
        self._tail = bytearray()  # of a line whose end has not come
        self._after_cr = False
        self._first = True
        self._data: list[str] = []
        self._data_bytes = 0
        self._at_end = False
        self._unfinished = False
        self._failure: ProtocolError | None = None

    @property
    def at_end(self) -> bool:
        """Whether the stream is at its end, and every event was given."""
        return self._at_end and not self._events

    @property
    def cut_off(self) -> bool:
        """Whether the stream ended inside its last event, and that event was given: it may lack its end."""
        return self._unfinished and not self._events

    def receive(self, data: bytes) -> None:
        """Take in some bytes. What follows the end, or a failure, is left out."""
        if not data or self._at_end or self._failure is not None:
            return
        start = 1 if self._after_cr and data.startswith(b"\n") else 0
        self._after_cr = data.endswith(b"\r")
        for found in _LINE_END.finditer(data, start):
            self._tail += data[start : found.start()]
            if not self._end_line():
                return
            start = found.end()
        self._tail += data[start:]
        if len(self._tail) > self._max:
            self._fail()

    def receive_eof(self) -> None:
        """Take in that the stream is at its end."""
        if self._at_end or self._failure is not None:
            return
        self._at_end = True
        if self._tail:
            self._end_line()
        if self._data:
            self._unfinished = True
            self._end_event()

    def next_event(self) -> str | None:
        """The data of the next event; None where it has not come, and after the last one.

        `[DONE]`, with which some services end a stream, is given as any other data.

        Raises:
            ProtocolError: An event is longer than allowed; the same error again when called again.
        """
        if self._events:
            return self._events.popleft()
        if self._failure is not None:
            raise self._failure
        return None

    def _end_line(self) -> bool:
        """Read the line that has come; answer whether it could be."""
        raw, self._tail = self._tail, bytearray()
        if self._first:
            self._first = False
            raw = raw.removeprefix(_BOM)
        if not raw:
            self._end_event()
            return True
        value = self._value(raw.decode(errors="replace"))
        if value is not None:
            self._data_bytes += len(raw)
            self._data.append(value)
        if max(len(raw), self._data_bytes) > self._max:
            self._fail()
            return False
        return True

    def _value(self, line: str) -> str | None:
        """What a line adds to the data; None for a comment or another field."""
        if line == "data" or line.startswith("data:"):
            return line[len("data:") :].removeprefix(" ")
        goes_on = bool(self._data) and not line.startswith(":") and _FIELD.match(line) is None
        return line if goes_on else None

    def _end_event(self) -> None:
        data = "\n".join(self._data)
        self._data, self._data_bytes = [], 0
        if data.strip():
            self._events.append(data)

    def _fail(self) -> None:
        self._tail, self._data = bytearray(), []
        self._failure = self._limits.exceeded("frame_bytes", "bytes in one event")
