"""`bing-llm chat`: a conversation in a terminal, or from a pipe, one message a line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rich.text import Text

from bing_llm._safe_text import escape, one_line
from bing_llm.cli.errors import ExitCode, print_error
from bing_llm.cli.loop import Loop, RunningTurn
from bing_llm.cli.streams import check_utf8, is_terminal, new_console
from bing_llm.cli.view import (
    Exchange,
    MarkdownView,
    TextView,
    View,
    quota_line,
    render_transcript,
    source_lines,
    suggestion_lines,
)
from bing_llm.client import BingClient
from bing_llm.conversation import Conversation
from bing_llm.errors import BingError, ConfigurationError, ConversationEnded, SessionExpired, TurnLimitReached
from bing_llm.events import Reply
from bing_llm.images import Image, load_image

HELP = """\
/new          start a new conversation
/model NAME   use another model, in a new conversation; without NAME: say which
/image PATH   send a picture (a path or a URL) with the next message
/save FILE    write this conversation to a new Markdown file
/help         show this
/quit         leave, as Ctrl-C and Ctrl-D do here
A number alone sends that suggestion. Ctrl-C during an answer stops it.
A line that begins with a blank is not a command, whatever follows."""

_OVER = (ConversationEnded, SessionExpired, TurnLimitReached)


def chat(client: BingClient) -> ExitCode:
    """Answer messages until the user leaves.

    Args:
        client: The client; it is closed at the end.
    """
    with suppress(ImportError):  # Windows has none; its console edits lines itself
        import readline  # noqa: F401, PLC0415 - gives `input` its keys and its history
    with Loop() as loop:
        try:
            Chat(client, loop).run()
        finally:
            loop.run(client.aclose())
    return ExitCode.OK


class Chat:
    """A chat: the conversation, and what the user has set up for the next message.

    Args:
        client: The client of the service.
        loop: Runs the turns.
    """

    def __init__(self, client: BingClient, loop: Loop) -> None:
        self._client = client
        self._loop = loop
        self._console = new_console()
        self._draws = is_terminal(sys.stdout) and not self._console.is_dumb_terminal
        self._conversation: Conversation | None = None
        self._exchanges: list[Exchange] = []
        self._suggestions: tuple[str, ...] = ()
        self._image: Image | None = None

    def run(self) -> None:
        """Read and answer lines until the end of the input, Ctrl-C, or /quit."""
        if is_terminal(sys.stdin):
            self._say(f"{self._client.model} on {self._client.backend_name}. /help lists the commands, Ctrl-D leaves.")
        while True:
            line = _read_line()
            if line is None or not self._handle_line(line):
                return

    def _handle_line(self, line: str) -> bool:
        """Do what the line says, and return whether to go on."""
        try:
            if line.startswith("/"):
                return self._command(line)
            if line.strip():
                self._answer(self._suggested(line.strip()))
        except _OVER as exc:
            print_error(f"{exc.message} Type /new to start another conversation.")
        except BingError as exc:
            print_error(exc)
        return True

    # --- commands -------------------------------------------------------------------------------------------------

    def _command(self, line: str) -> bool:
        name, _, argument = line.strip().partition(" ")
        commands: dict[str, Callable[[str], None]] = {
            "/new": self._new,
            "/model": self._model,
            "/image": self._attach,
            "/save": self._save,
            "/help": lambda _: self._say(HELP),
        }
        if name == "/quit":
            return False
        command = commands.get(name)
        if command is None:
            print_error(f"{name} is not a command; /help lists them.")
        else:
            command(argument.strip())
        return True

    def _new(self, _: str) -> None:
        self._conversation = None
        self._exchanges = []
        self._suggestions = ()
        self._say("A new conversation begins.")

    def _model(self, name: str) -> None:
        if not name:
            self._say(f"The model is {self._client.model}; there are {', '.join(self._client.service.models)}.")
            return
        self._client = self._client.with_options(model=name)
        self._say(f"The model is {self._client.model}.")
        self._new("")

    def _attach(self, source: str) -> None:
        if not source:
            print_error("/image needs a path or a URL.")
            return
        self._image = load_image(_path(source))
        self._say("The picture goes with your next message.")

    def _save(self, name: str) -> None:
        if not name:
            print_error("/save needs the name of a file.")
        elif not self._exchanges:
            print_error("There is nothing to save yet.")
        else:
            _save_new(Path(_path(name)), render_transcript(self._client.model, self._exchanges))
            self._say(f"Saved to {name}.")

    # --- turns ----------------------------------------------------------------------------------------------------

    def _suggested(self, text: str) -> str:
        """The suggestion with that number, if the text is one."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) == 1 else 0
        if not 0 < number <= len(self._suggestions):
            return text
        suggestion = self._suggestions[number - 1]
        self._say(f"> {one_line(suggestion)}")
        return suggestion

    def _answer(self, prompt: str) -> None:
        text = check_utf8(prompt, "The message")
        try:
            if self._conversation is None:
                self._conversation = self._loop.run(self._client.create_conversation())
            turn = self._conversation.stream(text, images=[] if self._image is None else [self._image])
            self._image = None
            view: View = MarkdownView(self._console) if self._draws else TextView()
            running = RunningTurn(turn, view)
            reply = self._loop.run(running.show(), interrupt=running.stop)
        except KeyboardInterrupt:
            self._say("(left unfinished)")
            return
        if running.stopped:
            self._say("(stopped)")
        self._suggestions = reply.suggestions
        self._exchanges.append(Exchange(prompt, reply))
        self._print_below(reply)

    def _print_below(self, reply: Reply) -> None:
        lines = [*source_lines(reply, "[{}]" if self._draws else "[^{}^]"), *suggestion_lines(reply)]
        if reply.quota is not None:
            lines.append(quota_line(reply.quota))
        if lines:
            text = Text("\n".join(["", *lines, ""]), style="dim")
            self._console.print(text, soft_wrap=True)  # a URL stays in one piece, to be copied
        if reply.conversation_ended or (reply.quota is not None and reply.quota.spent):
            print_error("This conversation takes no further message. Type /new to start another.")

    def _say(self, text: str) -> None:
        self._console.print(Text(escape(text), style="dim"))


def _read_line() -> str | None:
    """The next line; None at the end of the input, and if the user leaves by Ctrl-C."""
    if sys.stdin is None:
        return None
    if not is_terminal(sys.stdin) or sys.stdout is None or sys.stderr is None:  # `input` needs all three
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None
    try:
        return input("> ")
    except (EOFError, KeyboardInterrupt):
        print()
        return None


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
