"""The JSON out of a reply that must be JSON."""

from __future__ import annotations

import re

from bing_llm.tools.json_finding import json_in
from bing_llm.tools.json_stream import JsonStream
from bing_llm.tools.reading import is_json

__all__ = ["JsonAnswer"]

_MAX_HEAD = 200  # characters before the JSON is known to begin; blanks and the line of a fence

# Not every brace begins JSON: `[1]` may, `[Bing](https://...)`, `[^1^]` and `{'a': 1}` do not.
_head = re.compile(r"""\s*(?:(?:`{3,}|~{3,})[^\n`]*\n\s*)?(?=\{\s*["}]|\[\s*["{\[\]0-9tfn-])""")


class JsonAnswer:
    """Passes on only the JSON of a reply, so that `json.loads` reads the joined texts.

    A reply that begins with JSON, or with a code fence and then JSON, is passed on while it comes, to the end of that
    value; what follows is dropped. Any other reply is held to its end, where `json_in` finds the JSON in it; if there
    is none, the whole reply is passed on as it is.

    What was passed on cannot be recalled. So where a fault shows only then, or the reply ends too early, `found` is
    False, and nothing is repaired but what `JsonStream` can.

    To read calls of tools from the same reply, feed the texts that a `CallParser` gives.

    Attributes:
        done: Whether nothing that follows is wanted; `feed` then gives nothing.
        found: Whether the texts given are one complete JSON value; known when `done`, or after `close`.
    """

    def __init__(self) -> None:
        self.done = False
        self.found = False
        self._held: list[str] = []
        self._head = ""
        self._stream: JsonStream | None = None
        self._given: list[str] = []

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
            self._given = [json_in(reply) or reply]
        self._finish()
        return [text for text in self._given if text] if self._stream is None else []

    def _begun(self, text: str) -> str:
        """Hold the text, and begin to stream where JSON begins: then all of it from there on."""
        self._held.append(text)
        if len(self._head) >= _MAX_HEAD:
            return ""
        self._head = (self._head + text)[:_MAX_HEAD]
        if (head := _head.match(self._head)) is None:
            return ""
        self._stream = JsonStream()
        text = "".join(self._held)[head.end() :]
        self._held.clear()
        return text

    def _finish(self) -> None:
        self.done = True
        self.found = is_json("".join(self._given))
