"""Passing JSON on while it comes."""

from __future__ import annotations

import re

from bing_llm.tools.reading import NEEDLESSLY_ESCAPED

__all__ = ["JsonStream"]

_outside = re.compile(r'["{}\[\],]')
_inside = re.compile(r'["\\\x00-\x1f]')
_not_blank = re.compile(r"[^ \t\n\r]")
_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class JsonStream:
    """One JSON object or list, passed on as it comes; what follows it is dropped.

    Repaired is what can be without recalling anything: control characters in strings, needless backslashes in them, and
    commas before a closing brace or bracket. The same rules as in `bing_llm.tools.reading`.

    Attributes:
        done: Whether the last brace or bracket has come.
    """

    def __init__(self) -> None:
        self.done = False
        self._depth = 0
        self._in_string = False
        self._backslash = False
        self._held: list[str] = []  # a comma and the blanks after it

    def feed(self, text: str) -> str:
        """The next part of the text, which begins with the first brace or bracket: what can be passed on now."""
        parts: list[str] = []
        position = 0
        while position < len(text) and not self.done:
            read = self._string if self._in_string else self._structure
            position = read(text, position, parts)
        return "".join(parts)

    def _string(self, text: str, position: int, parts: list[str]) -> int:
        if self._backslash:
            self._backslash = False
            sign = text[position]
            parts.append(sign if sign in NEEDLESSLY_ESCAPED else f"\\{sign}")
            return position + 1
        found = _inside.search(text, position)
        if found is None:
            parts.append(text[position:])
            return len(text)
        parts.append(text[position : found.start()])
        sign = found[0]
        if sign == "\\":
            self._backslash = True
        else:
            self._in_string = sign != '"'
            parts.append(sign if sign == '"' else _ESCAPES.get(sign, f"\\u{ord(sign):04x}"))
        return found.end()

    def _structure(self, text: str, position: int, parts: list[str]) -> int:
        if self._held:
            return self._after_comma(text, position, parts)
        found = _outside.search(text, position)
        if found is None:
            parts.append(text[position:])
            return len(text)
        parts.append(text[position : found.start()])
        sign = found[0]
        if sign == ",":
            self._held.append(sign)
            return found.end()
        parts.append(sign)
        self._in_string = sign == '"'
        self._depth += (sign in "{[") - (sign in "}]")
        self.done = self._depth == 0
        return found.end()

    def _after_comma(self, text: str, position: int, parts: list[str]) -> int:
        found = _not_blank.search(text, position)
        end = found.start() if found else len(text)
        self._held.append(text[position:end])
        if found:
            parts.extend(self._held[1:] if found[0] in "}]" else self._held)
            self._held.clear()
        return end
