"""An answer as Markdown in a terminal."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar, Self, cast

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import markdown as rich_markdown
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text

from bing_llm import events as ev
from bing_llm._safe_text import escape
from bing_llm._urls import web_url
from bing_llm.cli.status import NO_STATUS, Status
from bing_llm.cli.streams import is_terminal
from bing_llm.cli.view import REWRITTEN
from bing_llm.fold import Fold

# HTML is shown as the text that it is: a terminal draws none, and rich would leave it out. Pictures are shown as links.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("image")
# Only what leads to a web page becomes a link: the parser alone would accept `ftp:`, `tel:` and pictures in `data:`.
_PARSER.validateLink = lambda url: bool(web_url(url))  # type: ignore[method-assign]
_FENCES = ("```", "~~~")
_CITED = re.compile(r"\[\^(\d{1,6})\^\]")


class MarkdownView:
    """The text as Markdown, in a terminal; for use on an event loop.

    Blocks that are complete are printed, and scroll away as everything does. Only the last block is drawn again and
    again, below them and cut to the height of the screen: lines that have scrolled off cannot be drawn over.

    Args:
        console: The terminal.
        status: The line that says what happens until text comes.
        frame_s: Seconds between two drawings. Words come faster than long blocks can be drawn, and than anyone reads.
    """

    def __init__(self, console: Console, status: Status = NO_STATUS, *, frame_s: float = 0.05) -> None:
        self._console = console
        self._status = status
        self._frame_s = frame_s
        self._due: asyncio.TimerHandle | None = None
        self._tail = Tail(Text())
        # The log goes to stderr; where that is the same terminal, it goes above what is drawn.
        self._live = Live(
            self._tail,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=is_terminal(sys.stderr),
        )
        self._fold = Fold()
        self._printed = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._status.end()
        if self._due is not None:
            self._due.cancel()
        self._tail.inner = Text()
        self._live.stop()
        text = escape(self._fold.reply().text)
        if not text.startswith(self._printed):
            self._console.print(f"\n{REWRITTEN}\n")
            self._printed = ""
        for block in split_blocks(text[len(self._printed) :] + "\n"):
            self._print_block(block)

    def show(self, event: ev.Event) -> None:
        """Take the event; what it changes is drawn with the next frame."""
        self._fold.add(event)
        if self._fold.text and self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._frame_s, self._draw)

    def _draw(self) -> None:
        self._due = None
        self._start()
        text = escape(self._fold.text)
        closed: list[str] = []
        # If it does not begin with what is printed, it was rewritten, and may be rewritten again: wait for the end.
        if text and text.startswith(self._printed):
            *closed, last = split_blocks(text[len(self._printed) :])
            self._tail.inner = Block(
                last_lines(last, self._console.height), follows=bool(self._printed or closed), wraps_code=True
            )
        for block in closed:
            self._print_block(block)  # above the tail, which rich draws again
        if not closed:
            self._live.refresh()

    def _start(self) -> None:
        if not self._live.is_started:
            self._status.end()
            self._live.start()

    def _print_block(self, text: str) -> None:
        if text.strip():
            self._console.print(Block(text, follows=bool(self._printed)), crop=False)  # of a listing, nothing is cut
        self._printed += text


# --- Markdown in a terminal -------------------------------------------------------------------------------------------


class _CodeBlock(rich_markdown.CodeBlock):
    """A listing at the left margin, as it was written: what is copied from the terminal can be run.

    rich indents it, and breaks its long lines. A terminal breaks them too, but copies them whole.
    """

    wraps = False

    @classmethod
    def create(cls, markdown: rich_markdown.Markdown, token: Token) -> _CodeBlock:
        block = cast("_CodeBlock", super().create(markdown, token))
        block.wraps = isinstance(markdown, Markdown) and markdown.wraps_code
        return block

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = Syntax("", self.lexer_name, theme=self.theme).highlight(str(self.text).rstrip())
        text.rstrip()
        text.no_wrap, text.overflow = not self.wraps, "fold" if self.wraps else "ignore"
        yield text


class _ListElement(rich_markdown.ListElement):
    """A list. A listing in it is not indented with its item."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.render_items(console, options, 0):
            yield from line
            yield Segment.line()

    def render_items(self, console: Console, options: ConsoleOptions, indent: int) -> Iterator[list[Segment]]:
        """The lines of all items.

        Args:
            console: The terminal.
            options: How wide it is.
            indent: The columns before the list.
        """
        first = self.list_start or 1 if self.list_type == "ordered_list_open" else None
        width = 1 if first is None else len(str(first + len(self.items))) + 1
        style = console.get_style("markdown.item.bullet" if first is None else "markdown.item.number", default="none")
        for index, item in enumerate(self.items):
            sign = " •" if first is None else str(first + index).rjust(width)
            yield from _render_item(item, console, options, Segment(f"{' ' * indent}{sign} ", style))


def _render_item(
    item: rich_markdown.ListItem, console: Console, options: ConsoleOptions, mark: Segment
) -> Iterator[list[Segment]]:
    indent = len(mark.text)
    narrow = options.update(width=max(1, options.max_width - indent))
    blank = Segment(" " * indent)
    before = mark
    for element in item.elements:  # type: ignore[attr-defined]  # rich calls its iterator an Iterable
        if isinstance(element, _ListElement | _CodeBlock):
            if before is mark:  # the item begins with it
                yield [mark]
            yield from (
                element.render_items(console, options, indent)
                if isinstance(element, _ListElement)
                else Segment.split_lines(console.render(element, options))
            )
        else:
            for line in console.render_lines(element, narrow, style=item.style):
                yield [before, *line]
                before = blank
        before = blank


class Markdown(rich_markdown.Markdown):
    """Markdown for rich, with the service's markers `[^1^]` as `[1]`, and with the URL of each link shown.

    Args:
        text: The Markdown.
        wraps_code: Whether long lines of listings are broken: what is drawn over must know how many lines it has.
    """

    elements: ClassVar[dict[str, type[rich_markdown.MarkdownElement]]] = {
        **rich_markdown.Markdown.elements,
        "fence": _CodeBlock,
        "code_block": _CodeBlock,
        "bullet_list_open": _ListElement,
        "ordered_list_open": _ListElement,
    }

    def __init__(self, text: str, *, wraps_code: bool = False) -> None:
        self.wraps_code = wraps_code
        # The terminal's own colours: they suit its background, dark or light.
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            _make_safe(token)


def _make_safe(token: Token) -> None:
    """Escape after parsing: entities (`&#x202e;`) and the `%1b` of links are characters only now."""
    token.content = escape(token.content)
    token.attrs = {name: escape(value) if isinstance(value, str) else value for name, value in token.attrs.items()}
    if token.type == "text":
        token.content = _CITED.sub(r"[\1]", token.content)
    for child in token.children or ():
        _make_safe(child)


def split_blocks(text: str) -> list[str]:
    """The paragraphs, lists, tables and so on of a text; joined, they are the text.

    Only a complete line starts a block, because more text can change what a line means. So while a text grows, all
    blocks but the last stay as they are.
    """
    lines = text.split("\n")
    whole = "".join(f"{line}\n" for line in lines[:-1])
    starts = [token.map[0] for token in _PARSER.parse(whole) if token.level == 0 and token.map]
    edges = [0, *starts[1:], len(lines)]
    blocks = ["\n".join([*lines[begin:end], ""]) for begin, end in pairwise(edges)]
    blocks[-1] = blocks[-1][:-1]
    return blocks


def last_lines(block: str, lines: int) -> str:
    """A block that draws the same last lines. A long listing is cut, because each frame highlights all of it."""
    first, *rest = block.split("\n")
    if not first.startswith(_FENCES) or len(rest) <= lines:
        return block
    return "\n".join([first, *rest[-lines:]])


class Block:
    """A block of Markdown, after an empty line where it follows another one; rich's own margins are too large."""

    def __init__(self, text: str, *, follows: bool, wraps_code: bool = False) -> None:
        self._inner = Markdown(text, wraps_code=wraps_code)
        self._follows = follows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Not `render_lines`, which would cut the long lines of a listing.
        lines = [_trimmed(line) for line in Segment.split_lines(console.render(self._inner, options))]
        with_text = [number for number, line in enumerate(lines) if line]
        if self._follows and with_text:
            yield Segment.line()
        for line in lines[with_text[0] : with_text[-1] + 1] if with_text else ():
            yield from line
            yield Segment.line()


class Tail:
    """The last lines of something, as many as fit on the screen, and an empty one, where a terminal may echo `^C`.

    Attributes:
        inner: What is drawn.
    """

    def __init__(self, inner: RenderableType) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.inner, options, pad=False)
        for line in lines[-max(1, console.height - 2) :]:
            yield from line
            yield Segment.line()
        yield Segment.line()


def _trimmed(line: list[Segment]) -> list[Segment]:
    """Remove the blanks that fill a line: they would be copied with it, and wrap in a narrower window."""
    while line and not line[-1].text.strip():
        line = line[:-1]
    return [*line[:-1], Segment(line[-1].text.rstrip(), line[-1].style)] if line else []
