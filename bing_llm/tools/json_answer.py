"""The JSON in a reply that must be JSON, passed on while it streams."""

from __future__ import annotations

import json
import re

from bing_llm.tools.calls import JsonObject
from bing_llm.tools.lenient_json import NEEDLESSLY_ESCAPED, is_json, json_in
from bing_llm.tools.schema_copy import may_be_copy, unwrap

_MAX_HEAD = 200  # characters before the JSON is known to begin; blanks and the line of a fence

# Not every brace begins JSON: `[1]` may, `[Bing](https://...)`, `[^1^]` and `{'a': 1}` do not.
_head = re.compile(r"""\s*(?:(?:`{3,}|~{3,})[^\n`]*\n\s*)?(?=\{\s*["}]|\[\s*["{\[\]0-9tfn-])""")

_key = re.compile(r'\{\s*"([^"\\]*)("?)')
_outside = re.compile(r'["{}\[\],]')
_inside = re.compile(r'["\\\x00-\x1f]')
_not_blank = re.compile(r"[^ \t\n\r]")
_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class JsonAnswer:
    """Passes on only the JSON of a reply, so that `json.loads` reads the joined texts.

    A reply that begins with JSON, or with a code fence and then JSON, is passed on while it comes, to the end of that
    value; what follows is dropped. Any other reply is held to its end, where `json_in` finds the JSON in it; if there
    is none, the whole reply is passed on as it is.

    What was passed on cannot be recalled. So if a fault shows only later, or the reply ends too early, `found` is
    False; only control characters, needless backslashes and trailing commas are repaired.

    An object that is wrapped in a copy of its schema is held too, and unwrapped.

    To read calls of tools from the same reply, feed the texts that a `CallParser` gives.

    Args:
        schema: The JSON schema of the answer, if there is one.

    Attributes:
        done: Whether nothing that follows is wanted; `feed` then gives nothing.
        found: Whether the texts given are one complete JSON value; known when `done`, or after `close`.
    """

    def __init__(self, schema: JsonObject | None = None) -> None:
        self.done = False
        self.found = False
        self._schema = schema
        self._held: list[str] = []
        self._head = ""
        self._stream: _JsonStream | None = None
        self._given: list[str] = []

    @property
    def text(self) -> str:
        """The texts given so far; after `close`, the JSON if it was `found`."""
        return "".join(self._given)

    def feed(self, text: str) -> list[str]:
        """The next part of the reply: the texts to pass on now, none empty."""
        if self.done or not text:
            return []
        if self._stream is None:
            text = self._begun(text)
        if self._stream is None:
            return []
        text = self._stream.feed(text)
        self._given.append(text)
        if self._stream.done:
            self._finish()
        return [text] if text else []

    def close(self) -> list[str]:
        """The end of the reply: the texts that were held for it."""
        if self.done:
            return []
        if self._stream is None:
            reply = "".join(self._held)
            self._given = [self._unwrapped(json_in(reply)) or reply]
        self._finish()
        return [text for text in self._given if text] if self._stream is None else []

    def _begun(self, text: str) -> str:
        """Hold the text, and begin to stream where JSON begins: then all of it from there on."""
        self._held.append(text)
        if len(self._head) >= _MAX_HEAD:
            return ""
        self._head = (self._head + text)[:_MAX_HEAD]
        if (head := _head.match(self._head)) is None or self._may_be_copy(head.end()):
            return ""
        self._stream = _JsonStream()
        text = "".join(self._held)[head.end() :]
        self._held.clear()
        return text

    def _may_be_copy(self, at: int) -> bool:
        """Whether the object that begins here may be a copy of the schema, by its first key."""
        key = _key.match(self._head, at)
        return self._schema is not None and key is not None and may_be_copy(key[1], self._schema, whole=bool(key[2]))

    def _unwrapped(self, found: str) -> str:
        """The JSON, without a copy of the schema around it."""
        value = json.loads(found) if found and self._schema is not None else None
        if self._schema is None or not isinstance(value, dict) or (inner := unwrap(value, self._schema)) is value:
            return found
        return json.dumps(inner, ensure_ascii=False)

    def _finish(self) -> None:
        self.done = True
        self.found = is_json(self.text)


class _JsonStream:
    """One JSON object or list, passed on as it comes; what follows it is dropped.

    It repairs what needs no look-back: control characters and needless backslashes in strings, and commas before a
    closing brace or bracket, by the rules of `bing_llm.tools.lenient_json`.

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
