"""How a running answer is shown: as text, as Markdown in a terminal, or as events in JSON.

A view is a context manager that lives as long as its turn. Whatever ends the turn, what has come is shown whole, and
what is printed next begins on a line of its own.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Protocol, Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from bing_llm import events as ev
from bing_llm._escaping import escape, one_line
from bing_llm.cli.markdown import Markdown, ending, split_blocks
from bing_llm.cli.settings import is_terminal
from bing_llm.fold import Fold

__all__ = ["REWRITTEN", "JsonView", "MarkdownView", "TextView", "View"]

REWRITTEN = "--- The service rewrote its answer. The final text: ---"


class View(Protocol):
    """What shows a turn."""

    def __enter__(self) -> Self:
        """The turn begins."""

    def __exit__(self, *exc_info: object) -> None:
        """The turn is over, or broken off."""

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
    """The text as it comes, never recalled; after a rewrite the final text follows, and a line that says so."""

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
        """Take in the event; what it changes is drawn soon."""
        self._fold.add(event)
        match event:
            case ev.SearchStarted(query=query):
                self._tail.inner = _dim(f"Searching the web: {one_line(query)}")
            case ev.Progress(text=text):
                self._tail.inner = _dim(one_line(text))
            case _:
                pass  # text is taken from the fold; the reply has the rest
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._frame_s, self._draw)

    def _draw(self) -> None:
        self._due = None
        text = escape(self._fold.text)
        closed: list[str] = []
        # Where it does not begin with what is printed it was rewritten, and may come to do so again; the end will tell.
        if text and text.startswith(self._printed):
            *closed, last = split_blocks(text[len(self._printed) :])
            self._tail.inner = Block(ending(last, self._console.height), follows=bool(self._printed or closed))
        for block in closed:
            self._print_block(block)  # above the tail, which rich draws again
        if not closed:
            self._live.refresh()

    def _print_block(self, text: str) -> None:
        if text.strip():
            self._console.print(Block(text, follows=bool(self._printed)))
        self._printed += text


class Block:
    """A block of Markdown, after an empty line where it follows another one; rich's own margins are too many."""

    def __init__(self, text: str, *, follows: bool) -> None:
        self._inner = Markdown(text)
        self._follows = follows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [_trimmed(line) for line in console.render_lines(self._inner, options, pad=False)]
        inked = [number for number, line in enumerate(lines) if line]
        if self._follows and inked:
            yield Segment.line()
        for line in lines[inked[0] : inked[-1] + 1] if inked else ():
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
    """Without the blanks that fill it: copied text should not have them, nor should they wrap on a narrowed screen."""
    while line and not line[-1].text.strip():
        line = line[:-1]
    return [*line[:-1], Segment(line[-1].text.rstrip(), line[-1].style)] if line else []


def _dim(text: str) -> Text:
    return Text(text, style="dim")
