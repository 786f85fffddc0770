"""Parses tool calls from the text that a model streams."""

from __future__ import annotations

import logging
import re
from typing import Literal

from bing_llm.tools.call_decoder import CallDecoder
from bing_llm.tools.call_formats import (
    CLOSERS,
    DELIMITER,
    LONGEST_SPACE,
    MORE,
    Delimiter,
    closer_at,
    fence_at,
    tag_at,
    unescape,
)
from bing_llm.tools.calls import Call, InvalidCall, Piece, Toolbox

_log = logging.getLogger(__name__)

_SHORTEST_FENCE, _LONGEST_FENCE = 3, 16  # backticks; what is longer holds no call
_LAYOUT = " \t\r\n`"  # around a call, of whoever puts it into a code block

_LINE_ENDS = re.compile(r"[^\S\n]*\n")

_FIRST_KEY = re.compile(r"""[\[\s]*\{\s*["'\u201c\u201d]([^"'\\\u201c\u201d]*)["'\u201c\u201d]""")
_MAY_GET_A_KEY = re.compile(r"""[\[\s]*(?:\{\s*(?:["'\u201c\u201d][^"'\\\u201c\u201d]*)?)?""")
_LONGEST_HEAD = 200  # characters up to the end of the first key, which are looked at again with each part

MAX_CALL_CHARACTERS = 1_000_000
"""The longest call. An answer has some 16,000 characters; one that has no end must not fill memory."""

_LONGEST_SHOWN = 200  # characters of a call that is too long, in its `InvalidCall`

_LONGEST_PART = 4096  # characters that are looked at together, so that what is left of a part is not copied too often

_OUTSIDE = re.compile(r"[^\s,]")
_INSIDE = {stops: re.compile(rf'["{{}}\[\]{re.escape(stops)}]') for stops in ("", "`", "<`\\")}
_IN_STRING = re.compile(r'["\\]')


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


class _Block:
    """A block that is being read: text that may be calls.

    Args:
        delimiter: The delimiter that opened it.
        space: The whitespace before it, which is dropped only if it is a call.
    """

    def __init__(self, delimiter: Delimiter, space: str) -> None:
        self.delimiter = delimiter
        self.space = space
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
    def content(self) -> str:
        return "".join((*self.parts, self.pending))

    @property
    def is_whole(self) -> bool:
        return self.scanner.values > 0 and not self.scanner.open and not self.literal


class CallParser:
    """Splits the text of a reply into text and calls while it streams.

    `feed` each part, then `close`. With adjacent texts joined, the pieces do not depend on how the reply is cut into
    parts. Text is held back only while it may be the beginning of a call; whitespace around calls is dropped.

    A call is the JSON in `<tool_call>` tags (also as Markdown or HTML escapes them) or in a code fence of that name.
    It is also the JSON in a fence without a name or with `json`, or the whole reply, if that is nothing but calls of
    known tools: other JSON, and prose with JSON in it, stays text.

    **To mention a tag is not a call.** A tag opens a call only if JSON follows it: `{` or `[`, also in a code fence.
    It may have attributes of up to 64 characters. It is text in a code fence of a language (but not in one without a
    name, with `json` or with `xml`), and after an open backtick on the same line. Layout directly around the tags is
    dropped: such a fence, and the tag `<tool_calls>`.

    **Broken JSON ends where the next call begins.** What was opened but is not a call is an `InvalidCall`, up to its
    closer or to the next tag that opens a call. A string in it that never ends is noticed when the reply is complete.

    **A call has an end.** One of over 1,000,000 characters is an `InvalidCall`, and ends the reply.

    **A reply ends with its calls.** What follows the first call, other than whitespace and more calls, is cut, because
    the model goes on with results that it makes up. Before any call, a reply is cut where a line begins with the tag of
    a result and its first attribute, as a history shows it. Then `done` is True: the model may be stopped, and what is
    fed is dropped.

    Attributes:
        done: Whether nothing that follows is wanted.
        has_cut: Whether the reply went on after its calls.
    """

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._decoder = CallDecoder(toolbox)
        self._held = ""
        self._block: _Block | None = None
        self._at_start = True
        self._has_text = False
        self._has_calls = False
        self._code = 0  # backticks of the code block that the text is in
        self._is_foreign = False  # whether tags are text in that
        self._wraps_calls = False  # whether its fences are dropped
        self._span = 0  # backticks of the code that was opened on this line
        self._in_long_run = False  # whether the text ends in more backticks than a fence has
        self._all_literal = False
        self.done = False
        self.has_cut = False

    def feed(self, text: str) -> list[Piece]:
        """The pieces that this part completes."""
        if len(text) <= _LONGEST_PART:
            return self._feed(text)
        parts = (text[at : at + _LONGEST_PART] for at in range(0, len(text), _LONGEST_PART))
        return [piece for part in parts for piece in self._feed(part)]

    def _feed(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        rest, self._held = self._held + text, ""
        while rest and not self.done:
            if self._block is not None:
                rest = self._read(self._block, rest, pieces)
            elif self._at_start:
                rest = self._begin(rest)
            else:
                rest = self._search(rest, pieces)
        self.has_cut = self.has_cut or bool(rest.strip(_LAYOUT))  # after the one call
        return pieces

    def close(self) -> list[Piece]:
        """The reply is complete: the pieces that were held back."""
        pieces: list[Piece] = []
        if self._block is not None and self._block.delimiter.always and not self._block.is_whole:
            pieces = self._read_again(self._block)
        if not self.done:
            if self._block is not None:
                self._end_unclosed(self._block, pieces)
            if self._held and not self._has_calls:
                pieces.append(self._held)
        self._held, self._block, self.done = "", None, True
        return pieces

    # --- text -----------------------------------------------------------------------------------------------------

    def _begin(self, rest: str) -> str:
        """Read the start of the reply, where JSON without delimiters may be a call."""
        body = rest.lstrip()
        space = rest[: len(rest) - len(body)]
        if not body and len(space) <= LONGEST_SPACE:
            self._held = rest
            return ""
        self._at_start = False
        if len(space) > LONGEST_SPACE or not body.startswith(("{", "[")):
            return rest
        self._block = _Block(Delimiter("bare", ""), space)
        return body

    def _search(self, rest: str, pieces: list[Piece]) -> str:
        """Look for an opener, and give the text before it. Returns what follows the opener."""
        self._in_long_run = self._in_long_run and rest[0] == "`"
        for mark in DELIMITER.finditer(rest):
            delimiter = self._delimiter_at(rest, mark)
            if delimiter is None:
                continue
            text = _without_space(rest[: mark.start()])
            space = rest[len(text) : mark.start()]
            if delimiter.kind == "result" and (text or self._has_text) and "\n" not in space:
                continue
            self._give_text(text, pieces)
            if delimiter is MORE:
                self._held = rest[len(text) :]
                return ""
            return self._open(delimiter, space, rest[mark.start() :])
        text = _without_space(rest)
        self._give_text(text, pieces)
        self._held = rest[len(text) :]
        return ""

    def _open(self, delimiter: Delimiter, space: str, rest: str) -> str:
        """Begin the block that the delimiter opens. Returns the text after the delimiter."""
        if delimiter.kind == "result":
            self._cut(rest)
        elif delimiter.kind != "layout" and not self.done:
            self._block = _Block(delimiter, space)
            self._block.literal = self._all_literal and delimiter.always
        return rest[len(delimiter.text) :]

    def _delimiter_at(self, text: str, mark: re.Match[str]) -> Delimiter | None:
        sign = mark[0][0]
        if sign == "\n":
            self._span = 0
            return None
        if sign == "`":
            return self._backticks(text, mark)
        if self._code and self._is_foreign:
            return None
        at = mark.start()
        closer = closer_at(text, at, CLOSERS) if self._has_calls else None
        if closer is not None:
            return Delimiter("layout", closer) if closer else MORE
        delimiter = tag_at(text, at)
        if delimiter is None or delimiter is MORE or not self._span:
            return delimiter
        return delimiter if _LINE_ENDS.match(text, at + len(delimiter.text)) else None

    def _backticks(self, text: str, mark: re.Match[str]) -> Delimiter | None:
        run, end = len(mark[0]), mark.end()
        if run > _LONGEST_FENCE or (self._in_long_run and mark.start() == 0):
            self._in_long_run = end == len(text)
            return None
        if end == len(text):
            return MORE  # the run may go on
        if self._code:
            return self._end_code(mark[0])
        if run >= _SHORTEST_FENCE and run != self._span:
            return self._fence(text, mark)
        if self._span in (0, run):
            self._span = run - self._span
        return None

    def _end_code(self, run: str) -> Delimiter | None:
        if len(run) < self._code:
            return None
        self._code = 0
        return Delimiter("layout", run) if self._wraps_calls else None

    def _fence(self, text: str, run: re.Match[str]) -> Delimiter | None:
        delimiter = fence_at(text, run)
        if delimiter is None or delimiter is MORE or delimiter.kind == "fence":
            return delimiter
        self._enter_code(len(run[0]), delimiter)
        return delimiter if delimiter.kind == "layout" else None

    def _enter_code(self, run: int, delimiter: Delimiter) -> None:
        self._code, self._span = run, 0
        self._is_foreign = delimiter.kind == "foreign"
        self._wraps_calls = delimiter.kind == "layout"

    def _give_text(self, text: str, pieces: list[Piece]) -> None:
        if not text:
            return
        self._has_text = True
        if not self._has_calls:
            pieces.append(text)
        elif not text.isspace():
            self._cut(text)

    def _cut(self, text: str) -> None:
        self.done = self.has_cut = True
        _log.debug("what the model wrote after its calls is cut, from here on: %d characters so far", len(text))

    # --- blocks ---------------------------------------------------------------------------------------------------

    def _read(self, block: _Block, rest: str, pieces: list[Piece]) -> str:
        """Read on in a block. Returns what follows it."""
        text, block.pending = block.pending + rest, ""
        if block.literal:
            return self._read_literally(block, text, pieces)
        if not self._may_be_calls(block, text):
            return self._reread(block, text, pieces)
        at = block.scanner.feed(text)
        block.add(text[:at])
        if block.is_too_long:
            return self._refuse(block, text[at:], pieces)
        tail = text[at:]
        closer = closer_at(tail, 0, block.delimiter.closers)
        if closer:
            return self._end(block, tail[len(closer) :], pieces, closer)
        if closer is not None:
            block.pending = tail
            return ""
        return self._read_other(block, tail, pieces)

    def _read_other(self, block: _Block, tail: str, pieces: list[Piece]) -> str:
        """Read on in a block at something that is neither JSON nor its closer."""
        if not block.delimiter.always:
            after = tail.lstrip("`") if block.scanner.open else tail
            if after == tail:
                return self._release(block, tail, pieces)
            block.add(tail[: len(tail) - len(after)])  # too few to close the fence
            return after
        if block.is_whole:
            return self._end(block, tail, pieces, "")
        block.literal = True
        return self._read_literally(block, tail, pieces)

    def _read_literally(self, block: _Block, text: str, pieces: list[Piece]) -> str:
        """Read on to the first closer or call: the JSON is broken, so its strings do not count."""
        for mark in DELIMITER.finditer(text):
            at = mark.start()
            closer = closer_at(text, at, block.delimiter.closers)
            delimiter = tag_at(text, at)
            if closer == "" or delimiter is MORE:
                block.add(text[:at])
                block.pending = text[at:]
                return ""
            if closer or (delimiter is not None and delimiter.kind == "tag"):
                block.add(text[:at])
                return self._end(block, text[at + len(closer or "") :], pieces, closer or "")
        block.add(text)
        return self._refuse(block, "", pieces) if block.is_too_long else ""

    def _refuse(self, block: _Block, tail: str, pieces: list[Piece]) -> str:
        """End a block that is too long: a call ends the reply, other JSON is text."""
        if not block.delimiter.always:
            return self._release(block, tail, pieces)
        shown = f"{block.delimiter.text}{block.content[:_LONGEST_SHOWN]}..."
        reason = f"The tool call has over {MAX_CALL_CHARACTERS:,} characters: write a shorter one."
        self._give_calls([InvalidCall(shown, reason)], pieces)
        self.done = self.has_cut = True
        return ""

    def _read_again(self, block: _Block) -> list[Piece]:
        """Read a block whose JSON has no end again: what seemed to be a string may hold its closer and other calls.

        Whatever it holds is read literally too, so that nothing is read a third time.
        """
        text, self._all_literal, block.literal = block.content, True, True
        block.parts.clear()
        block.characters = 0
        block.pending = ""
        return self.feed(text)

    def _may_be_calls(self, block: _Block, text: str) -> bool:
        """Whether a block that may be other JSON can still be calls, judged by its first key."""
        if block.head is None:
            return True
        block.head = (block.head + text[:_LONGEST_HEAD])[:_LONGEST_HEAD]
        key = _FIRST_KEY.match(block.head)
        if key is not None:
            block.head = None
            return key[1] in self._decoder.first_keys
        return len(block.head) < _LONGEST_HEAD and _MAY_GET_A_KEY.fullmatch(block.head) is not None

    def _reread(self, block: _Block, tail: str, pieces: list[Piece]) -> str:
        """Give the delimiter of a block that is not a call as text. Returns the rest, which may have more of them."""
        rest = block.content + tail
        block.parts.clear()
        return self._release(block, rest, pieces)

    def _release(self, block: _Block, tail: str, pieces: list[Piece], closer: str = "") -> str:
        """Give a block that is not a call as text. Returns what follows it."""
        self._block = None
        if block.delimiter.kind == "fence" and not closer:
            self._enter_code(len(block.delimiter.closers[0]), block.delimiter)
        whole = block.space + block.delimiter.text + block.content + closer
        text = _without_space(whole)
        self._give_text(text, pieces)
        return "" if self.done else whole[len(text) :] + tail

    def _end(self, block: _Block, tail: str, pieces: list[Piece], closer: str) -> str:
        """End a block that is closed. Returns what follows it."""
        if block.is_too_long:
            return self._refuse(block, closer + tail, pieces)
        content, raw = block.content, block.delimiter.text + block.content + closer
        if block.delimiter.always:
            closed = bool(closer) or block.is_whole
            self._give_calls(self._decoder.decode(unescape(content, block.delimiter), raw=raw, closed=closed), pieces)
        elif (calls := self._decoder.decode_bare(content, raw=raw, closed=bool(closer))) is not None:
            self._give_calls(calls, pieces)
        else:
            return self._release(block, tail, pieces, closer)
        return tail

    def _end_unclosed(self, block: _Block, pieces: list[Piece]) -> None:
        content, raw = block.content, block.delimiter.text + block.content
        if block.delimiter.always:
            self._give_calls(self._decoder.decode(unescape(content, block.delimiter), raw=raw, closed=False), pieces)
        elif (calls := self._decoder.decode_bare(content, raw=raw) if block.is_whole else None) is not None:
            self._give_calls(calls, pieces)
        else:
            self._held = self._release(block, "", pieces)

    def _give_calls(self, calls: list[Call | InvalidCall], pieces: list[Piece]) -> None:
        self._block = None
        self._has_calls = True
        if not self._toolbox.parallel:
            self.done = True
            if len(calls) > 1:
                _log.warning("The model wrote %d calls where one is allowed; only the first counts.", len(calls))
                calls = calls[:1]
                self.has_cut = True
        pieces.extend(calls)


def _without_space(text: str) -> str:
    """The text without the whitespace at its end, unless that is too long to be held back."""
    return text[: max(len(text.rstrip()), len(text) - LONGEST_SPACE)]
