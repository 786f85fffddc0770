"""Reading calls out of the text that a model streams."""

from __future__ import annotations

import html
import logging
import re
from typing import Literal

import msgspec

from bing_llm.tools.calls import Call, InvalidCall, Piece, Toolbox
from bing_llm.tools.forms import FIRST_KEYS, Forms
from bing_llm.tools.scanning import Scanner

__all__ = ["CallParser"]

_log = logging.getLogger(__name__)

# A service may escape a tag when it cleans up Markdown or HTML: the spellings of "<", "_" and ">" in one.
_SPELLINGS = [
    (less, underscore, more)
    for less, more in (("<", ">"), ("&lt;", "&gt;"), ("\\<", "\\>"), ("\\<", ">"))
    for underscore in ("_", "\\_")
]
_OPENERS = tuple(f"{less}tool{underscore}call{more}" for less, underscore, more in _SPELLINGS)
_CLOSERS = tuple(f"{less}/tool{underscore}call{more}" for less, underscore, more in _SPELLINGS)
_RESULTS = tuple({f"{less}tool{underscore}result" for less, underscore, _ in _SPELLINGS})
_LONGEST_TAG = max(map(len, (*_OPENERS, *_RESULTS)))

_MARK = re.compile(r"[<&\\]|`+")
_SHORTEST_FENCE, _LONGEST_FENCE = 3, 16  # backticks; what is longer holds no call
# JSON on the same line needs an info string: without one it is more likely code within a sentence.
_FENCE_LINE = re.compile(r"[ \t]{0,4}(?:([A-Za-z_\\]{0,12})[ \t]{0,4}\r?\n|([A-Za-z_\\]{1,12})[ \t]{0,4}(?=[{\[]))")
_FENCE_LINE_BEGUN = re.compile(r"[ \t]{0,4}[A-Za-z_\\]{0,12}[ \t]{0,4}\r?")
_FENCES = {"": False, "json": False, "tool_call": True, "tool_calls": True}
"""The info strings of fences in which a call may stand, and whether they can mean nothing else."""

_FIRST_KEY = re.compile(r"""[\[\s]*\{\s*["'\u201c\u201d]([^"'\\\u201c\u201d]*)["'\u201c\u201d]""")
_MAY_GET_A_KEY = re.compile(r"""[\[\s]*(?:\{\s*(?:["'\u201c\u201d][^"'\\\u201c\u201d]*)?)?""")
_LONGEST_HEAD = 200  # characters up to the end of the first key, which are looked at again with each part

_LONGEST_SPACE = 1000  # characters of whitespace that are held back; more is no layout around a call
_LONGEST_PART = 4096  # characters that are looked at together, so that what is left of a part is not copied too often

_MARKDOWN = re.compile(r"""(\\["\\/])|\\([!#$%&'()*+,.:;<=>?@\[\]^_`{|}~-])""")


class _Opening(msgspec.Struct, frozen=True):
    """What opens a block.

    Attributes:
        kind: A tag, a code fence, or nothing (the JSON itself); `result` is a tag that only we may write, and `more` is
            what may yet become an opening.
        text: As it was written.
        closers: What may close it; empty for nothing.
        always: Whether it can mean nothing but a call.
    """

    kind: Literal["tag", "fence", "bare", "result", "more"]
    text: str
    closers: tuple[str, ...] = ()
    always: bool = False


_MORE = _Opening("more", "")


class _Block:
    """A block that is being read: text that may be calls.

    Args:
        opening: What opened it.
        space: The whitespace before that, which is dropped around calls only.
    """

    def __init__(self, opening: _Opening, space: str) -> None:
        self.opening = opening
        self.space = space
        self.scanner = Scanner()
        self.parts: list[str] = []
        self.pending = ""  # what may begin the closer
        self.literal = False  # its JSON is broken: the first closer ends it, in a string or not
        self.head: str | None = None if opening.always else ""  # until the first key is known

    @property
    def content(self) -> str:
        return "".join((*self.parts, self.pending))

    @property
    def is_whole(self) -> bool:
        return self.scanner.values > 0 and not self.scanner.open and not self.literal


class CallParser:
    """Takes the text of a reply apart, into text and calls, while it streams.

    `feed` each part, then `close`. Adjacent texts joined, the pieces are the same however the reply is cut into parts.
    Text is held back only while it may be the beginning of a call; whitespace around calls is dropped.

    A call is the JSON in `<tool_call>` tags (escaped by Markdown or HTML too) or in a code fence of that name. It is
    also the JSON in a fence without a name or with `json`, or the whole reply, if that is nothing but calls of tools of
    the box: other JSON, and prose with JSON in it, stays text.

    **A reply ends with its calls.** What comes after the first of them and is neither whitespace nor another call is
    cut, since the model goes on with results that it makes up. So is everything from a `<tool_result` on. Then `done`
    is True: whoever feeds may stop the model, and what is fed is dropped.
    """

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._forms = Forms(toolbox)
        self._held = ""
        self._block: _Block | None = None
        self._at_start = True
        self._has_calls = False
        self._code = 0  # backticks of the code block that the text is in
        self._in_long_run = False  # whether the text ends in more backticks than a fence has
        self.done = False

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
        return pieces

    def close(self) -> list[Piece]:
        """The reply is over: the pieces that were held back."""
        pieces: list[Piece] = []
        if not self.done:
            if self._block is not None:
                self._end_unclosed(self._block, pieces)
            if self._held and not self._has_calls:
                pieces.append(self._held)
        self._held, self._block, self.done = "", None, True
        return pieces

    # --- text -----------------------------------------------------------------------------------------------------

    def _begin(self, rest: str) -> str:
        """The start of the reply, where JSON without anything around it may be a call."""
        body = rest.lstrip()
        space = rest[: len(rest) - len(body)]
        if not body and len(space) <= _LONGEST_SPACE:
            self._held = rest
            return ""
        self._at_start = False
        if len(space) > _LONGEST_SPACE or not body.startswith(("{", "[")):
            return rest
        self._block = _Block(_Opening("bare", ""), space)
        return body

    def _search(self, rest: str, pieces: list[Piece]) -> str:
        """Look for an opener, and say what is before it. Answers with what is behind it."""
        self._in_long_run = self._in_long_run and rest[0] == "`"
        for mark in _MARK.finditer(rest):
            opening = self._opening(rest, mark)
            if opening is None:
                continue
            text = _without_space(rest[: mark.start()])
            self._say(text, pieces)
            if opening is _MORE:
                self._held = rest[len(text) :]
                return ""
            if opening.kind == "result":
                self._cut(rest[mark.start() :])
                return ""
            if not self.done:
                self._block = _Block(opening, rest[len(text) : mark.start()])
            return rest[mark.start() + len(opening.text) :]
        text = _without_space(rest)
        self._say(text, pieces)
        self._held = rest[len(text) :]
        return ""

    def _opening(self, text: str, mark: re.Match[str]) -> _Opening | None:
        if mark[0][0] == "`":
            return self._fence(text, mark)
        at = mark.start()
        tail = text[at : at + _LONGEST_TAG].lower()
        for tag in _OPENERS:
            if tail.startswith(tag):
                return _Opening("tag", text[at : at + len(tag)], _CLOSERS, always=True)
        if tail.startswith(_RESULTS):
            return _Opening("result", "")
        may_go_on = len(text) - at < _LONGEST_TAG and any(tag.startswith(tail) for tag in (*_OPENERS, *_RESULTS))
        return _MORE if may_go_on else None

    def _fence(self, text: str, mark: re.Match[str]) -> _Opening | None:
        run, end = len(mark[0]), mark.end()
        if run > _LONGEST_FENCE or (self._in_long_run and mark.start() == 0):
            self._in_long_run = end == len(text)
            return None
        if end == len(text):
            return _MORE  # the run may go on
        if self._code and run >= self._code:
            self._code = 0
        elif not self._code and run >= _SHORTEST_FENCE:
            return self._fence_opening(text, mark)
        return None

    def _fence_opening(self, text: str, mark: re.Match[str]) -> _Opening | None:
        end = mark.end()
        line = _FENCE_LINE.match(text, end)
        if line is None and _FENCE_LINE_BEGUN.fullmatch(text, end):
            return _MORE
        info = None if line is None else line[line.lastindex or 0].lower().replace("\\", "")
        if line is None or info not in _FENCES:
            self._code = len(mark[0])
            return None
        return _Opening("fence", text[mark.start() : line.end()], (mark[0],), always=_FENCES[info])

    def _say(self, text: str, pieces: list[Piece]) -> None:
        if not text:
            return
        if not self._has_calls:
            pieces.append(text)
        elif not text.isspace():
            self._cut(text)

    def _cut(self, text: str) -> None:
        self.done = True
        _log.debug("what the model wrote after its calls is cut, from here on: %d characters so far", len(text))

    # --- blocks ---------------------------------------------------------------------------------------------------

    def _read(self, block: _Block, rest: str, pieces: list[Piece]) -> str:
        """Read on in a block. Answers with what is behind it."""
        text, block.pending = block.pending + rest, ""
        if block.literal:
            return self._read_literally(block, text, pieces)
        if not self._may_be_calls(block, text):
            return self._reread(block, text, pieces)
        at = block.scanner.feed(text)
        block.parts.append(text[:at])
        tail = text[at:]
        closer = _closer_at(tail, block.opening.closers)
        if closer:
            return self._end(block, tail[len(closer) :], pieces, closer)
        if closer is not None:
            block.pending = tail
            return ""
        return self._read_other(block, tail, pieces)

    def _read_other(self, block: _Block, tail: str, pieces: list[Piece]) -> str:
        """Read on where something stands in a block that is neither JSON nor its closer."""
        if not block.opening.always:
            return self._release(block, tail, pieces)
        if block.scanner.values:
            return self._end(block, tail, pieces, "")
        block.literal = True
        return self._read_literally(block, tail, pieces)

    def _read_literally(self, block: _Block, text: str, pieces: list[Piece]) -> str:
        """Read on to the first closer: the JSON is broken, so its strings tell nothing."""
        found = _first(block.opening.closers, text)
        if found:
            block.parts.append(text[: found.start()])
            return self._end(block, text[found.end() :], pieces, found[0])
        kept = max(map(len, block.opening.closers)) - 1
        block.parts.append(text[: max(0, len(text) - kept)])
        block.pending = text[max(0, len(text) - kept) :]
        return ""

    def _may_be_calls(self, block: _Block, text: str) -> bool:
        """Whether a block that may be other JSON can still be calls, as its first key tells."""
        if block.head is None:
            return True
        block.head = (block.head + text[:_LONGEST_HEAD])[:_LONGEST_HEAD]
        key = _FIRST_KEY.match(block.head)
        if key is not None:
            block.head = None
            return key[1] in FIRST_KEYS
        return len(block.head) < _LONGEST_HEAD and _MAY_GET_A_KEY.fullmatch(block.head) is not None

    def _reread(self, block: _Block, tail: str, pieces: list[Piece]) -> str:
        """Say the opening of what can be no call. Answers with the rest of the block: there may be openers in it."""
        rest = block.content + tail
        block.parts.clear()
        return self._release(block, rest, pieces)

    def _release(self, block: _Block, tail: str, pieces: list[Piece], closer: str = "") -> str:
        """Say what turned out to be no call. Answers with what is behind it."""
        self._block = None
        if block.opening.kind == "fence" and not closer:
            self._code = len(block.opening.closers[0])
        said = block.space + block.opening.text + block.content + closer
        text = _without_space(said)
        self._say(text, pieces)
        return "" if self.done else said[len(text) :] + tail

    def _end(self, block: _Block, tail: str, pieces: list[Piece], closer: str) -> str:
        """The block is closed. Answers with what is behind it."""
        content, raw = block.content, block.opening.text + block.content + closer
        if block.opening.always:
            self._give(self._forms.meant(_plain(content, block.opening), raw=raw, closed=True), pieces)
        elif (calls := self._forms.bare(content, raw=raw)) is not None:
            self._give(calls, pieces)
        else:
            return self._release(block, tail, pieces, closer)
        return "" if self.done else tail

    def _end_unclosed(self, block: _Block, pieces: list[Piece]) -> None:
        content, raw = block.content, block.opening.text + block.content
        if block.opening.always:
            # In a string that never ended the closer was not looked for.
            found = None if block.is_whole else _first(block.opening.closers, content)
            content = content[: found.start()] if found else content
            self._give(self._forms.meant(_plain(content, block.opening), raw=raw, closed=found is not None), pieces)
        elif (calls := self._forms.bare(content, raw=raw) if block.is_whole else None) is not None:
            self._give(calls, pieces)
        else:
            self._held = self._release(block, "", pieces)

    def _give(self, calls: list[Call | InvalidCall], pieces: list[Piece]) -> None:
        self._block = None
        self._has_calls = True
        if not self._toolbox.parallel:
            self.done = True
            if len(calls) > 1:
                _log.warning("The model wrote %d calls where one is allowed; only the first counts.", len(calls))
                calls = calls[:1]
        pieces.extend(calls)


def _closer_at(tail: str, closers: tuple[str, ...]) -> str | None:
    """The closer that the text begins with; "" where it may yet be one, None where it cannot."""
    lowered = tail[: max(map(len, closers), default=0)].lower()
    for closer in closers:
        if lowered.startswith(closer):
            return closer
    return "" if not tail or any(closer.startswith(lowered) for closer in closers) else None


def _first(closers: tuple[str, ...], text: str) -> re.Match[str] | None:
    """The first closer in the text."""
    return re.search("|".join(map(re.escape, closers)), text, re.IGNORECASE | re.ASCII)


def _plain(content: str, opening: _Opening) -> str:
    """The content of a block, with the escapes of its tag undone."""
    if opening.text.startswith("&"):
        return html.unescape(content)
    return _MARKDOWN.sub(lambda escape: escape[1] or escape[2], content) if "\\" in opening.text else content


def _without_space(text: str) -> str:
    """The text without the whitespace at its end, as far as that is held back."""
    return text[: max(len(text.rstrip()), len(text) - _LONGEST_SPACE)]
