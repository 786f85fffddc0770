"""`bing-llm logs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bing_llm import events as ev
from bing_llm.cli.log import log_path
from bing_llm.cli.state import StateUnavailable
from bing_llm.emulator import Emulator, Scripted
from tests.cli.conftest import Command, Outcome


def test_they_are_listed_shown_and_searched(command: Command, service: Emulator) -> None:
    """A conversation is a line; as a whole it is Markdown with footnotes."""
    reply = ev.Reply(citations=(ev.Citation(1, "https://a.example", "A"),))
    service.brain = Scripted([["Moon [^1^].", ev.TurnCompleted(reply)], ["Sea."]])
    command("ask", "Why are there\ntides?")
    command("ask", "x" * 100)
    done = command("logs")
    assert (done.code, done.err) == (0, "")
    second, first = done.out.splitlines()
    assert first.startswith("    1  20")
    assert first.endswith("  chathub bing-balanced, 1 turn: Why are there tides?")
    assert second.endswith(f": {'x' * 57}...")
    assert command("logs", "list", "-n", "1").out == f"{second}\n"
    assert command("logs", "search", "MOON").out == f"{first}\n"
    assert command("logs", "search", "nothing like it") == Outcome(0, "", "No conversation has this text.\n")
    assert command("logs", "show", "1").out == (
        "# Conversation 1 with bing-balanced on chathub\n\n## You\n\nWhy are there\ntides?\n\n## Bing\n\n"
        "Moon [^1-1].\n\n[^1-1]: [A](<https://a.example>)\n"
    )
    assert command("logs", "show").out.startswith("# Conversation 2 ")


def test_without_a_conversation_they_say_so(command: Command) -> None:
    """An empty list is not a failure; a number that is not there is."""
    assert command("logs") == Outcome(0, "", "The log has no conversation yet.\n")
    assert command("logs", "show", "7").err == (
        "bing-llm: The log has no conversation 7. `bing-llm logs` lists them.\n"
    )
    done = command("logs", "show")
    assert (done.code, done.out) == (2, "")


def test_the_log_is_switched_off_and_on(command: Command, service: Emulator) -> None:
    """Off, nothing is logged unless a command asks for it; what is there stays."""
    service.brain = Scripted(lambda _: ["Hello."])
    assert command("logs", "off") == Outcome(0, "Conversations are not logged from now on.\n", "")
    command("ask", "one")
    assert command("logs") == Outcome(0, "", "The log is empty, and logging is off.\n")
    assert command("logs", "path") == Outcome(0, f"{log_path()}\n", "Logging is off.\n")
    command("ask", "two", "--log")
    command("chat", stdin=b"three\n")
    assert command("logs", "on") == Outcome(0, "Conversations are logged from now on.\n", "")
    command("chat", stdin=b"four\n")
    command("chat", "--no-log", stdin=b"five\n")
    assert [line.rpartition(": ")[2] for line in command("logs").out.splitlines()] == ["four", "two"]
    assert command("logs", "path") == Outcome(0, f"{log_path()}\n", "")


@pytest.mark.parametrize("arguments", [("logs",), ("logs", "show"), ("logs", "search", "x"), ("ask", "Hi", "-c")])
def test_a_log_that_cannot_be_read_is_an_error(command: Command, service: Emulator, arguments: tuple[str, ...]) -> None:
    """Of one line, with exit code 2, and nothing is sent."""
    log_path().parent.mkdir(parents=True)
    log_path().write_bytes(b"not a database" * 100)
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("bing-llm: The log cannot be ")
    assert done.err.count("\n") == 1
    assert not service.requests


@pytest.mark.parametrize("arguments", [("logs", "off"), ("logs", "on"), ("logs", "path"), ("logs",)])
def test_without_a_place_for_it_there_is_no_log(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """The error says why."""

    def no_folder() -> Path:
        raise StateUnavailable("there is no home folder.")

    for module in ("state", "log"):
        monkeypatch.setattr(f"bing_llm.cli.{module}.state_folder", no_folder)
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "bing-llm: The log cannot be used: there is no home folder. Without a log: --no-log, or bing-llm logs off.\n"
    )
