"""Where JSON values end in a text that comes in parts."""

from __future__ import annotations

import re

__all__ = ["Scanner"]

_OUTSIDE = re.compile(r"[^\s,]")
_INSIDE = re.compile(r'["{}\[\]]')
_INSIDE_WARY = re.compile(r'["{}\[\]<`\\]')
_IN_STRING = re.compile(r'["\\]')


class Scanner:
    """Follows objects and lists, one after another, by their brackets and strings; each sign is looked at once.

    Args:
        wary: Whether to stop within a value too, at what JSON has in strings only: `<`, a backtick or a backslash.

    Attributes:
        values: How many have ended.
        open: Whether one has begun and not ended.
    """

    def __init__(self, *, wary: bool = False) -> None:
        self.values = 0
        self._inside = _INSIDE_WARY if wary else _INSIDE
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
            else:
                found = (self._inside if self._depth else _OUTSIDE).search(text, at)
                if found is None:
                    return end
                if not (self._goes_on if self._depth else self._begins)(found[0]):
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

    def _goes_on(self, sign: str) -> bool:
        """Whether a sign within a value is allowed there."""
        if sign == '"':
            self._in_string = True
        elif sign in "{[":
            self._depth += 1
        elif sign in "}]":
            self._depth -= 1
            self.values += not self._depth
        else:
            return False
        return True

    def _begins(self, sign: str) -> bool:
        """Whether a sign between values is allowed there; one that opens a value does."""
        if sign in "{[":
            self._depth = 1
            return True
        return sign in "}]" and self.values > 0
