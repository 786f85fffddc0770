"""Signs of life: one line in a terminal that says what happens until text comes, and then is gone."""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import cycle
from typing import Protocol, TextIO

import msgspec

from bing_llm import events as ev
from bing_llm._safe_text import one_line
from bing_llm.cli.streams import is_dumb, is_terminal, set_status_line
from bing_llm.client import BingClient

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES = "|/-\\"
_FIRST = "connecting"
_ERASE = "\r\x1b[2K"
_DIM, _RESET = "\x1b[2m", "\x1b[0m"


class Status(Protocol):
    """What says what happens during a turn."""

    def start(self) -> None:
        """The turn begins; for use on an event loop."""

    def show(self, event: ev.Event) -> None:
        """Say what the event means, if it still waits for text."""

    def retry(self, attempts: int) -> None:
        """Say that another attempt begins, of so many."""

    def end(self) -> None:
        """Text comes, or nothing more. May be called twice."""


class _NoStatus:
    """Says nothing: where no person looks."""

    def start(self) -> None:
        """Nothing."""

    def show(self, event: ev.Event) -> None:
        """Nothing."""

    def retry(self, attempts: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


NO_STATUS: Status = _NoStatus()


class StatusLine:
    """A spinner and a few words, on the last line of a terminal.

    It moves by the event loop's timers, and is written in one piece each time, so that nothing else comes in between.

    Args:
        stream: The terminal.
        frame_s: Seconds between two pictures: as fast as rich's spinner.
    """

    def __init__(self, stream: TextIO, *, frame_s: float = 0.08) -> None:
        self._stream = stream
        self._frame_s = frame_s
        self._frames = cycle(_FRAMES if _encodable(_FRAMES, stream) == _FRAMES else _PLAIN_FRAMES)
        self._text = ""
        self._attempt = 1
        self._due: asyncio.TimerHandle | None = None
        self._is_drawn = False

    def start(self) -> None:
        """Draw it, and again and again until it ends. May be called twice."""
        if self._due is None:
            self._text, self._attempt = _FIRST, 1
            set_status_line(self)
            self._draw()

    def show(self, event: ev.Event) -> None:
        """Say what the event means."""
        match event:
            case ev.SearchStarted(query=query):
                self._text = f"searching for {query}"
            case ev.Progress(text=text):
                self._text = f"thinking: {text}"
            case ev.Restarted():
                self._text = "trying again"
            case _ if self._text == _FIRST:
                self._text = "thinking"
            case _:
                pass  # what was said last goes on

    def retry(self, attempts: int) -> None:
        """Say that another attempt begins, until an event says more."""
        self._attempt += 1
        self._text = f"trying again {self._attempt} of {attempts}"

    def erase(self) -> None:
        """Make room for a line of something else; it is drawn again below that."""
        if self._is_drawn:
            self._is_drawn = False
            self._write(_ERASE)

    def end(self) -> None:
        """Erase it, and draw it no more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self.erase()
        set_status_line(None)

    def _draw(self) -> None:
        text = _encodable(f"{next(self._frames)} {one_line(self._text)}", self._stream)
        self._write(f"{_ERASE}{_DIM}{_cut(text, _width(self._stream))}{_RESET}")
        self._is_drawn = True
        self._due = asyncio.get_running_loop().call_later(self._frame_s, self._draw)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # nobody looks any more
            pass


def new_status() -> Status:
    """The status line on stderr, if a person sees it there."""
    if not is_terminal(sys.stderr) or is_dumb():
        return NO_STATUS
    return StatusLine(sys.stderr)


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 80


def _cut(text: str, width: int) -> str:
    """The text on one line of a terminal, whose last column stays free: a cursor there may begin another line."""
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - as all of rich

    room = max(1, width - 1)
    return text if cell_len(text) <= room else f"{set_cell_size(text, max(1, room - 3))}..."[:room]


def _encodable(text: str, stream: TextIO) -> str:
    """The text as the stream writes it: an escape is longer than the character."""
    encoding = stream.encoding or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def with_retries_shown(client: BingClient, status: Status) -> BingClient:
    """The same client, whose further attempts are shown. Close the one that was given."""
    retries = client.retries
    sleep = retries.sleep or asyncio.sleep

    async def wait(seconds: float) -> None:
        status.retry(retries.attempts)
        await sleep(seconds)

    return client.with_options(retries=msgspec.structs.replace(retries, sleep=wait))
