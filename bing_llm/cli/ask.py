"""`bing-llm ask`: one prompt, one answer."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from rich.text import Text

from bing_llm.cli.errors import ExitCode
from bing_llm.cli.loop import Loop, RunningTurn
from bing_llm.cli.streams import check_utf8, is_terminal, new_console
from bing_llm.cli.view import JsonView, TextView, View, quota_line, source_lines, suggestion_lines
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError, InvalidRequest
from bing_llm.events import Reply
from bing_llm.turn import TurnStream


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked.

    Attributes:
        prompt: The prompt; `-` reads it from stdin.
        image: Path or URL of a picture; None for none.
        context: A text file that the service gets as context; None for none.
    """

    prompt: str
    image: str | None = None
    context: Path | None = None

    def turn(self, client: BingClient) -> TurnStream:
        """The turn that asks it; nothing is sent yet.

        Raises:
            ConfigurationError: It cannot be sent as it is.
        """
        prompt = check_utf8(_read_stdin() if self.prompt == "-" else self.prompt, "The prompt")
        context = None if self.context is None else _read_file(self.context)
        try:
            return client.stream(prompt, context=context, images=[] if self.image is None else [self.image])
        except InvalidRequest as exc:
            raise ConfigurationError(exc.message, hint=exc.hint) from exc


def ask(client: BingClient, question: Question, *, json: bool) -> ExitCode:
    """Ask, and show the answer as it arrives.

    Args:
        client: The client; it is closed at the end.
        question: What is asked.
        json: Whether the events are printed, instead of the text.

    Raises:
        BingError: There is no answer.
        KeyboardInterrupt: Ctrl-C was pressed before the answer was complete.
    """
    turn = question.turn(client)  # reads stdin outside the loop, so that Ctrl-C can interrupt it
    with Loop() as loop:
        reply = loop.run(_answer(client, turn, JsonView() if json else TextView()))
    if not json:
        _print_below(reply)
    return ExitCode.FAILED if reply.revoked else ExitCode.OK


async def _answer(client: BingClient, turn: TurnStream, view: View) -> Reply:
    async with client:
        return await RunningTurn(turn, view).show()


def _print_below(reply: Reply) -> None:
    """In a pipe the sources only, as plain lines; in a terminal suggestions and quota too, dimmed."""
    lines = source_lines(reply)
    if not is_terminal(sys.stdout):
        if lines:
            print("", *lines, sep="\n", flush=True)
        return
    lines += suggestion_lines(reply)
    if reply.quota is not None:
        lines.append(quota_line(reply.quota))
    if lines:
        new_console().print(Text("\n".join(["", *lines]), style="dim"), soft_wrap=True)


def _read_stdin() -> str:
    if sys.stdin is None:
        raise ConfigurationError("The prompt '-' reads stdin, which is closed.", hint="Pipe a text in.")
    return _decode(sys.stdin.buffer.read(), "stdin")


def _read_file(path: Path) -> str:
    try:
        return _decode(path.read_bytes(), repr(str(path)))
    except OSError as exc:
        msg = f"The context file {str(path)!r} cannot be read: {exc.strerror or exc}."
        raise ConfigurationError(msg, hint="Pass the path of a UTF-8 text file.") from exc


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")  # Windows programs begin UTF-8 with a byte order mark
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"What {name} holds is not UTF-8 text ({exc.reason}).", hint="Convert it.") from exc
