"""The editor for the messages of a chat in a terminal. It needs prompt_toolkit, which takes a moment to load."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.application.current import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output, create_output

from bing_llm.cli.input import QUOTES, Entry, entry_of, is_open
from bing_llm.cli.streams import is_terminal

_TAKE_PATHS = ("/image ", "/save ")
_PROMPT = ("fg:ansidefault", "> ")  # with a colour, so that its blank is written, too, not only jumped over
_LONGEST_KEPT = 100_000  # characters of an entry of the history: no service takes more, and each start loads all


class PromptInput:
    """Entries that are edited in a terminal.

    Enter sends, Alt-Enter begins a line. What is pasted is one entry, and a message whatever it looks like. Up and
    Ctrl-R bring back earlier entries, Ctrl-X Ctrl-E opens the user's editor, Tab completes commands.

    Args:
        commands: The commands, for Tab.
        history: The file with earlier entries; None keeps them while the chat lasts.
        source: Where the keys come from; None for the terminal.
        output: Where it is drawn; None for the terminal.
    """

    def __init__(
        self,
        commands: Sequence[str],
        *,
        history: str | None = None,
        source: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self._pasted: set[int] = set()  # the entries that begin with a paste, or come from the editor
        self._was_literal = False
        self._edits_next = False
        self._session: PromptSession[str] = PromptSession(
            [_PROMPT],
            multiline=True,
            prompt_continuation="  ",
            history=_History(self, InMemoryHistory() if history is None else FileHistory(history)),
            key_bindings=self._keys(),
            completer=_Commands(commands),
            complete_while_typing=False,
            search_ignore_case=True,
            enable_suspend=True,
            rprompt=self._remark,
            tempfile_suffix=".md",
            input=source,
            output=_terminal() if output is None else output,
        )
        self._session.default_buffer.on_text_changed += self._text_changed

    def read(self) -> Entry | None:
        """The next entry; None if the user leaves."""
        self._pasted.clear()
        edits, self._edits_next = self._edits_next, False
        try:
            text = self._session.prompt(pre_run=self._open_editor if edits else None)
        except (EOFError, KeyboardInterrupt):
            return None
        return entry_of(text, is_literal=self._was_literal)

    def edit_next(self) -> bool:
        """Open the editor for the next entry, which is then shown before it is sent."""
        self._edits_next = True
        return True

    def kept(self, text: str) -> str:
        """The text as the history keeps it: brought back, it means the same."""
        return f" {text}" if self._was_literal and _has_meaning(text) else text

    def _is_literal(self, buffer: Buffer) -> bool:
        return _place(buffer) in self._pasted

    def _text_changed(self, buffer: Buffer) -> None:
        if not buffer.text:
            self._pasted.discard(_place(buffer))

    def _remark(self) -> str:
        buffer = self._session.default_buffer
        return "sent as text" if _has_meaning(buffer.text) and self._is_literal(buffer) else ""

    def _open_editor(self) -> None:
        buffer = get_app().current_buffer
        self._pasted.add(_place(buffer))
        buffer.open_in_editor()

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        in_entry = has_focus(DEFAULT_BUFFER)  # not in the line of Ctrl-R

        @keys.add("enter", filter=in_entry)
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if not self._is_literal(buffer) and is_open(buffer.text):
                buffer.newline(copy_margin=False)
                return
            self._was_literal = self._is_literal(buffer)
            buffer.validate_and_handle()

        @keys.add("escape", "enter", filter=in_entry)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.newline(copy_margin=False)

        @keys.add(Keys.BracketedPaste, filter=in_entry)
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if not buffer.document.text_before_cursor.strip():
                self._pasted.add(_place(buffer))
            buffer.insert_text(event.data.replace("\r\n", "\n").replace("\r", "\n"))

        @keys.add("c-x", "c-e", filter=in_entry)
        def _(_event: KeyPressEvent) -> None:
            self._open_editor()

        @keys.add("c-c", filter=in_entry)
        def _(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
                self._pasted.clear()
            else:
                event.app.exit(exception=KeyboardInterrupt)

        return keys


def _place(buffer: Buffer) -> int:
    """Which of the entries that Up brings back is edited, counted from the newest one; 0 for a new one.

    The history is loaded before these lines, after the first drawing. So the index from the beginning changes.
    """
    return len(buffer._working_lines) - 1 - buffer.working_index  # noqa: SLF001 - nothing public counts them


def _has_meaning(text: str) -> bool:
    """Whether a text that was typed would be more than a message: a command, a suggestion's number, or quoted."""
    return text.startswith(("/", QUOTES)) or (len(text.strip()) == 1 and text.strip().isdigit())


class _History(History):
    """The entries, as `PromptInput` keeps them. A disk that is full or away costs an entry, not the chat."""

    def __init__(self, owner: PromptInput, kept: History) -> None:
        super().__init__()
        self._owner = owner
        self._kept = kept

    def append_string(self, string: str) -> None:
        """Keep an entry."""
        super().append_string(self._owner.kept(string))

    def load_history_strings(self) -> Iterable[str]:
        """The entries, the newest first."""
        try:
            yield from self._kept.load_history_strings()
        except OSError:
            return

    def store_string(self, string: str) -> None:
        """Keep an entry for later chats."""
        if len(string) > _LONGEST_KEPT:
            return
        try:
            self._kept.store_string(string.encode("utf-8", "replace").decode())
        except OSError:
            return


class _Commands(Completer):
    """The commands of a chat, and the paths that two of them take."""

    def __init__(self, commands: Sequence[str]) -> None:
        self._commands = commands
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What Tab offers."""
        text = document.text_before_cursor
        for command in _TAKE_PATHS:
            if text.startswith(command):
                rest = text.removeprefix(command).lstrip()
                yield from self._paths.get_completions(Document(rest), complete_event)
                return
        if text.startswith("/"):
            yield from (Completion(name, start_position=-len(text)) for name in self._commands if name.startswith(text))


def _terminal() -> Output:
    """Stdout; if that leads to a file, stderr."""
    output = create_output(stdout=sys.stdout if is_terminal(sys.stdout) else sys.stderr)
    if hasattr(output, "enable_cpr"):  # not Windows
        # Some terminals do not answer where the cursor is, and get a warning. An answer that is late is read as keys.
        output.enable_cpr = False
    return output
