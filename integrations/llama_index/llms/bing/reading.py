"""Streams that blocks hold, read without a trace."""

from __future__ import annotations

from io import IOBase
from typing import Any

__all__ = ["bytes_of"]


def bytes_of(stream: IOBase) -> bytes:
    """All that is in a stream, from its beginning; it stays where it stands, since it is the caller's.

    Raises:
        OSError: It cannot be read, or not from its beginning.
        ValueError: It is closed, or holds no text that UTF-8 could write.
    """
    opened: Any = stream  # IOBase says nothing of `read`
    place = opened.tell()
    try:
        opened.seek(0)
        data = opened.read()
    finally:
        opened.seek(place)
    return data.encode() if isinstance(data, str) else bytes(data or b"")
