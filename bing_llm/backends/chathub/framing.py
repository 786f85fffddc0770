"""SignalR records: each JSON text ends with the byte 0x1E.

Nothing ties records to WebSocket messages: one message may hold several records, and a record may span
messages (docs/protocol/chathub.md, section c; aspnetcore `src/SignalR/docs/specs/HubProtocol.md`, JSON encoding).
"""

from __future__ import annotations

from bing_llm.errors import ProtocolError
from bing_llm.limits import DEFAULT_LIMITS, Limits

__all__ = ["MAX_RECORDS_A_MESSAGE", "SEPARATOR", "RecordReader"]

SEPARATOR = b"\x1e"

# Recordings have two records in a message. A message full of tiny ones would keep the event loop busy for minutes.
MAX_RECORDS_A_MESSAGE = 10_000

_PIECES_BEFORE_JOINING = 1000  # a record in tiny pieces costs more for the pieces than for its text


class RecordReader:
    """Cuts what comes in into records, whatever pieces it comes in.

    Args:
        limits: `frame_bytes` is the longest record that is accepted.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._max = limits.frame_bytes
        self._tail: list[bytes] = []
        self._tail_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The records that this completes, without their separators. Empty ones are left out.

        Raises:
            ProtocolError: A record is longer than allowed, or there are over 10,000 in one message.
        """
        if not self._tail and 0 < data.find(SEPARATOR) == len(data) - 1 <= self._max:
            return [data[:-1]]  # one whole record, as nearly every message is
        complete: list[bytes] = []
        start = 0
        while (end := data.find(SEPARATOR, start)) >= 0:  # on a long record several times as fast as `split`
            if len(complete) == MAX_RECORDS_A_MESSAGE:
                msg = f"The service sent over {MAX_RECORDS_A_MESSAGE:,} records in one message."
                raise ProtocolError(msg)
            complete.append(data[start:end])
            start = end + 1
        rest = data[start:]
        if complete:
            complete[0] = b"".join((*self._tail, complete[0]))
            self._tail, self._tail_bytes = [], 0
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
            if len(self._tail) > _PIECES_BEFORE_JOINING:
                self._tail = [b"".join(self._tail)]
        longest = max(self._tail_bytes, *map(len, complete)) if complete else self._tail_bytes
        if longest > self._max:
            raise self._limits.exceeded("frame_bytes", "bytes in one record")
        return [record for record in complete if record]
