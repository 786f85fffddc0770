"""Where JSON values end in a text that comes in parts."""

from __future__ import annotations

import re

__all__ = ["Scanner"]

_OUTSIDE = re.compile(r"[^\s,]")
_INSIDE = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


class Scanner:
    """Follows objects and lists, one after another, by their brackets and strings; each sign is looked at once.

    Attributes:
        values: How many have ended.
        open: Whether one has begun and not ended.
    """

    def __init__(self) -> None:
        self.values = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def open(self) -> bool:
        """Whether an object or list has begun and not ended."""
        return self._depth > 0

    def feed(self, text: str) -> int:
        """How much of this part belongs to values, or stands between them: its length, or where something else begins.

        Whitespace and commas may stand between two values, and brackets that close nothing behind one.
        """
        at, end = 0, len(text)
        while at < end:
            if self._escaped:
                self._escaped = False
                at += 1
            elif self._in_string:
                at = self._string(text, at)
            elif self._depth:
                at = self._value(text, at)
            else:
                found = _OUTSIDE.search(text, at)
                if found is None:
                    return end
                if not self._begins(found[0]):
                    return found.start()
                at = found.end()
        return end

    def _string(self, text: str, at: int) -> int:
        found = _IN_STRING.search(text, at)
        if found is None:
            return len(text)
        self._in_string = found[0] != '"'
        self._escaped = found[0] == "\\"
        return found.end()

    def _value(self, text: str, at: int) -> int:
        found = _INSIDE.search(text, at)
        if found is None:
            return len(text)
        if found[0] == '"':
            self._in_string = True
        elif found[0] in "{[":
            self._depth += 1
        else:
            self._depth -= 1
            self.values += not self._depth
        return found.end()

    def _begins(self, sign: str) -> bool:
        """Whether a sign between values is allowed there; one that opens a value does."""
        if sign in "{[":
            self._depth = 1
            return True
        return sign in "}]" and self.values > 0
