"""Signs of life."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import Callable

import msgspec
import pytest

from bing_llm import events as ev
from bing_llm.cli import status as module
from bing_llm.cli.status import NO_STATUS, Status, StatusLine, new_status, with_retries_shown
from bing_llm.cli.streams import print_to_stderr
from bing_llm.cli.view import JsonView, TextView, View
from bing_llm.client import BingClient
from bing_llm.errors import ConnectionFailed
from bing_llm.limits import Retries
from tests.cli.screen import Screen


class ScreenFile(io.StringIO):
    """A terminal as a file."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self.screen = Screen()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What it can show."""
        return self._encoding

    def write(self, text: str) -> int:
        """Show the text."""
        return self.screen.write(text)


def shown(*events: ev.Event, encoding: str = "utf-8") -> list[str]:
    """What the line says at first, and after each event; without the spinner."""
    terminal = ScreenFile(encoding)
    lines: list[str] = []

    async def turn() -> None:
        status = StatusLine(terminal, frame_s=0)
        status.start()
        status.start()
        lines.append(terminal.screen.lines[0])
        for event in events:
            status.show(event)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            lines.append(terminal.screen.lines[0])
        status.end()
        status.end()
        assert terminal.screen.lines == [""]

    asyncio.run(turn())
    return [line.partition(" ")[2] for line in lines]


def test_it_says_what_happens() -> None:
    """And nothing of it is left at the end."""
    assert (
        shown(
            ev.Quota(1, 30),
            ev.SearchStarted("tides"),
            ev.SearchResults(()),
            ev.Progress("Reading pages"),
            ev.Restarted("lost"),
            ev.Unknown({}),
        )
        == ["connecting", "thinking", "searching for tides", "searching for tides", "thinking: Reading pages"]
        + ["trying again"] * 2
    )


@pytest.mark.parametrize("text", ["x" * 200, "漢" * 100, "a\nb\x1b[2J\r\u202e" + "y" * 200])
def test_it_is_one_line(text: str) -> None:
    """However long, wide or hostile the words are; nothing would erase a second line."""
    terminal = ScreenFile()

    async def turn() -> None:
        status = StatusLine(terminal, frame_s=0)
        status.start()
        status.show(ev.SearchStarted(text))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(terminal.screen.lines) == 1
        assert terminal.screen.lines[0].endswith("...")
        status.end()

    asyncio.run(turn())
    assert terminal.screen.lines == [""]


def test_a_terminal_that_knows_few_characters_gets_those() -> None:
    """Else each picture of the spinner would be an escape."""
    assert shown(ev.SearchStarted("é"), encoding="ascii") == ["connecting", "searching for \\xe9"]


def test_other_lines_go_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning during the wait is not mixed up with it."""
    terminal = ScreenFile()
    monkeypatch.setattr(sys, "stderr", terminal)

    async def turn() -> None:
        status = StatusLine(terminal, frame_s=0)
        status.start()
        print_to_stderr("WARNING careful")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert terminal.screen.lines[0] == "WARNING careful"
        assert terminal.screen.lines[1].endswith("connecting")
        status.end()
        print_to_stderr("and done")

    asyncio.run(turn())
    assert terminal.screen.lines == ["WARNING careful", "and done"]


@pytest.mark.parametrize(("kind", "first"), [(TextView, ev.Progress("x")), (JsonView, None)])
@pytest.mark.usefixtures("capsys")
def test_text_ends_it(kind: Callable[[Status], View], first: ev.Event | None) -> None:
    """Whatever shows the text: before the first of it comes, the line is gone."""
    terminal = ScreenFile()

    async def turn() -> None:
        status = StatusLine(terminal, frame_s=0)
        with kind(status) as view:
            status.start()
            if first is not None:
                view.show(first)
            assert terminal.screen.lines != [""]
            view.show(ev.TextDelta("Hi"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert terminal.screen.lines == [""]

    asyncio.run(turn())


def test_a_terminal_that_is_gone_is_no_failure() -> None:
    """The answer may still reach its file."""

    class Gone(ScreenFile):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    async def turn() -> None:
        status = StatusLine(Gone())
        status.start()
        status.end()

    asyncio.run(turn())


@pytest.mark.parametrize(
    ("is_terminal", "term", "draws"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_only_a_person_sees_it(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, term: str, draws: bool) -> None:
    """In a pipe, or on a terminal that cannot erase a line, there is none."""
    monkeypatch.setattr(module, "is_terminal", lambda _stream: is_terminal)
    monkeypatch.setenv("TERM", term)
    assert (new_status() is not NO_STATUS) is draws


def test_its_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is none has 80 columns."""
    assert module._width(io.StringIO()) == 80
    monkeypatch.setattr(os, "get_terminal_size", lambda _file: os.terminal_size((20, 5)))
    with open(os.devnull) as stream:  # noqa: PTH123 - a device
        assert module._width(stream) == 20


class Recording:
    """A status that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[int] = []

    def start(self) -> None:
        """Nothing."""

    def show(self, event: ev.Event) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def retry(self, attempts: int) -> None:
        """Keep it."""
        self.said.append(attempts)


async def test_further_attempts_are_shown() -> None:
    """Of a turn, and of the creation of a conversation; the waits stay as they are."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    recording = Recording()
    retries = Retries(sleep=sleep, jitter=lambda: 0.5)
    async with BingClient(endpoint="http://127.0.0.1:9", retries=retries) as client:
        shown_client = with_retries_shown(client, recording)
        with pytest.raises(ConnectionFailed):
            await shown_client.ask("Hi")
        assert msgspec.structs.replace(shown_client.retries, sleep=sleep) == retries
    assert recording.said == [5] * 4
    assert len(waits) == 4


def test_they_are_counted_from_the_second_on() -> None:
    """And each turn begins with the first."""
    terminal = ScreenFile()
    lines: list[str] = []

    async def turns() -> None:
        status = StatusLine(terminal, frame_s=0)
        for _ in range(2):
            status.start()
            for _ in range(2):
                status.retry(5)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                lines.append(terminal.screen.lines[0].partition(" ")[2])
            status.end()

    asyncio.run(turns())
    assert lines == ["trying again 2 of 5", "trying again 3 of 5"] * 2
