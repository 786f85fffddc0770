"""How an answer is shown: as text, as Markdown in a terminal, or as events in JSON; and what is shown below it.

A view is a context manager that lives as long as its turn. However the turn ends, all that has arrived is shown, and
what is printed next begins on its own line.
"""

from __future__ import annotations

import asyncio
import re
import sys
from itertools import pairwise
from typing import Protocol, Self

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import markdown as rich_markdown
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from bing_llm import events as ev
from bing_llm._safe_text import escape, one_line
from bing_llm._urls import web_url
from bing_llm.cli.streams import is_terminal
from bing_llm.fold import Fold

REWRITTEN = "--- The service rewrote its answer. The final text: ---"

# HTML is shown as the text that it is: a terminal draws none, and rich would leave it out. Pictures are shown as links.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable("image")
# Only what leads to a web page becomes a link: the parser alone would accept `ftp:`, `tel:` and pictures in `data:`.
_PARSER.validateLink = lambda url: bool(web_url(url))  # type: ignore[method-assign]
_FENCES = ("```", "~~~")
_CITED = re.compile(r"\[\^(\d{1,6})\^\]")


# --- views ------------------------------------------------------------------------------------------------------------


class View(Protocol):
    """What shows a turn."""

    def __enter__(self) -> Self:
        """The turn begins."""

    def __exit__(self, *exc_info: object) -> None:
        """The turn is complete, or has failed."""

    def show(self, event: ev.Event) -> None:
        """Show one event."""


class JsonView:
    """One event a line, as JSON."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Each line is whole already."""

    def show(self, event: ev.Event) -> None:
        """Print the event."""
        print(escape(ev.event_to_json(event)), flush=True)


class TextView:
    """The text as it arrives, never recalled; after a rewrite a line says so, and the final text follows."""

    def __init__(self) -> None:
        self._fold = Fold()
        self._at_line_start = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end_line()
        reply = self._fold.reply()
        if reply.revised:
            self._print(f"{REWRITTEN}\n{reply.text}")
            self._end_line()

    def show(self, event: ev.Event) -> None:
        """Print what the event adds to the text."""
        piece = self._fold.add(event)
        if piece:
            self._print(piece)

    def _print(self, text: str) -> None:
        print(escape(text), end="", flush=True)
        self._at_line_start = text.endswith("\n")

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._print("\n")


class MarkdownView:
    """The text as Markdown, in a terminal; for use on an event loop.

    Blocks that are complete are printed, and scroll away as everything does. Only the last block is drawn again and
    again, below them and cut to the height of the screen: lines that have scrolled off cannot be drawn over.

    Args:
        console: The terminal.
        frame_s: Seconds between two drawings. Words come faster than long blocks can be drawn, and than anyone reads.
    """

    def __init__(self, console: Console, *, frame_s: float = 0.05) -> None:
        self._console = console
        self._frame_s = frame_s
        self._due: asyncio.TimerHandle | None = None
        self._tail = Tail(_dim("..."))
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
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
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
        match event:
            case ev.SearchStarted(query=query):
                self._tail.inner = _dim(f"Searching the web: {one_line(query)}")
            case ev.Progress(text=text):
                self._tail.inner = _dim(one_line(text))
            case _:
                pass  # the fold has the text; the reply has the rest
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._frame_s, self._draw)

    def _draw(self) -> None:
        self._due = None
        text = escape(self._fold.text)
        closed: list[str] = []
        # If it does not begin with what is printed, it was rewritten, and may be rewritten again: wait for the end.
        if text and text.startswith(self._printed):
            *closed, last = split_blocks(text[len(self._printed) :])
            self._tail.inner = Block(last_lines(last, self._console.height), follows=bool(self._printed or closed))
        for block in closed:
            self._print_block(block)  # above the tail, which rich draws again
        if not closed:
            self._live.refresh()

    def _print_block(self, text: str) -> None:
        if text.strip():
            self._console.print(Block(text, follows=bool(self._printed)))
        self._printed += text


# --- Markdown in a terminal -------------------------------------------------------------------------------------------


class Markdown(rich_markdown.Markdown):
    """Markdown for rich, with the service's markers `[^1^]` as `[1]`, and with the URL of each link shown."""

    def __init__(self, text: str) -> None:
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

    def __init__(self, text: str, *, follows: bool) -> None:
        self._inner = Markdown(text)
        self._follows = follows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [_trimmed(line) for line in console.render_lines(self._inner, options, pad=False)]
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


def _dim(text: str) -> Text:
    return Text(text, style="dim")


# --- below an answer --------------------------------------------------------------------------------------------------


def source_lines(reply: ev.Reply, marker: str = "[^{}^]") -> list[str]:
    """The citations with the numbers that they have in the text, then the pictures.

    Args:
        reply: The answer.
        marker: How the text shows a citation's number where it is a note; where it is a link, it is the link's text.
    """
    citations = (
        f"{_marker_in(reply, each, marker)} {one_line(f'{each.title} {each.url}'.rstrip())}" for each in reply.citations
    )
    images = (f"image: {one_line(url)}" for url in reply.images)
    requests = (f"image wanted: {one_line(prompt)}" for prompt in reply.image_prompts)
    return [*citations, *images, *requests]


def _marker_in(reply: ev.Reply, citation: ev.Citation, marker: str) -> str:
    is_link = any(reply.text.startswith(f"[{citation.number}](", start) for start, _ in citation.spans)
    return ("[{}]" if is_link else marker).format(citation.number)


def suggestion_lines(reply: ev.Reply) -> list[str]:
    """The suggested next messages, numbered from 1."""
    return [f"{number}> {one_line(text)}" for number, text in enumerate(reply.suggestions, 1)]


def quota_line(quota: ev.Quota) -> str:
    """`3 of 30 turns`."""
    return f"{quota.used} of {quota.limit} turns"


class Exchange(msgspec.Struct, frozen=True):
    """One turn: the prompt and the reply."""

    prompt: str
    reply: ev.Reply


def render_transcript(model: str, exchanges: list[Exchange]) -> str:
    """A conversation as Markdown. Safe for a terminal, because people look at files with `cat`."""
    return (
        "\n\n".join([f"# Chat with {one_line(model)}", *(_render_exchange(exchange) for exchange in exchanges)]) + "\n"
    )


def _render_exchange(exchange: Exchange) -> str:
    reply = exchange.reply
    parts = ["## You", escape(exchange.prompt), "## Bing", escape(reply.text.strip())]
    sources = source_lines(reply)
    if sources:
        parts.append("\n".join(f"- {line}" for line in sources))
    if reply.revoked:
        parts.append(escape(f"(The service withdrew this answer. {reply.notice})"))
    return "\n\n".join(part for part in parts if part)
