"""Blocks of a reply that may be calls, and where they end; each character is looked at once."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from bing_llm.tools.call_decoder import MAX_HEAD, CallDecoder
from bing_llm.tools.call_formats import Delimiter, closer_at, tag_at
from bing_llm.tools.calls import Tool

MAX_CALL_CHARACTERS = 1_000_000
"""The longest call. An answer has some 16,000 characters; one that has no end must not fill memory."""

_OUTSIDE = re.compile(r"[^\s,]")
_INSIDE = {stops: re.compile(rf'["{{}}\[\]{re.escape(stops)}]') for stops in ("", "`", "<`\\")}
_IN_STRING = re.compile(r'["\\]')


MAX_CANDIDATE_CHARACTERS = 20_000
"""The longest text that is held back because it may be nearly a call."""


class Scanner:
    """Finds where JSON values end in a text that comes in parts; each character is looked at once.

    It follows objects and lists, one after another, by their brackets and strings.

    Args:
        stops: Where to stop inside a value too, of what JSON has only in strings: `<`, a backtick and a backslash.

    Attributes:
        values: How many values have ended.
        open: Whether a value has begun and not ended.
    """

    def __init__(self, stops: Literal["", "`", "<`\\"] = "") -> None:
        self.values = 0
        self._inside = _INSIDE[stops]
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def open(self) -> bool:
        """Whether an object or list has begun and not ended."""
        return self._depth > 0

    def feed(self, text: str) -> int:
        """How many characters of this part are in values or between them: all, or up to where something else begins.

        Whitespace and commas may separate two values, and surplus closing brackets may follow one.
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
                if not (self._is_allowed_inside if self._depth else self._is_allowed_between)(found[0]):
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

    def _is_allowed_inside(self, sign: str) -> bool:
        """Whether a character inside a value is allowed there."""
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

    def _is_allowed_between(self, sign: str) -> bool:
        """Whether a character between values is allowed there."""
        if sign in "{[":
            self._depth = 1
            return True
        return sign in "}]" and self.values > 0


class Context(NamedTuple):
    """What the lines before a block say.

    Attributes:
        tool: The tool that they name, None for none.
        alone: Whether the line that names it holds nothing else.
    """

    tool: Tool | None = None
    alone: bool = False


class Block:
    """A block that is being read: text that may be calls.

    Args:
        delimiter: The delimiter that opened it.
        space: The whitespace before it, which is dropped only if it is a call.
        context: What the lines before it say.
    """

    def __init__(self, delimiter: Delimiter, space: str, context: Context) -> None:
        self.delimiter = delimiter
        self.space = space
        self.context = context
        self.scanner = Scanner("<`\\" if delimiter.always else "`" if delimiter.closers else "")
        self.parts: list[str] = []
        self.characters = 0  # of the parts
        self.pending = ""  # what may begin the closer
        self.literal = False  # its JSON is broken: the first closer or opener ends it, even in a string
        self.head: str | None = None if delimiter.always else ""  # until the first key is known

    def add(self, part: str) -> None:
        """Append text that belongs to it."""
        self.parts.append(part)
        self.characters += len(part)

    @property
    def is_too_long(self) -> bool:
        """Whether it is longer than a call may be."""
        return self.characters > MAX_CALL_CHARACTERS

    @property
    def length_fault(self) -> str:
        """What is wrong with it if it is too long."""
        return f"The tool call has over {MAX_CALL_CHARACTERS:,} characters: write a shorter one."

    @property
    def content(self) -> str:
        """What has come after the delimiter."""
        return "".join((*self.parts, self.pending))

    @property
    def is_whole(self) -> bool:
        """Whether it is one JSON value or more, and nothing else."""
        return self.scanner.values > 0 and not self.scanner.open and not self.literal


class Extent:
    """Finds where the first bracket of a text is closed, in a text that comes in parts.

    Args:
        quotes: What delimits strings.
    """

    def __init__(self, quotes: Literal['"', "\"'"]) -> None:
        self.begun = False
        self._depth = 0
        self._quote = ""
        self._escaped = False
        self._mark = re.compile(rf"[(){{}}\[\]{quotes}]")

    @property
    def ended(self) -> bool:
        """Whether that bracket is closed."""
        return self.begun and self._depth <= 0 and not self._quote

    def feed(self, text: str, at: int) -> int:
        """Read on from this position. Returns the position after the closing bracket, or the end of the text."""
        while at < len(text) and not self.ended:
            if self._escaped:
                self._escaped = False
                at += 1
            elif self._quote:
                at = self._string(text, at)
            else:
                mark = self._mark.search(text, at)
                if mark is None:
                    return len(text)
                self._take(mark[0])
                at = mark.end()
        return at

    def _string(self, text: str, at: int) -> int:
        mark = re.compile(rf"[{self._quote}\\]").search(text, at)
        if mark is None:
            return len(text)
        self._escaped = mark[0] == "\\"
        self._quote = self._quote if self._escaped else ""
        return mark.end()

    def _take(self, mark: str) -> None:
        if mark in "([{":
            self._depth, self.begun = self._depth + 1, True
        elif mark in ")]}":
            self._depth -= 1
        else:
            self._quote = mark


_ELSE = re.compile(r"[<&\\]")
_LINE_REST = re.compile(r"[ \t;]*(\r?\n)?")


class Candidate:
    """A text that may be nearly a call, up to its end.

    Args:
        delimiter: What it begins with: of kind `object`, `quoted`, `code`, `element` or `loose`.
        space: The whitespace before it.
        context: What the lines before it say.
        fenced: Whether it is the whole of a code fence.

    Attributes:
        state: `open` while more must come, `ended`, or `not` if it is none.
        is_begun: Whether more than its beginning was looked at.
        settled: If it is none, how many characters of its content can begin no other.
    """

    def __init__(self, delimiter: Delimiter, space: str, context: Context, *, fenced: bool) -> None:
        self.delimiter = delimiter
        self.space = space
        self.context = context
        self.state: Literal["open", "ended", "not"] = "open"
        self.is_begun = delimiter.kind != "object"
        self.settled = 0
        self._fenced = fenced
        self._content = ""
        self._read = 0  # characters of the content
        self._extent = Extent('"' if delimiter.kind in ("object", "quoted") else "\"'")

    @property
    def content(self) -> str:
        """What has come after the delimiter."""
        return self._content

    @property
    def whole(self) -> str:
        """All of it, with the whitespace before it."""
        return self.space + self.delimiter.text + self._content

    @property
    def is_complete(self) -> bool:
        """Whether its brackets are closed."""
        return self._extent.ended

    def feed(self, text: str, decoder: CallDecoder) -> str:
        """Read on. Returns what follows it; after the end of one that is none, anything may follow."""
        self._content += text
        end = self._find_end(decoder)
        if self.state == "open" and len(self._content) > MAX_CANDIDATE_CHARACTERS:
            self.state, end = "not", MAX_CANDIDATE_CHARACTERS
        if self.state == "open":
            return ""
        self.settled = end
        tail, self._content = self._content[end:], self._content[:end]
        return tail

    def _find_end(self, decoder: CallDecoder) -> int:
        if self.delimiter.kind in ("element", "loose"):
            return self._closer()
        if not self.is_begun:
            may_be = decoder.may_be_call(self._content[:MAX_HEAD], self.context.tool, alone=self.context.alone)
            if may_be is None:
                return 0
            if not may_be:
                self.state = "not"
                return 1
            self.is_begun = True
        self._read = self._extent.feed(self._content, self._read)
        if not self._extent.ended:
            return 0
        if self.delimiter.kind in ("object", "quoted"):
            self.state = "ended"
            return self._read
        return self._fence_end() if self._fenced else self._line_end()

    def _line_end(self) -> int:
        """The end of a line of code, if nothing else stands on it."""
        rest = _LINE_REST.match(self._content, self._read)
        end = rest.end() if rest else self._read
        if rest and rest[1]:
            self.state = "ended"
            return rest.start(1)
        if end < len(self._content) and self._content[end:] != "\r":
            self.state = "not"
        return self._read

    def _fence_end(self) -> int:
        """The end of the code in a fence."""
        end = self._content.find("\n```", max(0, self._read - 4))
        if end >= 0:
            self.state = "ended"
        self._read = max(self._read, len(self._content) - 4)
        return end

    def _closer(self) -> int:
        """The end of an element; another call ends it too."""
        if not self.delimiter.closers:
            self.state = "ended"
            return 0
        for mark in _ELSE.finditer(self._content, self._read):
            at = mark.start()
            closer, tag = closer_at(self._content, at, self.delimiter.closers), tag_at(self._content, at)
            if closer:
                self.state = "ended"
                return at + len(closer)
            if tag is not None and tag.kind == "tag":
                self.state = "not"
                return at
            if closer == "" or (tag is not None and tag.kind == "more"):
                self._read = at
                return 0
        self._read = len(self._content)
        return 0
