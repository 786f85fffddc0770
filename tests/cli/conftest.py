"""What the tests of the command line share."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping

import msgspec
import pytest
from typer.testing import CliRunner

from bing_llm.cli.app import app
from bing_llm.emulator import Emulator

# A controlling terminal and its Ctrl-C are POSIX's; Windows has no such module as `pty`.
collect_ignore = ["test_terminal.py"] if os.name == "nt" else []


class Outcome(msgspec.Struct, frozen=True):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Undo what a command does to logging, as the end of its process would."""
    logger = logging.getLogger("bing_llm")
    before = logger.level, logger.handlers
    yield
    logger.level, logger.handlers = before


@pytest.fixture
def command() -> Callable[..., Outcome]:
    """Runs `bing-llm` in this process; stdin and stdout are no terminal."""

    def run(*arguments: str, stdin: str | bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
        done = CliRunner(env=env).invoke(app, list(arguments), input=stdin, catch_exceptions=False)
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def service(bing_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, as the service that the environment names."""
    monkeypatch.setenv("BING_LLM_BACKEND", "chathub")
    monkeypatch.setenv("BING_LLM_ENDPOINT", bing_emulator.url)
    return bing_emulator
