"""Server-sent events: the data of each event, whatever pieces the bytes come in.

WHATWG HTML, section 9.2, read with three more liberties, since the samples of Work IQ and its wire differ
(docs/protocol/workiq.md, section 6): lines without a field after `data` go on with it, as in JSON that was printed over
several lines; an event that the end of the stream cuts off is given; one without data is not.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from bing_llm.errors import ProtocolError
from bing_llm.limits import DEFAULT_LIMITS, Limits

_FIELD = re.compile(rb"[A-Za-z]")  # begins a field, known or not; a line of JSON inside an object begins otherwise
_BOM = b"\xef\xbb\xbf"
_VALUE_AT: Final = len(b"data:")
_COLON, _SPACE = ord(":"), ord(" ")
_PIECES_BEFORE_JOINING: Final = 1000  # a line in tiny pieces costs more for the pieces than for its text


class EventReader:
    """Cuts incoming bytes into events. `receive` takes in, `next_event` gives.

    Args:
        limits: `frame_bytes` is the longest event, and the longest line.

    Attributes:
        lines: How many lines have come.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.lines = 0
        self._limits = limits
        self._max = limits.frame_bytes
        self._events: deque[bytes] = deque()
        self._tail: list[bytes] = []  # of a line whose end has not come
        self._tail_bytes = 0
        self._after_cr = False
        self._first = True
        self._data: list[bytes] = []
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
        size, has_cr = len(data), b"\r" in data  # looked for once, not in each line
        while start < size:
            feed = data.find(b"\n", start)
            stop = size if feed < 0 else feed
            ended = False
            while has_cr and (end := data.find(b"\r", start, stop)) >= 0:  # CR LF, or CR alone
                if not self._end_line(data, start, end):
                    return
                start, ended = end + 1, True
            if feed < 0:
                self._keep(data[start:])
                return
            if not (ended and start == feed) and not self._end_line(data, start, feed):
                return
            start = feed + 1

    def receive_eof(self) -> None:
        """Take in that the stream is at its end."""
        if self._at_end or self._failure is not None:
            return
        self._at_end = True
        if self._tail:
            self._end_line(b"", 0, 0)
        if self._data:
            self._unfinished = True
            self._end_event()

    def next_event(self) -> bytes | None:
        """The data of the next event; None where it has not come, and after the last one.

        It is UTF-8, unless the service sends something else. `[DONE]`, with which some services end a stream, is given
        as any other data.

        Raises:
            ProtocolError: An event is longer than allowed; the same error again when called again.
        """
        if self._events:
            return self._events.popleft()
        if self._failure is not None:
            raise self._failure
        return None

    def _keep(self, piece: bytes) -> None:
        """Note the beginning of a line."""
        if not piece:
            return
        self._tail.append(piece)
        self._tail_bytes += len(piece)
        if len(self._tail) > _PIECES_BEFORE_JOINING:
            self._tail = [b"".join(self._tail)]
        if self._tail_bytes > self._max:
            self._fail()

    def _end_line(self, source: bytes, start: int, end: int) -> bool:
        """Read a line, which ends with the part of `source` from `start` to `end`; whether it could be read."""
        self.lines += 1
        if self._tail:
            source = b"".join((*self._tail, source[start:end]))
            self._tail, self._tail_bytes = [], 0
            start, end = 0, len(source)
        if self._first:
            self._first = False
            start += len(_BOM) if source.startswith(_BOM, start, end) else 0
        if start == end:
            self._end_event()
            return True
        if source.startswith(b"data:", start, end):
            value = start + _VALUE_AT
            self._add_data(source[value + source.startswith(b" ", value, end) : end], end - start)
        elif self._data and source[start] != _COLON and _FIELD.match(source, start) is None:
            self._add_data(source[start:end], end - start)  # goes on with the line before
        elif source[start:end] == b"data":
            self._add_data(b"", end - start)
        if end - start > self._max:
            self._fail()
        return self._failure is None

    def _add_data(self, value: bytes, line_bytes: int) -> None:
        self._data.append(value)
        self._data_bytes += line_bytes
        if self._data_bytes > self._max:
            self._fail()

    def _end_event(self) -> None:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data, self._data_bytes = [], 0
        if data and (data[0] > _SPACE or not data.isspace()):
            self._events.append(data)

    def _fail(self) -> None:
        self._tail, self._data = [], []
        self._failure = self._limits.exceeded("frame_bytes", "bytes in one event")
