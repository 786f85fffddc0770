"""Where the messages of a chat come from."""

from __future__ import annotations

import builtins
import io
import os
import sys

import pytest

from bing_llm.cli import input as module
from bing_llm.cli.input import (
    Entry,
    LineInput,
    entry_of,
    is_open,
    mark_pastes,
    quiet_keyboard,
    read_piped_line,
    read_typed_line,
)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("Hi", Entry("Hi")),
        ("Hi ", Entry("Hi")),
        ("/quit", Entry("/quit")),
        (" /quit", Entry("/quit", is_literal=True)),
        (" 1", Entry("1", is_literal=True)),
        ('"""/quit"""', Entry("/quit", is_literal=True)),
        ('"""\n  a\n\n b\n"""', Entry("  a\n\n b", is_literal=True)),
        ('"""', Entry("", is_literal=True)),
        ('say """a"""', Entry('say """a"""')),
    ],
)
def test_what_a_text_means(text: str, entry: Entry) -> None:
    """Quotes and a blank at the beginning make it a message, whatever it looks like."""
    assert entry_of(text) == entry


def test_what_was_pasted_stays_as_it_is() -> None:
    """Indentation too."""
    assert entry_of("  /a\n", is_literal=True) == Entry("  /a\n", is_literal=True)


def test_quotes_that_are_open() -> None:
    """They stand at the beginning, and are closed at the end."""
    assert all(map(is_open, ('"""', '"""a', ' """a\nb')))
    assert not any(map(is_open, ('"""a"""', '""""""', 'a"""', "")))


def test_lines_become_entries() -> None:
    """A line each, or several between quotes; the end of the input ends them."""
    prompts: list[str] = []
    lines = iter(["one", '"""two', "", 'three"""', '"""four', "five"])

    def read_line(prompt: str) -> str | None:
        prompts.append(prompt)
        return next(lines, None)

    source = LineInput(read_line)
    assert [source.read() for _ in range(4)] == [
        Entry("one"),
        Entry("two\n\nthree", is_literal=True),
        Entry("four\nfive", is_literal=True),
        None,
    ]
    assert prompts == ["> ", "> ", ". ", ". ", "> ", ". ", ". ", "> "]
    assert not source.edit_next()


def test_lines_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """They lose their ends, and nothing else; a closed stdin has none."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(" one \r\n\ntwo"))
    assert [read_piped_line("> ") for _ in range(4)] == [" one ", "", "two", None]
    monkeypatch.setattr(sys, "stdin", None)
    assert read_piped_line("> ") is None


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_lines_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], end: type[BaseException]
) -> None:
    """Ctrl-D and Ctrl-C leave, on a line of their own."""

    def leave(_prompt: str) -> str:
        raise end

    monkeypatch.setattr(builtins, "input", lambda prompt: f"{prompt}Hi")
    assert read_typed_line("> ") == "> Hi"
    monkeypatch.setattr(builtins, "input", leave)
    assert read_typed_line("> ") is None
    assert capsys.readouterr().out == "\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
def test_the_keyboard_is_quiet_during_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed is not shown, and a paste is marked; afterwards all is as it was."""
    import pty  # noqa: PLC0415 - Windows has none
    import termios  # noqa: PLC0415 - as above

    end, its_end = pty.openpty()
    with os.fdopen(its_end, "r") as stdin, os.fdopen(os.dup(its_end), "w") as stdout, os.fdopen(end, "rb", 0) as screen:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        before = termios.tcgetattr(stdin.fileno())
        with quiet_keyboard():
            assert not termios.tcgetattr(stdin.fileno())[3] & (termios.ECHO | termios.ICANON)
            assert termios.tcgetattr(stdin.fileno())[3] & termios.ISIG
            mark_pastes()
        assert termios.tcgetattr(stdin.fileno()) == before
        assert screen.read(99) == b"\x1b[?2004h\x1b[?2004l"


def test_without_a_terminal_there_is_no_keyboard(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written into a pipe."""
    with quiet_keyboard():
        mark_pastes()
    assert capsys.readouterr().out == ""


def test_a_system_without_such_terminals_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Windows shows what is typed."""
    monkeypatch.setattr(module, "is_terminal", lambda _stream: True)
    monkeypatch.setitem(sys.modules, "termios", None)
    with quiet_keyboard():
        pass
    assert capsys.readouterr().out == ""
