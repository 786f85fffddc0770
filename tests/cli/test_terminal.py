"""The command in a terminal of its own. POSIX only: Windows has no pseudo-terminals for this (see conftest.py)."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Question
from tests.cli.screen import Screen

PATIENCE_S = 60.0
"""Far beyond what any step needs: reached only by one that hangs."""

CTRL_C, CTRL_D = b"\x03", b"\x04"

# Ctrl-C comes from the terminal that controls the process, so the process takes its own for that first.
START = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from bing_llm.cli import main
main()
"""


def environment() -> dict[str, str]:
    """The environment of the test, without asyncio's debug mode, which logs slow steps."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}


class Endless:
    """A brain that says two paragraphs and then nothing, until it is stopped."""

    async def answer(self, question: Question) -> AsyncIterator[ev.Event]:
        """Begin, and never end."""
        yield ev.TextDelta(f"Turn {question.number} begins.\n\nIt **goes on")
        yield ev.TextDelta("** with [^1^]\x1b[2J")
        await asyncio.Event().wait()


class Terminal:
    """A process in a pseudo-terminal of 80 times 24: what it writes, and a keyboard."""

    def __init__(self, *arguments: str) -> None:
        self._end, its_end = pty.openpty()
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", START, *arguments],
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            start_new_session=True,
            env={**environment(), "TERM": "xterm", "INPUTRC": os.devnull, "PYTHONUTF8": "1"},
        )
        os.close(its_end)
        self._written = b""
        self._seen = 0

    def until(self, marker: bytes) -> bytes:
        """Read until this is written, after the last marker; what was written from there on."""
        while (found := self._written.find(marker, self._seen)) < 0:
            assert self._more(), f"it ended before {marker!r}: {self._written[self._seen :]!r}"
        before, self._seen = self._seen, found + len(marker)
        return self._written[before : self._seen]

    def type(self, keys: bytes) -> None:
        """Press these keys."""
        os.write(self._end, keys)

    def end(self, again: bytes = b"") -> tuple[int, str]:
        """Wait for the end of the process: its exit code, and all that it wrote.

        Args:
            again: What to press when nothing happens for a while. Readline does not notice a Ctrl-C that comes right
                after it has shown its prompt; a person presses again.
        """
        while self._more(again):
            pass
        return self._process.wait(PATIENCE_S), self._written.decode()

    def _more(self, again: bytes = b"") -> bool:
        ready, _, _ = select.select([self._end], [], [], PATIENCE_S / 10 if again else PATIENCE_S)
        if not ready and again:
            self.type(again)
            ready, _, _ = select.select([self._end], [], [], PATIENCE_S)
        assert ready, f"it hangs after {self._written[self._seen :]!r}"
        try:
            piece = os.read(self._end, 65536)
        except OSError:  # so Linux tells that the other end is closed
            return False
        self._written += piece
        return bool(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)


@pytest.fixture
def endless(service: Emulator) -> Emulator:
    """The service, with answers that only a stop ends."""
    service.brain = Endless()
    return service


@pytest.mark.usefixtures("endless")
def test_ctrl_c_ends_a_question() -> None:
    """Ctrl-C during an answer ends `ask` with 130, with the text and without a traceback."""
    with Terminal("ask", "Hi") as terminal:
        terminal.until(b"with [^1^]\\u001b[2J")
        terminal.type(CTRL_C)
        code, written = terminal.end()
    assert code == 130
    screen = Screen()
    screen.write(written.replace("^C", ""))
    assert screen.lines == ["Turn 0 begins.", "", "It **goes on** with [^1^]\\u001b[2J"]


@pytest.mark.system
def test_ctrl_c_stops_an_answer_and_the_conversation_goes_on(endless: Emulator) -> None:
    """Ctrl-C during an answer stops it and keeps the conversation; Ctrl-D at the prompt leaves with 0."""
    with Terminal("chat") as terminal:
        for message in (b"one", b"two"):
            terminal.until(b"> ")
            terminal.type(message + b"\r")
            terminal.until(b"with [1]")
            terminal.type(CTRL_C)
            terminal.until(b"(stopped)")
        terminal.until(b"> ")
        terminal.type(CTRL_D)
        code, written = terminal.end()
    screen = Screen()
    screen.write(written)
    assert code == 0
    assert screen.cursor_shown
    assert screen.lines == [
        "bing-balanced on chathub. /help lists the commands, Ctrl-D leaves.",
        *("> one", "Turn 0 begins.", "", "It goes on with [1]\\u001b[2J", "(stopped)", "", "1 of 30 turns", ""),
        *("> two", "Turn 1 begins.", "", "It goes on with [1]\\u001b[2J", "(stopped)", "", "2 of 30 turns", "", ">"),
    ]
    assert [request.kind for request in endless.requests] == ["creation", "chat", "stop", "chat", "stop"]


@pytest.mark.system
@pytest.mark.usefixtures("service")
def test_ctrl_c_at_the_prompt_leaves() -> None:
    """Ctrl-C where nothing runs ends the chat with 0 and without a traceback."""
    with Terminal("chat") as terminal:
        terminal.until(b"> ")
        terminal.type(CTRL_C)
        code, written = terminal.end(again=CTRL_C)
    assert code == 0
    assert "Traceback" not in written


@pytest.mark.system
@pytest.mark.usefixtures("endless")
def test_ctrl_c_ends_a_batch(tmp_path: Path) -> None:
    """The progress gives way to what Ctrl-C said, and to the summary; the second one ends it with 130."""
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    with Terminal("batch", str(tmp_path / "rows.jsonl"), str(tmp_path / "answers.jsonl")) as terminal:
        terminal.until(b"0/2   0 %")
        terminal.type(CTRL_C)
        terminal.until(b"Ctrl-C again")
        terminal.type(CTRL_C)
        code, written = terminal.end()
    screen = Screen()
    screen.write(written.replace("^C", ""))
    assert code == 130
    assert screen.cursor_shown
    assert screen.lines[:2] == [
        "bing-llm: No further row is begun, and the open ones are ended. Ctrl-C again",
        "stops at once.",
    ]
    assert [line.split()[0] for line in screen.lines[2:]] == ["answered", "failed", "turns", "time", "It"]


@pytest.mark.system
def test_ctrl_c_ends_the_emulator() -> None:
    """The emulator runs until Ctrl-C, and ends with 0."""
    with Terminal("emulator", "--port", "0") as terminal:
        terminal.until(b"WORKIQ_TOKEN=")
        terminal.type(CTRL_C)
        code, written = terminal.end()
    assert code == 0
    assert "Traceback" not in written
