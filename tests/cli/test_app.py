"""The commands, their options and their help."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from bing_llm._version import __version__
from bing_llm.config import NOT_CONFIGURED
from bing_llm.emulator import Emulator, Scripted
from tests.cli.conftest import Outcome

Command = Callable[..., Outcome]


def test_version(command: Command) -> None:
    """--version shows the package's version."""
    assert command("--version") == Outcome(0, f"bing-llm {__version__}\n", "")


@pytest.mark.parametrize("name", [(), ("ask",), ("chat",), ("emulator",)])
def test_help_ends_with_exit_codes_and_where_secrets_go(command: Command, name: tuple[str, ...]) -> None:
    """Each --help tells the exit codes, and that secrets come from the environment alone."""
    done = command(*name, "--help")
    words = " ".join(done.out.split())
    assert (done.code, done.err) == (0, "")
    assert "Exit codes: 0 ok; 1 the service refused" in words
    assert "Secrets are taken from the environment only (BING_COOKIES)" in words


@pytest.mark.parametrize("name", ["ask", "chat", "emulator"])
def test_no_option_takes_a_secret(command: Command, name: str) -> None:
    """There is no option for cookies, tokens or keys: lists of processes show those."""
    options = [word for word in command(name, "--help").out.split() if word.startswith("--")]
    assert options
    assert not [option for option in options if any(secret in option for secret in ("cookie", "token", "key"))]


@pytest.mark.parametrize(
    "arguments", [("ask",), ("ask", "a", "b"), ("aks", "a"), ("chat", "--nope"), ("emulator", "--port", "x")]
)
def test_a_mistake_in_the_command_line_is_told(command: Command, arguments: tuple[str, ...]) -> None:
    """What cannot be understood is told on stderr, and the exit code is 2."""
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Error: " in done.err


def test_options_come_before_the_environment(
    command: Command, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--backend and --endpoint replace what the environment says."""
    monkeypatch.setenv("BING_LLM_BACKEND", "nonsense")
    monkeypatch.setenv("BING_LLM_ENDPOINT", "http://127.0.0.1:1")
    service.brain = Scripted([["Hello."]])
    assert command("ask", "Hi", "--backend", "chathub", "--endpoint", service.url) == Outcome(0, "Hello.\n", "")


def test_the_emulator_needs_nothing(command: Command) -> None:
    """On a machine without any setting `--backend emulator` answers."""
    done = command("ask", "--backend", "emulator", "Hello")
    assert (done.code, done.err) == (0, "")
    assert done.out.strip()


@pytest.mark.parametrize("name", ["ask", "chat"])
def test_verbose_logs_to_stderr(
    command: Command, service: Emulator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """--verbose shows the frames on stderr, without cookies and on printable lines; stdout stays the answer's."""
    monkeypatch.setenv("BING_COOKIES", "_U=very-secret-value")
    service.brain = Scripted([["Hello."]])
    done = command(*((name, "Hi", "--verbose") if name == "ask" else (name, "--verbose")), stdin=b"Hi\n")
    assert done.code == 0
    assert done.out.startswith("Hello.\n")
    assert "DEBUG bing_llm.backends.chathub" in done.err
    assert "very-secret-value" not in done.err
    assert done.err.replace("\n", "").replace("\t", "").isprintable()
    assert logging.getLogger("bing_llm").level == logging.DEBUG


def test_a_chat_needs_a_configuration_too(command: Command) -> None:
    """A chat on a machine without any setting ends at once with the five lines."""
    assert command("chat") == Outcome(2, "", NOT_CONFIGURED + "\n")
