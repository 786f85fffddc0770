r"""Takes out of a JSON text the beginning of a string that an earlier text had, so that it is not decoded again.

A service repeats the whole answer in each frame, as a string, and maybe again in a card. An escape takes as long to
decode as twenty letters, so a long answer in `\uXXXX` would be decoded for hundreds of microseconds a frame. Without
what is known already, little is left of a frame, whatever its keys, their order and its spelling are.

To decode what is left, and to put the beginning back, gives what decoding the whole text gives: the beginning ends
where a string ended, so neither a character nor an escape is cut.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

MARK: Final = b"\xff"
"""What stands for the beginning. No UTF-8 has this byte, so a string with it can be skipped, but not decoded."""

# How many bytes more than characters a string has that is found again sooner than decoded: plain text is decoded as
# fast as it is compared.
_LEAST_ESCAPED: Final = 1024
_GROWTH: Final = 1.25  # of a text whose string was not worth it, or of no use, before another one is looked at
_HEAD_BYTES: Final = 12  # of the beginning, that are searched for
_SEARCHED_BYTES: Final = 2048  # between two strings with the beginning; what lies further is decoded as it is
_MOST_PLACES: Final = 8  # that are compared in one text: each may be a megabyte that differs at its end

_QUOTE: Final = ord('"')
_OPENING: Final = b'"' + MARK

_decode_text = msgspec.json.Decoder(str | None).decode


class KnownPrefix:
    """A string that came last, by which texts are shortened.

    Attributes:
        size: How many bytes it has; 0 if there is none, so that nothing is shortened.
        due: How many bytes a whole text has whose string should be remembered.
    """

    def __init__(self) -> None:
        self.size = 0
        self.due: float = _LEAST_ESCAPED
        self._spelled = bytearray()  # the string as it was spelled, without quotes
        self._head = b""  # its beginning, with the quote
        self._text = ""  # what it says
        self._gaps: list[int] = []  # where it was found: bytes from the beginning, or from the end of the string before

    def shorten(self, data: bytes | memoryview) -> bytes | None:
        """The text with `MARK` in place of the beginning of each string that has it; None if there is none.

        Args:
            data: A JSON text; a view is one of the beginning of its bytes.
        """
        if not 0 < self.size < len(data):
            return None
        source: bytes = data if isinstance(data, bytes) else data.obj  # type: ignore[assignment]  # see above
        parts = self._parts(source, len(data), self._gaps) or self._search(source, len(data))
        short = MARK.join(parts)
        return short if parts and short.count(MARK) == len(parts) - 1 else None

    def text_of(self, literal: msgspec.Raw) -> str | None:
        """The text of a string in a text that was shortened; None for null.

        Raises:
            msgspec.MsgspecError, UnicodeError: It is neither.
        """
        spelled = bytes(literal)
        if spelled.startswith(_OPENING):
            return self._text + (_decode_text(b'"' + spelled[len(_OPENING) :]) or "")
        return _decode_text(spelled)

    def remember(self, data: bytes | memoryview, literal: msgspec.Raw, text: str) -> None:
        """Shorten by this string from now on, if it is worth it.

        Args:
            data: The text that has it, maybe shortened.
            literal: How it is spelled there.
            text: What it says.
        """
        spelled = bytes(literal)
        if spelled.startswith(_OPENING):
            self._spelled += spelled[len(_OPENING) : -1]
            self.size, self._text = len(self._spelled), text
            self.due = 0  # it was of use, so the next one will be
            return
        self.due = len(data) * _GROWTH
        if len(spelled) - len(text) >= _LEAST_ESCAPED:
            self._spelled, self.size, self._text = bytearray(spelled[1:-1]), len(spelled) - len('""'), text
            self._head = spelled[: _HEAD_BYTES + 1]
            self._gaps = []

    def give_up(self) -> None:
        """Shorten nothing any more: this service has the string also where it is wanted whole."""
        self.size, self.due = 0, math.inf

    def _parts(self, source: bytes, end: int, gaps: list[int]) -> list[bytes]:
        """What lies before, between and after the beginnings, if they are where they were in the last text."""
        spelled, size = self._spelled, self.size
        parts: list[bytes] = []
        start = stop = 0  # where the beginning ended, and its string
        for gap in gaps:
            at = stop + gap
            if not source.startswith(spelled, at, end) or source[at - 1] != _QUOTE:
                return []
            parts.append(source[start:at])
            start = at + size
            stop = source.find(b'"', start, end)
        return [*parts, source[start:end]] if parts else []

    def _search(self, source: bytes, end: int) -> list[bytes]:
        """The same, wherever they are."""
        gaps: list[int] = []
        start = stop = at = 0
        for _ in range(_MOST_PLACES):
            at = source.find(self._head, at, min(end, start + _SEARCHED_BYTES)) + 1
            if not at:
                break
            if source.startswith(self._spelled, at, end):
                gaps.append(at - stop)
                start = at = at + self.size
                stop = source.find(b'"', start, end)
        self._gaps = gaps
        return self._parts(source, end, gaps)


def check_whole(*parts: msgspec.Raw) -> None:
    """Refuse parts of a shortened text that are decoded later, without what was taken out.

    Raises:
        msgspec.DecodeError: One lacks the beginning of a string.
    """
    for part in parts:
        if part and MARK in bytes(part):
            raise msgspec.DecodeError
