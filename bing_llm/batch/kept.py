"""How a row of the output is kept: one line of JSON, which tells by itself whether it is whole and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bing_llm.batch.rows import key_of

__all__ = ["MAX_LINE", "Kept", "as_line", "is_torn", "kept"]

MAX_LINE: Final = 512 * 2**20
"""Bytes of one line of the output: the largest row and the longest answer, where JSON needs six bytes a character."""

_BEGINNINGS: Final = (b'{"id":', b'{"line":')


class Kept(msgspec.Struct, frozen=True):
    """What is known of a kept row: its key, and whether it failed."""

    key: str
    failed: bool


class _Error(msgspec.Struct, frozen=True):
    type: str
    message: str
    hint: str


class _Line(msgspec.Struct, frozen=True):
    attempts: int
    seconds: float
    id: str | int | None = None
    line: int | None = None
    text: str | None = None
    finish_reason: str | None = None
    error: _Error | None = None

    @property
    def is_ours(self) -> bool:
        named = self.id not in (None, "") or self.line is not None
        answered = self.text is not None and self.finish_reason is not None
        return named and answered == (self.error is None)


_decoder = msgspec.json.Decoder(_Line)


def as_line(row: Mapping[str, Any]) -> bytes:
    """A row of the output as it is kept: what tells it from others comes first."""
    first = "id" if "id" in row else "line"
    return msgspec.json.encode({first: row[first], **row}) + b"\n"


def kept(line: bytes) -> Kept | None:
    """What a line keeps; None where it is no row of an output."""
    try:
        found = _decoder.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return Kept(key_of({"id": found.id, "line": found.line}), found.error is not None) if found.is_ours else None


def is_torn(tail: bytes) -> bool:
    """Whether a last line without its end, which keeps no row, is the beginning of one: a run was killed there.

    A whole JSON value is somebody else's.
    """
    if not any(tail.startswith(begin) or begin.startswith(tail) for begin in _BEGINNINGS):
        return False
    try:
        msgspec.json.decode(tail)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True
    return False
