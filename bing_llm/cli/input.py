"""Where the messages of a chat come from: a terminal, or a pipe. `bing_llm.cli.prompt` has the editor of a terminal.

A message that begins with three double quotes goes on over several lines, until a line ends with three more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import msgspec

from bing_llm.cli.streams import is_dumb, is_terminal

QUOTES = '"""'
_MARK_PASTE, _LEAVE_PASTE = "\x1b[?2004h", "\x1b[?2004l"


class Entry(msgspec.Struct, frozen=True):
    """What the user has entered.

    Attributes:
        text: The text.
        is_literal: Whether it is a message whatever it looks like: it was pasted, quoted, or written in an editor.
    """

    text: str
    is_literal: bool = False


class MessageInput(Protocol):
    """Gives one entry after another."""

    def read(self) -> Entry | None:
        """The next entry; None at the end of the input, and if the user leaves."""

    def edit_next(self) -> bool:
        """Open the user's editor for the next entry; False if that cannot be done here."""


class LineInput:
    """Entries of a line, or of several between quotes.

    Args:
        read_line: Gives the next line without its end; None if there is no more. It is given the prompt.
    """

    def __init__(self, read_line: Callable[[str], str | None]) -> None:
        self._read_line = read_line

    def read(self) -> Entry | None:
        """The next entry. The end of the input ends an open quotation."""
        text = self._read_line("> ")
        while text is not None and is_open(text):
            line = self._read_line(". ")
            if line is None:
                break
            text += f"\n{line}"
        return None if text is None else entry_of(text)

    def edit_next(self) -> bool:
        """Not here."""
        return False


def is_open(text: str) -> bool:
    """Whether the text begins with quotes that are not closed."""
    stripped = text.strip()
    return stripped.startswith(QUOTES) and not (len(stripped) >= 2 * len(QUOTES) and stripped.endswith(QUOTES))


def entry_of(text: str, *, is_literal: bool = False) -> Entry:
    """The entry that a text means: what is between quotes is literal, and so is what begins with a blank."""
    if is_literal:
        return Entry(text, is_literal=True)
    stripped = text.strip()
    if stripped.startswith(QUOTES):
        return Entry(stripped.removeprefix(QUOTES).removesuffix(QUOTES).strip("\n"), is_literal=True)
    return Entry(stripped, is_literal=text[:1].isspace())


def read_piped_line(_prompt: str) -> str | None:
    """The next line of stdin; None at its end."""
    line = sys.stdin.readline() if sys.stdin is not None else ""
    return line.rstrip("\r\n") if line else None


def read_typed_line(prompt: str) -> str | None:
    """The next line of a terminal that can do little; None if the user leaves."""
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        print()
        return None


@contextmanager
def quiet_keyboard() -> Iterator[None]:
    """Keep what is typed or pasted while nothing is read, unseen, for the next entry; Ctrl-C stays.

    It would be shown in the middle of an answer. It is for the whole chat: at a change of modes, a terminal may take a
    Ctrl-D for the end of a line.
    """
    if not _is_edited():
        yield
        return
    try:
        import termios  # noqa: PLC0415 - Windows has none
    except ImportError:
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    quiet = [*before]
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(keyboard, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        _write(_LEAVE_PASTE)
        termios.tcsetattr(keyboard, termios.TCSANOW, before)


def mark_pastes() -> None:
    """Let the terminal say where a paste begins and ends while nothing is read: its lines would be entries each."""
    if _is_edited():
        _write(_MARK_PASTE)


def _is_edited() -> bool:
    """Whether entries are edited in this terminal, which goes on to be used for answers."""
    return is_terminal(sys.stdin) and is_terminal(sys.stdout) and not is_dumb()


def _write(text: str) -> None:
    with suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()
