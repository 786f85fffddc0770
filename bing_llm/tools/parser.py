"""Parses tool calls from the text that a model streams."""

from __future__ import annotations

import logging
import re

from bing_llm.tools.blocks import MAX_CANDIDATE_CHARACTERS, Block, Candidate, Context
from bing_llm.tools.call_decoder import MAX_HEAD, CallDecoder
from bing_llm.tools.call_formats import (
    CLOSERS,
    DELIMITER,
    LONGEST_SPACE,
    MORE,
    NAME,
    Delimiter,
    closer_at,
    code_at,
    element_at,
    fence_at,
    loose_tag_at,
    markup_at,
    tag_at,
    unescape,
)
from bing_llm.tools.call_notations import near_code, read_calls
from bing_llm.tools.calls import Call, InvalidCall, Piece, Tool, Toolbox

_log = logging.getLogger(__name__)

_SHORTEST_FENCE, _LONGEST_FENCE = 3, 16  # backticks; what is longer holds no call
_LAYOUT = " \t\r\n`"  # around a call, of whoever puts it into a code block

_LINE_ENDS = re.compile(r"[^\S\n]*\n")

_LONGEST_SHOWN = 200  # characters of a call that is too long, in its `InvalidCall`

_CANDIDATES = frozenset(("object", "quoted", "code", "element", "loose"))
_OWN_RESULT = "It is a tool_result, which only I write. Write a call, or an answer."
_NOT_JSON = 'The tag of a call holds no JSON: write one object with "name" and "arguments" in it.'
_IN_XML = 'The call of {} is XML: write it as JSON, one object with "name" and "arguments".'

_FIRST_OF_OBJECT = "\"'\u201c\u201d}"
_OBJECT = re.compile(rf"(?:\[\s{{0,100}}){{0,4}}(?:\{{\s{{0,100}}(?:[{_FIRST_OF_OBJECT}]|\Z)|\Z)")
_RECENT = 300  # characters before a block in which the name of a tool is looked for
_LINE_START = re.compile(r"(?:^|\n)[\s>*`-]*\Z")
_FENCE_LINE = re.compile(r"\s*(?:`{3,}|~{3,})[^\n`]{0,40}\s*\Z")
_FENCE_ALONE = re.compile(r"\s*(?:(?:`{3,}|~{3,})[^\n`]{0,40}\s*)?")
_ESCAPED_MARK = re.compile(r"&(?:lt|amp|#[0-9]{2,3});[^\n]{0,80}\s*\Z")
_IN_JSON = re.compile(r"""["']\s*:\s*\Z|[,[]\s*\Z""")
_NAMES = re.compile(NAME)
_NAME_ALONE = re.compile(rf"\W*(?:[A-Za-z][A-Za-z _]{{1,24}}\W*[:=]\W*)?{NAME}\W*")

_LONGEST_PART = 4096  # characters that are looked at together, so that what is left of a part is not copied too often


class _NearCall:
    """A text that is nearly a call, and all that follows it.

    Args:
        name: The name of the tool, "" if it is not known.
        reason: Why it is not a call.
        text: What has come of it.
    """

    def __init__(self, name: str, reason: str, text: str) -> None:
        self.name = name
        self.reason = reason
        self.parts = [text]

    @property
    def text(self) -> str:
        return "".join(self.parts)


class CallParser:
    """Splits the text of a reply into text and calls while it streams.

    `feed` each part, then `close`. With adjacent texts joined, the pieces do not depend on how the reply is cut into
    parts. Text is held back only while it may be the beginning of a call; whitespace around calls is dropped.

    A call is the JSON in `<tool_call>` tags (also as Markdown or HTML escapes them) or in a code fence of that name.
    It is also the JSON in a fence without a name or with `json`, or the whole reply, if that is nothing but calls of
    known tools. In the markup of other models (`FOREIGN_TAGS`, `FOREIGN_TOKENS`), which is read when the reply is
    complete, it may be in other notations too.

    **What is nearly a call is an `InvalidCall`**, together with all that follows it, unless a call follows. In a reply
    without calls, that is: JSON that names a known tool, or that is its arguments where the line or the fence before it
    names the tool; a call in the syntax of Python that is a whole line or a code fence; an element with the name of a
    tool; a tag of calls, at the start of a line, around something else. What stands in a code span, in other code, or
    after a mark that we have escaped only quotes a call: it is text. A reply that is nothing but an invented result is
    an `InvalidCall` too.

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
        self._block: Block | None = None
        self._candidate: Candidate | None = None
        self._near: _NearCall | None = None
        self._fed = 0  # characters of the reply so far
        self._quiet_until = 0  # where in the reply candidates may begin again
        self._recent = ""  # the end of the text that was given
        self._at_start = True
        self._has_text = False
        self._has_calls = False
        self._code = 0  # backticks of the code block that the text is in
        self._is_foreign = False  # whether tags are text in that
        self._wraps_calls = False  # whether its fences are dropped
        self._code_begun = True  # whether more than the fence of that code has come
        self._span = 0  # backticks of the code that was opened on this line
        self._span_begins_line = False
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
        self._fed += len(text)
        while rest and not self.done:
            if self._block is not None:
                rest = self._read(self._block, rest, pieces)
            elif self._candidate is not None:
                rest = self._follow(self._candidate, rest)
            elif self._at_start:
                rest = self._begin(rest)
            else:
                rest = self._search(rest, pieces)
        self.has_cut = self.has_cut or bool(rest.strip(_LAYOUT))  # after the one call
        return pieces

    def close(self) -> list[Piece]:
        """The reply is complete: the pieces that were held back."""
        pieces: list[Piece] = []
        while not self.done and (self._block is not None or self._candidate is not None):
            rest = self._end_open(pieces)
            self._fed -= len(rest)
            pieces += self._feed(rest)
        if not self.done and not self._has_calls:
            self._give_text(self._held, pieces)
        if self._near is not None:
            pieces.append(InvalidCall(self._near.text, self._near.reason, self._near.name))
        self._held, self._block, self._candidate, self._near, self.done = "", None, None, None, True
        return pieces

    def _end_open(self, pieces: list[Piece]) -> str:
        """End what the end of the reply has left open. Returns the text of it that must be read again."""
        if self._candidate is not None:
            return self._end_candidate(self._candidate, "")
        block = self._block
        if block is None:
            return ""
        if block.delimiter.kind == "markup":
            return self._end_markup(block, pieces)
        if block.delimiter.always and not block.is_whole and not block.literal:
            return self._read_again(block)
        return self._end_unclosed(block, pieces)

    # --- text -----------------------------------------------------------------------------------------------------

    def _begin(self, rest: str) -> str:
        """Read the start of the reply, where JSON without delimiters may be a call."""
        body = rest.lstrip()
        at = len(rest) - len(body)
        if not body and at <= LONGEST_SPACE:
            self._held = rest
            return ""
        if at <= LONGEST_SPACE:
            delimiter = markup_at(rest, at, self._decoder) if body[0] == "[" else None
            delimiter = delimiter or code_at(rest, at, self._decoder)
            if delimiter is None and body[0] in "{[":
                delimiter = Delimiter("bare", "")
            if delimiter is MORE:
                self._held = rest
                return ""
            if delimiter is not None:
                self._at_start = False
                return self._open(delimiter, rest[:at], body, Context())
        self._at_start = False
        return rest

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
            return self._open(delimiter, space, rest[mark.start() :], self._context(delimiter))
        text = _without_space(rest)
        self._give_text(text, pieces)
        self._held = rest[len(text) :]
        return ""

    def _open(self, delimiter: Delimiter, space: str, rest: str, context: Context) -> str:
        """Begin the block that the delimiter opens. Returns the text after the delimiter."""
        if delimiter.kind == "result":
            if not (self._near or self._has_calls) and _FENCE_ALONE.fullmatch(self._recent):
                self._near = _NearCall("", _OWN_RESULT, delimiter.text)
            self._cut(rest)
        elif delimiter.kind in _CANDIDATES:
            self._candidate = Candidate(delimiter, space, context, fenced=bool(self._code) and self._is_foreign)
        elif delimiter.kind != "layout" and not self.done:
            self._block = Block(delimiter, space, context)
            self._block.literal = self._all_literal and delimiter.always
        return rest[len(delimiter.text) :]

    def _context(self, delimiter: Delimiter) -> Context:
        """The tool that the lines before a block name: the line that it is on, or the last one before."""
        if delimiter.kind not in ("object", "fence"):
            return Context()
        if tool := self._decoder.tool(delimiter.tool):
            return Context(tool, alone=True)
        if _IN_JSON.search(self._recent):
            return Context()
        recent = self._recent
        for _ in range(2):
            if (fence := _FENCE_LINE.search(recent)) and (tools := self._named_in(fence[0])):
                return Context(tools[-1], alone=True)
            recent = recent[: fence.start()] if fence else recent
        for line in [line for line in recent.split("\n") if line.strip()][:-3:-1]:
            if tools := self._named_in(line):
                return Context(tools[-1], alone=_NAME_ALONE.fullmatch(line) is not None)
        return Context()

    def _named_in(self, line: str) -> list[Tool]:
        return [tool for name in _NAMES.findall(line) if (tool := self._decoder.tool(name))]

    def _begins_line(self, before: str) -> bool:
        """Whether only layout stands before this on its line."""
        return _LINE_START.search((self._recent + before)[-_RECENT:]) is not None

    def _may_suspect(self, text: str, at: int) -> bool:
        """Whether what is nearly a call counts here."""
        return not (self._near or self._has_calls) and self._fed - len(text) + at >= self._quiet_until

    def _delimiter_at(self, text: str, mark: re.Match[str]) -> Delimiter | None:
        sign = mark[0][0]
        if sign == "\n":
            self._span = 0
            return self._line_at(text, mark)
        if sign == "`":
            return self._backticks(text, mark)
        if self._code and self._is_foreign:
            return None
        return self._bracket_at(text, mark.start()) if sign in "{[" else self._tag_at(text, mark.start())

    def _tag_at(self, text: str, at: int) -> Delimiter | None:
        closer = closer_at(text, at, CLOSERS) if self._has_calls else None
        if closer is not None:
            return Delimiter("layout", closer) if closer else MORE
        delimiter = tag_at(text, at) or self._foreign_at(text, at)
        if delimiter is None or delimiter is MORE or not self._span:
            return delimiter
        if delimiter.kind == "markup" or delimiter.kind in _CANDIDATES:
            return None
        return delimiter if _LINE_ENDS.match(text, at + len(delimiter.text)) else None

    def _foreign_at(self, text: str, at: int) -> Delimiter | None:
        """Foreign markup of calls at this position, or what may be nearly a call."""
        if self._fed - len(text) + at < self._quiet_until:
            return None
        delimiter = markup_at(text, at, self._decoder)
        if delimiter is not None or not self._may_suspect(text, at):
            return delimiter
        delimiter = element_at(text, at, self._decoder)
        if (
            delimiter is None
            and (loose := loose_tag_at(text, at))
            and self._begins_line(text[max(0, at - _RECENT) : at])
        ):
            return loose
        return delimiter

    def _bracket_at(self, text: str, at: int) -> Delimiter | None:
        """JSON at this position, or a control token in brackets."""
        if text[at] == "[":
            is_quiet = self._span or self._fed - len(text) + at < self._quiet_until
            markup = None if is_quiet else markup_at(text, at, self._decoder)
            if markup is not None:
                return markup
        begun = _OBJECT.match(text, at)
        if begun is None or not self._may_suspect(text, at):
            return None
        if begun.end() == len(text) and text[-1] not in _FIRST_OF_OBJECT:
            return MORE
        return Delimiter("quoted" if self._is_quoted(text, at) else "object", "")

    def _is_quoted(self, text: str, at: int) -> bool:
        """Whether this stands in a code span that is not the whole line, or after a mark that only we escape."""
        before = text[max(0, at - _RECENT) : at]
        if self._span and not (self._span_begins_line and self._begins_line(before)):
            return True
        return _ESCAPED_MARK.search((self._recent + before)[-_RECENT:]) is not None

    def _line_at(self, text: str, mark: re.Match[str]) -> Delimiter | None:
        """A call in the syntax of Python on a line of its own, or the JSON that begins a code block."""
        at, in_code = mark.end(), bool(self._code) and self._is_foreign
        if (in_code and self._code_begun) or not self._may_suspect(text, mark.start()):
            return None
        if at == len(text):
            return MORE
        delimiter = code_at(text, at, self._decoder, assigned=in_code)
        if delimiter is None and in_code and text[at] in "{[":
            delimiter = Delimiter("object", "")
        if delimiter is not MORE:
            self._code_begun = True
        return delimiter

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
            self._span_begins_line = not self._span and self._begins_line(
                text[max(0, mark.start() - _RECENT) : mark.start()]
            )
            self._span = run - self._span
        return None

    def _end_code(self, run: str) -> Delimiter | None:
        if len(run) < self._code:
            return None
        self._code = 0
        return Delimiter("layout", run) if self._wraps_calls else None

    def _fence(self, text: str, run: re.Match[str]) -> Delimiter | None:
        delimiter = fence_at(text, run, self._decoder)
        if (
            delimiter is not None
            and delimiter.kind == "markup"
            and self._fed - len(text) + run.start() < self._quiet_until
        ):
            delimiter = Delimiter("foreign", run[0])
        if delimiter is None or delimiter.kind in ("more", "fence", "markup"):
            return delimiter
        self._enter_code(len(run[0]), delimiter)
        return delimiter if delimiter.kind == "layout" else None

    def _enter_code(self, run: int, delimiter: Delimiter) -> None:
        self._code, self._span = run, 0
        self._is_foreign = delimiter.kind == "foreign"
        self._code_begun = delimiter.kind == "fence"
        self._wraps_calls = delimiter.kind == "layout"

    def _give_text(self, text: str, pieces: list[Piece]) -> None:
        if not text:
            return
        self._has_text = True
        self._recent = (self._recent + text[-_RECENT:])[-_RECENT:]
        if self._near is not None:
            self._near.parts.append(text)
        elif not self._has_calls:
            pieces.append(text)
        elif not text.isspace():
            self._cut(text)

    def _cut(self, text: str) -> None:
        self.done = self.has_cut = True
        _log.debug("what the model wrote after its calls is cut, from here on: %d characters so far", len(text))

    # --- blocks ---------------------------------------------------------------------------------------------------

    def _read(self, block: Block, rest: str, pieces: list[Piece]) -> str:
        """Read on in a block. Returns what follows it."""
        if block.delimiter.kind == "markup":
            block.add(rest)
            return self._refuse(block, "", pieces) if block.is_too_long else ""
        text, block.pending = block.pending + rest, ""
        return (self._read_literally if block.literal else self._read_json)(block, text, pieces)

    def _read_json(self, block: Block, text: str, pieces: list[Piece]) -> str:
        """Read on in JSON, to its end or its closer."""
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

    def _read_other(self, block: Block, tail: str, pieces: list[Piece]) -> str:
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

    def _read_literally(self, block: Block, text: str, pieces: list[Piece]) -> str:
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

    def _refuse(self, block: Block, tail: str, pieces: list[Piece]) -> str:
        """End a block that is too long: a call ends the reply, other JSON is text."""
        if not block.delimiter.always:
            return self._release(block, tail, pieces)
        shown = f"{block.delimiter.text}{block.content[:_LONGEST_SHOWN]}..."
        self._give_calls([InvalidCall(shown, block.length_fault)], pieces)
        self.done = self.has_cut = True
        return ""

    def _read_again(self, block: Block) -> str:
        """Read a block whose JSON has no end again: what seemed to be a string may hold its closer and other calls.

        Whatever it holds is read literally too, so that nothing is read a third time. Returns its text.
        """
        text, self._all_literal, block.literal = block.content, True, True
        block.parts.clear()
        block.characters = 0
        block.pending = ""
        return text

    def _may_be_calls(self, block: Block, text: str) -> bool:
        """Whether a block that may be other JSON can still be calls, judged by its first key."""
        if block.head is None:
            return True
        block.head = (block.head + text[:MAX_HEAD])[:MAX_HEAD]
        may_be = self._decoder.may_be_call(block.head, block.context.tool, alone=block.context.alone)
        if may_be:
            block.head = None
        return may_be is not False

    def _reread(self, block: Block, tail: str, pieces: list[Piece]) -> str:
        """Give the delimiter of a block that is not a call as text. Returns the rest, which may have more of them."""
        rest = block.content + tail
        block.parts.clear()
        return self._release(block, rest, pieces)

    def _release(self, block: Block, tail: str, pieces: list[Piece], closer: str = "") -> str:
        """Give a block that is not a call as text. Returns what follows it."""
        self._block = None
        if block.delimiter.kind == "fence" and not closer:
            self._enter_code(len(block.delimiter.closers[0]), block.delimiter)
        text = block.space + block.delimiter.text + block.content + closer
        given = _without_space(text)
        if (found := self._near_block(block, whole=True)) is not None:
            self._suspect(found, given)
        else:
            self._give_text(given, pieces)
        return "" if self.done else text[len(given) :] + tail

    def _near_block(self, block: Block, *, whole: bool) -> tuple[str, str] | None:
        """The name of the tool and the fault, if the block is nearly a call."""
        is_small = block.characters <= MAX_CANDIDATE_CHARACTERS and not block.is_too_long
        if self._near or self._has_calls or not is_small or block.head is not None:
            return None
        return self._decoder.near_call(block.content, block.context.tool, alone=block.context.alone, whole=whole)

    def _end(self, block: Block, tail: str, pieces: list[Piece], closer: str) -> str:
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

    def _end_unclosed(self, block: Block, pieces: list[Piece]) -> str:
        content, raw = block.content, block.delimiter.text + block.content
        if block.delimiter.always:
            self._give_calls(self._decoder.decode(unescape(content, block.delimiter), raw=raw, closed=False), pieces)
        elif (calls := self._decoder.decode_bare(content, raw=raw) if block.is_whole else None) is not None:
            self._give_calls(calls, pieces)
        else:
            self._quiet_until = self._fed
            if (found := self._near_block(block, whole=block.is_whole)) is None:
                return self._release(block, "", pieces)
            if block.delimiter.kind == "fence":
                self._enter_code(len(block.delimiter.closers[0]), block.delimiter)
            self._block = None
            self._suspect(found, block.space + block.delimiter.text)
            return content
        return ""

    # --- what is nearly a call ----------------------------------------------------------------------------------

    def _follow(self, candidate: Candidate, rest: str) -> str:
        """Read on in what may be nearly a call. Returns what follows it."""
        tail = candidate.feed(rest, self._decoder)
        return "" if candidate.state == "open" else self._end_candidate(candidate, tail)

    def _end_candidate(self, candidate: Candidate, tail: str) -> str:
        """End what may be nearly a call. If it is none, returns it with what follows, to be read as text."""
        self._candidate = None
        found = None if candidate.state == "not" else self._judge(candidate)
        whole = candidate.whole
        if found is not None and candidate.state == "ended":
            self._suspect(found, whole)
            return tail
        if found is not None:  # another call may stand in it
            self._suspect(found, candidate.space + candidate.delimiter.text)
            self._quiet_until = self._fed
            return candidate.content
        begun = self._fed - len(tail) - len(candidate.content)
        settled = candidate.settled if candidate.state != "open" else len(candidate.content)
        self._quiet_until = max(self._quiet_until, begun + max(settled, not candidate.delimiter.text))
        return whole + tail

    def _judge(self, candidate: Candidate) -> tuple[str, str] | None:
        """The name of the tool and the fault, if this is nearly a call."""
        content, context = candidate.content, candidate.context
        tool = self._decoder.tool(candidate.delimiter.tool)
        match candidate.delimiter.kind:
            case "object":
                if not candidate.is_begun:
                    return None
                whole = candidate.is_complete
                return self._decoder.near_call(content, context.tool, alone=context.alone, whole=whole)
            case "code":
                return near_code(content, self._decoder)
            case "quoted":
                return None
            case "element":
                ended = (
                    candidate.state == "ended"
                    or not candidate.delimiter.closers
                    or content.lstrip().startswith(("{", "<"))
                )
                return (tool.name, _IN_XML.format(tool.name)) if tool is not None and ended else None
            case _:
                return ("", _NOT_JSON) if candidate.state == "ended" else None

    def _suspect(self, found: tuple[str, str], text: str) -> None:
        """Hold this and what follows, until a call comes or the reply is complete."""
        self._has_text = True
        self._near = _NearCall(*found, text)

    def _end_markup(self, block: Block, pieces: list[Piece]) -> str:
        """Read the calls in foreign markup. Returns its text if it is to be read as such."""
        text = block.content
        self._block = None
        calls, fault = read_calls(text, self._decoder, text)
        if any(isinstance(call, Call) for call in calls):
            self._give_calls(calls, pieces)
            self.has_cut = self.has_cut or bool(fault)
            return ""
        self._quiet_until = self._fed
        invalid = next((call for call in calls if isinstance(call, InvalidCall)), None)
        name = invalid.name if invalid else ""
        name = name or next((tool.name for found in _NAMES.findall(text) if (tool := self._decoder.tool(found))), "")
        if name and self._near is None and not self._has_calls:
            self._near = _NearCall(name, invalid.reason if invalid else fault, "")
        return block.space + text

    def _give_calls(self, calls: list[Call | InvalidCall], pieces: list[Piece]) -> None:
        self._block = None
        self._has_calls = True
        if self._near is not None:
            pieces.append(self._near.text)
            self._near = None
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
