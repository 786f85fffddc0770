"""`bing-llm chat`: a conversation in a terminal, or with messages from a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.text import Text

from bing_llm import events as ev
from bing_llm._safe_text import escape, one_line
from bing_llm.cli.errors import ExitCode, print_error
from bing_llm.cli.input import (
    Entry,
    LineInput,
    MessageInput,
    mark_pastes,
    quiet_keyboard,
    read_piped_line,
    read_typed_line,
)
from bing_llm.cli.loop import Loop, RunningTurn
from bing_llm.cli.recorder import Beginning, Recorder, redactor_of
from bing_llm.cli.session import Exchange, Past, Session
from bing_llm.cli.state import StateUnavailable, keeps_conversations, private_file
from bing_llm.cli.status import new_status, with_retries_shown
from bing_llm.cli.streams import check_utf8, is_dumb, is_terminal, new_console
from bing_llm.cli.view import TextView, View, quota_line, source_lines, suggestion_lines
from bing_llm.client import BingClient
from bing_llm.errors import BingError, ConfigurationError, ConversationEnded, SessionExpired, TurnLimitReached
from bing_llm.events import Reply
from bing_llm.images import Image, load_image
from bing_llm.turn import TurnStream

HELP = """\
/new          start a new conversation
/model NAME   use another model, in a new conversation; without NAME: say which
/image PATH   send a picture (a path or a URL) with the next message
/edit         write the next message in your editor, as Ctrl-X Ctrl-E does
/save FILE    write this conversation to a new Markdown file
/help         show this
/quit         leave, as Ctrl-D does, and Ctrl-C where nothing is typed
Enter sends, Alt-Enter begins a line; \"\"\" begins a message of several lines, and
ends it. Up and Ctrl-R bring back earlier messages.
A number alone sends that suggestion. Ctrl-C during an answer stops it.
What is pasted, or begins with a blank, is a message and never a command."""

COMMANDS = ("/new", "/model", "/image", "/edit", "/save", "/help", "/quit")

_OVER = (ConversationEnded, SessionExpired, TurnLimitReached)


def chat(beginning: Beginning, *, log: bool | None = None, source: MessageInput | None = None) -> ExitCode:
    """Answer messages until the user leaves.

    Args:
        beginning: Where it begins.
        log: Whether it is logged; None for what the user has set.
        source: Where the messages come from; None for stdin.
    """
    client = beginning.new_client()
    with quiet_keyboard(), Loop() as loop:
        try:
            talk = Chat(client, loop, beginning.past, Recorder(beginning, wanted=log), source or _new_input(keeps=log))
            return ExitCode.OK if talk.run() else ExitCode.FAILED
        finally:
            loop.run(client.aclose())


def _new_input(*, keeps: bool | None) -> MessageInput:
    """What the user writes with.

    Args:
        keeps: Whether messages are kept for later chats; None for what the user has set.
    """
    if not is_terminal(sys.stdin) or sys.stdout is None or sys.stderr is None:
        return LineInput(read_piped_line)
    if not (is_terminal(sys.stdout) or is_terminal(sys.stderr)) or is_dumb():
        return LineInput(read_typed_line)
    from bing_llm.cli.prompt import PromptInput  # noqa: PLC0415 - prompt_toolkit takes a moment to load

    return PromptInput(
        COMMANDS, history=_history_file() if keeps or (keeps is None and keeps_conversations()) else None
    )


def _history_file() -> str | None:
    try:
        return str(private_file("history"))
    except StateUnavailable as exc:
        print_error(f"Messages are not kept for later chats: {exc}")
        return None


class Chat:
    """A chat: the conversation, and what the user has set up for the next message.

    In a terminal it goes on after an error. If the messages come from a pipe, the first error ends it, because nobody
    can react to it; and stdout has the answers alone.

    Args:
        client: The client of the service.
        loop: Runs the turns.
        past: What was said before.
        recorder: Logs the turns.
        source: Where the messages come from.
    """

    def __init__(self, client: BingClient, loop: Loop, past: Past, recorder: Recorder, source: MessageInput) -> None:
        self._status = new_status()
        self._client = with_retries_shown(client, self._status)
        self._loop = loop
        self._recorder = recorder
        self._source = source
        self._has_person = is_terminal(sys.stdin)
        self._console = new_console()
        self._notices = self._console if self._has_person else new_console(stderr=True)
        self._draws = is_terminal(sys.stdout) and not self._console.is_dumb_terminal
        self._session = Session(self._client, past)
        self._suggestions: tuple[str, ...] = ()
        self._image: Image | None = None

    def run(self) -> bool:
        """Read and answer entries until the end of the input, Ctrl-C, or /quit. Return whether no error ended it."""
        if self._has_person:
            self._say(f"{self._client.model} on {self._client.backend_name}. /help lists the commands, Ctrl-D leaves.")
        if self._session.past.exchanges:
            self._show_past()
        while (entry := self._source.read()) is not None:
            goes_on = self._handle(entry)
            if goes_on is None:
                return True
            if not goes_on and not self._has_person:
                return False
        return True

    def _handle(self, entry: Entry) -> bool | None:
        """Do what the entry says. Return whether it worked; None if the user leaves."""
        try:
            if entry.text.startswith("/") and not entry.is_literal:
                return self._command(entry.text)
            if entry.text.strip():
                is_message = entry.is_literal or not self._has_person  # who pipes has seen no suggestions
                return self._answer(entry.text if is_message else self._suggested(entry.text))
        except _OVER as exc:
            print_error(f"{exc.message} Type /new to start another conversation.")
            return False
        except BingError as exc:
            print_error(exc)
            return False
        return True

    # --- commands -------------------------------------------------------------------------------------------------

    def _command(self, text: str) -> bool | None:
        name, _, argument = text.strip().partition(" ")
        commands: dict[str, Callable[[str], bool]] = {
            "/new": self._new,
            "/model": self._model,
            "/image": self._attach,
            "/edit": self._edit,
            "/save": self._save,
            "/help": lambda _: self._say(HELP),
        }
        if name == "/quit":
            return None
        command = commands.get(name)
        if command is None:
            return _refuse(f"{name} is not a command; /help lists them.")
        return command(argument.strip())

    def _new(self, _: str) -> bool:
        self._session = Session(self._client, Past(system=self._session.past.system))
        self._recorder.begin_another()
        self._suggestions = ()
        return self._say("A new conversation begins.")

    def _model(self, name: str) -> bool:
        if not name:
            models = ", ".join(self._client.service.models)
            return self._say(f"The model is {self._client.model}; there are {models}.")
        self._client = self._client.with_options(model=name)
        self._say(f"The model is {self._client.model}.")
        return self._new("")

    def _attach(self, source: str) -> bool:
        if not source:
            return _refuse("/image needs a path or a URL.")
        self._image = load_image(_path(source))
        return self._say("The picture goes with your next message.")

    def _edit(self, _: str) -> bool:
        return self._source.edit_next() or _refuse("/edit needs a terminal in which text can be edited.")

    def _save(self, name: str) -> bool:
        from bing_llm.cli.transcript import render_transcript  # noqa: PLC0415 - most chats are not saved

        if not name:
            return _refuse("/save needs the name of a file.")
        exchanges = self._session.past.exchanges
        if not exchanges:
            return _refuse("There is nothing to save yet.")
        _save_new(Path(_path(name)), render_transcript(f"Chat with {self._client.model}", exchanges))
        return self._say(f"Saved to {name}.")

    # --- turns ----------------------------------------------------------------------------------------------------

    def _suggested(self, text: str) -> str:
        """The suggestion with that number, if the text is one."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) == 1 else 0
        if not 0 < number <= len(self._suggestions):
            return text
        suggestion = self._suggestions[number - 1]
        self._say(f"> {one_line(suggestion)}")
        return suggestion

    def _answer(self, prompt: str) -> bool:
        text = check_utf8(prompt, "The message")
        images = [] if self._image is None else [self._image]
        view = self._new_view()
        try:
            mark_pastes()
            turn = self._loop.run(self._open_turn(text, images))
            self._image = None
            running = RunningTurn(turn, view, self._status)
            reply = self._loop.run(running.show(), interrupt=running.stop if self._has_person else None)
        except KeyboardInterrupt:
            if not self._has_person:
                raise
            self._status.end()
            return self._say("(left unfinished)")
        finally:
            self._status.end()
        if running.stopped:
            self._say("(stopped)")
        self._suggestions = reply.suggestions
        exchange = Exchange(text, reply)
        self._session.add(exchange)
        self._print_below(reply)
        redact = redactor_of(self._client, self._session.handle)
        self._recorder.add(self._client, exchange, self._session.past.system, redact)
        return not reply.revoked

    async def _open_turn(self, text: str, images: Sequence[Image]) -> TurnStream:
        self._status.start()
        return await self._session.turn(text, images)

    def _new_view(self) -> View:
        if not self._draws:
            return TextView(self._status)
        from bing_llm.cli.markdown import MarkdownView  # noqa: PLC0415 - only where somebody looks

        return MarkdownView(self._console, self._status)

    def _show_past(self) -> None:
        """Say what goes on: the last turn, as it was."""
        count = len(self._session.past.exchanges)
        last = self._session.past.exchanges[-1]
        self._say(f"A conversation of {count} turn{'s' * (count > 1)} goes on. The last one:\n> {last.prompt}")
        if self._has_person:
            self._loop.run(_show(last.reply, self._new_view()))
            self._print_below(last.reply)

    def _print_below(self, reply: Reply) -> None:
        """Sources, suggestions and quota; if the messages come from a pipe, only the sources, on stderr."""
        lines = source_lines(reply, "[{}]" if self._draws else "[^{}^]")
        if self._has_person:
            lines += suggestion_lines(reply)
            lines += [] if reply.quota is None else [quota_line(reply.quota)]
        if lines:
            text = Text("\n".join(["", *lines, ""]), style="dim")
            self._notices.print(text, soft_wrap=True)  # a URL stays in one piece, to be copied
        if reply.conversation_ended or (reply.quota is not None and reply.quota.spent):
            print_error("This conversation takes no further message. Type /new to start another.")

    def _say(self, text: str) -> bool:
        self._notices.print(Text(escape(text), style="dim"), soft_wrap=not self._has_person)
        return True


async def _show(reply: Reply, view: View) -> None:
    with view:
        view.show(ev.TextDelta(reply.text))


def _refuse(text: str) -> bool:
    print_error(text)
    return False


def _save_new(path: Path, text: str) -> None:
    """Write a new file; an existing one stays as it is.

    Raises:
        ConfigurationError: It exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{str(path)!r} exists and was not touched.", hint="Choose another name.") from None
    except (OSError, ValueError) as exc:
        msg = f"{str(path)!r} cannot be written: {getattr(exc, 'strerror', None) or exc}."
        raise ConfigurationError(msg, hint="Choose another place.") from exc


def _path(name: str) -> str:
    """A path as the user wrote it, `~` included; a URL as it is."""
    return os.path.expanduser(name)  # noqa: PTH111 - Path.expanduser raises for an unknown user, and spoils URLs
