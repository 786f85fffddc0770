"""Server-sent events as Work IQ writes them, without I/O (protocol notes, section 6)."""

from __future__ import annotations

__all__ = ["EventWriter"]

_FIRST_ID = 137
_GAPS = (4, 1, 2, 1)  # ids grow, and not by one
_COMMENT_EVERY = 3


class EventWriter:
    """Writes the events of one stream.

    Whatever the service may do, and a client must take, each stream has: ends of lines of both kinds, ids with gaps,
    and comments.
    """

    def __init__(self) -> None:
        self._id = _FIRST_ID
        self._count = 0

    def event(self, data: bytes) -> bytes:
        """One event: its data, which has no line break, and its id."""
        end = b"\r\n" if self._count % 2 else b"\n"
        comment = b": keep-alive" + end + end if self._count % _COMMENT_EVERY == 1 else b""
        written = comment + b"data: " + data + end + b"id:%d" % self._id + end + end
        self._id += _GAPS[self._count % len(_GAPS)]
        self._count += 1
        return written
