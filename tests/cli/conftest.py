"""What the tests of the command line share."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from bing_llm import events as ev
from bing_llm.cli import main
from bing_llm.emulator import Emulator, Question

# A controlling terminal and its Ctrl-C are POSIX's; Windows has no such module as `pty`.
collect_ignore = ["test_terminal.py", "test_people.py"] if os.name == "nt" else []


class Outcome(msgspec.Struct, frozen=True):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


class Interrupting:
    """A brain in whose every answer the user presses Ctrl-C."""

    async def answer(self, _question: Question) -> AsyncIterator[ev.Event]:
        """Begin, and never end."""
        yield ev.TextDelta("It begins")
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Undo what a command does to logging, as the end of its process would."""
    logger = logging.getLogger("bing_llm")
    before = logger.level, logger.handlers
    yield
    logger.level, logger.handlers = before


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the state folder is: an empty one for each test."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `bing-llm` in this process; its standard streams are not a terminal."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def service(bing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, as the service that the environment names."""
    monkeypatch.setenv("BING_LLM_BACKEND", "chathub")
    monkeypatch.setenv("BING_LLM_ENDPOINT", bing_emulator.url)
    return bing_emulator
