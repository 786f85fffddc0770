"""The editor for the messages of a chat."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from bing_llm.cli.chat import COMMANDS
from bing_llm.cli.input import Entry
from bing_llm.cli.prompt import PromptInput

ENTER, ALT_ENTER, CTRL_C, CTRL_D, CTRL_R, UP, BACKSPACE = "\r", "\x1b\r", "\x03", "\x04", "\x12", "\x1b[A", "\x7f"
EDITOR = "\x18\x05"  # Ctrl-X Ctrl-E


def paste(text: str) -> str:
    """What a terminal sends for a paste; its lines end as those of the Enter key do."""
    return f"\x1b[200~{text}\x1b[201~".replace("\n", "\r")


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    """A keyboard."""
    with create_pipe_input() as made:
        yield made


def prompt(keys: PipeInput, history: Path | None = None) -> PromptInput:
    """An editor that these keys control."""
    return PromptInput(COMMANDS, history=None if history is None else str(history), source=keys, output=DummyOutput())


@pytest.mark.parametrize(
    ("typed", "entry"),
    [
        (f"Hi{ENTER}", Entry("Hi")),
        (f"/new{ENTER}", Entry("/new")),
        (f"1{ENTER}", Entry("1")),
        (f"one{ALT_ENTER}two{ENTER}", Entry("one\ntwo")),
        (f'"""one{ENTER}/two"""{ENTER}', Entry("one\n/two", is_literal=True)),
        (paste("one\ntwo\n/quit\n1\nfive\nsix") + ENTER, Entry("one\ntwo\n/quit\n1\nfive\nsix", is_literal=True)),
        (paste("1") + ENTER, Entry("1", is_literal=True)),
        (paste("/quit") + ENTER, Entry("/quit", is_literal=True)),
        (paste('"""a') + ENTER, Entry('"""a', is_literal=True)),
        (paste("  indented\n") + ENTER, Entry("  indented\n", is_literal=True)),
        (f"/save {paste('a.md')}{ENTER}", Entry("/save a.md")),
        (f"Look: {paste('/etc')}{ENTER}", Entry("Look: /etc")),
        (f"{paste('1')}{BACKSPACE}1{ENTER}", Entry("1")),
        (f"wrong{CTRL_C}right{ENTER}", Entry("right")),
        (f"{paste('wrong')}{CTRL_C}/new{ENTER}", Entry("/new")),
    ],
)
def test_what_keys_make(keys: PipeInput, typed: str, entry: Entry) -> None:
    """Enter sends. What begins with a paste is a message, whatever it looks like, until the line is empty again."""
    keys.send_text(typed)
    assert prompt(keys).read() == entry


@pytest.mark.parametrize("typed", [CTRL_D, CTRL_C, f"x{CTRL_C}{CTRL_C}"])
def test_the_user_leaves(keys: PipeInput, typed: str) -> None:
    """By Ctrl-D, and by Ctrl-C where nothing is typed."""
    keys.send_text(typed)
    assert prompt(keys).read() is None


def test_the_terminal_may_go_away(keys: PipeInput) -> None:
    """That ends the input."""
    keys.close()
    assert prompt(keys).read() is None


# --- history ----------------------------------------------------------------------------------------------------------


def test_earlier_entries_come_back(keys: PipeInput, tmp_path: Path) -> None:
    """In the next chat too, with all their lines, by Up and by Ctrl-R."""
    file = tmp_path / "history"
    first = prompt(keys, file)
    for typed in (f"one{ALT_ENTER}more{ENTER}", f"two{ENTER}", f"{UP}{UP}{ENTER}"):
        keys.send_text(typed)
        entry = first.read()
    assert entry == Entry("one\nmore")
    second = prompt(keys, file)
    keys.send_text(f"{CTRL_R}tw{ENTER}{ENTER}")
    assert second.read() == Entry("two")


def test_what_comes_back_means_the_same(keys: PipeInput, tmp_path: Path) -> None:
    """A pasted command is not obeyed the second time; other text comes back as it was."""
    editor = prompt(keys, tmp_path / "history")
    for typed, entry in (
        (paste("/quit") + ENTER, Entry("/quit", is_literal=True)),
        (UP + ENTER, Entry("/quit", is_literal=True)),
        (paste("1") + ENTER, Entry("1", is_literal=True)),
        (UP + ENTER, Entry("1", is_literal=True)),
        (paste("text") + ENTER, Entry("text", is_literal=True)),
        (UP + ENTER, Entry("text")),
        (f"/new{ENTER}", Entry("/new")),
        (f"{paste('x')}{UP}{ENTER}", Entry("/new")),
    ):
        keys.send_text(typed)
        assert editor.read() == entry


def test_without_a_file_it_lasts_as_long_as_the_chat(keys: PipeInput) -> None:
    """For users who log nothing."""
    editor = prompt(keys)
    for typed in (f"one{ENTER}", UP + ENTER):
        keys.send_text(typed)
        assert editor.read() == Entry("one")


def test_a_very_long_entry_is_not_kept(keys: PipeInput, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each chat would load it."""
    monkeypatch.setattr("bing_llm.cli.prompt._LONGEST_KEPT", 99)
    file = tmp_path / "history"
    keys.send_text(paste("x" * 100) + ENTER)
    assert prompt(keys, file).read()
    assert not file.exists()


@pytest.mark.parametrize("trouble", ["a folder", "not text"])
def test_a_history_that_cannot_be_used_breaks_nothing(keys: PipeInput, tmp_path: Path, trouble: str) -> None:
    """The chat goes on without."""
    file = tmp_path / "history"
    if trouble == "a folder":
        file.mkdir()
    else:
        file.write_bytes(b"+\xff\x00\x1b[2J\n" * 3)
    editor = prompt(keys, file)
    for _ in range(2):
        keys.send_text(f"one{ENTER}")
        assert editor.read() == Entry("one")


# --- the editor and Tab -----------------------------------------------------------------------------------------------


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's editor: it writes a message, and keeps what it was given."""
    script = tmp_path / "editor"
    script.write_text(f'#!/bin/sh\ncat "$1" >{tmp_path}/given\nprintf "/etc is\\na folder\\n" >"$1"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(script))
    return tmp_path / "given"


class Later:
    """A keyboard on which a key is pressed when the editor has ended."""

    def __init__(self, keys: PipeInput, made: PromptInput) -> None:
        self._keys = keys
        made._session.default_buffer.on_text_changed += self._changed

    def _changed(self, buffer: object) -> None:
        if "folder" in getattr(buffer, "text", ""):
            self._keys.send_text(ENTER)


@pytest.mark.parametrize("asked", [False, True], ids=["by keys", "by /edit"])
def test_a_message_is_written_in_the_editor(keys: PipeInput, editor: Path, tmp_path: Path, *, asked: bool) -> None:
    """It begins with what is typed, is shown before it is sent, and is a message whatever it looks like."""
    history = tmp_path / "history"
    history.write_text("\n+older\n\n+newer\n")
    made = prompt(keys, history)
    Later(keys, made)
    if asked:
        assert made.edit_next()
    else:
        keys.send_text(f"typed{EDITOR}")
    assert made.read() == Entry("/etc is\na folder", is_literal=True)
    assert editor.read_text() == ("" if asked else "typed")


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("/", list(COMMANDS)),
        ("/s", ["/save"]),
        ("/save ", ["b.md"]),
        ("/image a", [".png"]),
        ("Hello /s", []),
        ("", []),
    ],
)
def test_tab_completes_commands_and_paths(
    keys: PipeInput, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, offered: list[str]
) -> None:
    """At the beginning of an entry only."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.md").write_text("")
    if "image" in text:
        (tmp_path / "a.png").write_text("")
    completer = prompt(keys)._session.completer
    assert completer is not None
    assert [each.text for each in completer.get_completions(Document(text), CompleteEvent())] == offered


def test_a_pasted_command_is_marked(keys: PipeInput) -> None:
    """Else a user might wait for it to be obeyed."""
    made = prompt(keys)
    seen: list[str] = []
    made._session.default_buffer.on_text_changed += lambda _: seen.append(made._remark())
    keys.send_text(f"{paste('/new')}{ENTER}")
    made.read()
    assert seen[0] == "sent as text"
    keys.send_text(f"/new{ENTER}")
    seen.clear()
    made.read()
    assert not any(seen)
