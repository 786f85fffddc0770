"""`bing-llm ask`: one prompt, one answer."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec
from rich.text import Text

from bing_llm.cli.errors import ExitCode
from bing_llm.cli.loop import Loop, RunningTurn
from bing_llm.cli.recorder import Beginning, Recorder, redactor_of
from bing_llm.cli.session import Exchange, ResumedTurn, next_turn
from bing_llm.cli.status import Status, new_status, with_retries_shown
from bing_llm.cli.streams import check_utf8, is_terminal, new_console, print_to_stderr
from bing_llm.cli.view import JsonView, TextView, View, quota_line, source_lines, suggestion_lines
from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError, RequestError
from bing_llm.events import Reply
from bing_llm.turn import TurnStream

MOST_BYTES = 16 * 1024 * 1024
"""How much is read of stdin or of a context file: far more than any service takes."""

_PATIENCE_S = 3.0  # until it says that it waits for stdin: a person would think that it hangs


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked.

    Attributes:
        prompt: The prompt; `-` stands for what is piped in, and so does None.
        image: Path or URL of a picture; None for none.
        context: A text file that the service gets as context; None for none.
    """

    prompt: str | None = None
    image: str | None = None
    context: Path | None = None


class _Material(msgspec.Struct, frozen=True):
    """The texts of a question: its prompt, and what goes with it as context, "" for nothing."""

    prompt: str
    context: str


def ask(beginning: Beginning, question: Question, *, json: bool, log: bool | None = None) -> ExitCode:
    """Ask, and show the answer as it arrives.

    Args:
        beginning: Where it begins.
        question: What is asked.
        json: Whether the events are printed, instead of the text.
        log: Whether it is logged; None for what the user has set.

    Raises:
        BingError: There is no answer.
        KeyboardInterrupt: Ctrl-C was pressed before the answer was complete.
    """
    status = new_status()
    client = beginning.new_client()
    material = _read(question, client.prompt_limit)  # outside the loop, so that Ctrl-C can interrupt it
    images = [] if question.image is None else [question.image]
    asking = with_retries_shown(client, status)
    try:
        turn = next_turn(asking, beginning.past, material.prompt, context=material.context, images=images)
    except RequestError as exc:  # nothing was sent yet
        raise ConfigurationError(exc.message, hint=exc.hint) from exc
    view = JsonView(status) if json else TextView(status)
    with Loop() as loop:
        reply, redact = loop.run(_answer(client, turn, view, status))
    exchange = Exchange(material.prompt, reply, material.context)
    Recorder(beginning, wanted=log).add(client, exchange, beginning.past.system, redact)
    if not json:
        _print_below(reply)  # after the log, because the reader of a pipe may leave after the answer
    return ExitCode.FAILED if reply.revoked else ExitCode.OK


async def _answer(
    client: BingClient, turn: ResumedTurn, view: View, status: Status
) -> tuple[Reply, Callable[[str], str]]:
    async with client:
        reply = await RunningTurn(TurnStream(turn), view, status).show()
        return reply, redactor_of(client, turn.handle)


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


# --- what is asked ----------------------------------------------------------------------------------------------------


def _read(question: Question, limit: int) -> _Material:
    """Put together the argument, what is piped in, and the context file.

    What is piped in goes before the argument. If both together are too long for a prompt, it goes with the context.

    Args:
        question: What is asked.
        limit: The longest prompt that the service takes, in characters.

    Raises:
        ConfigurationError: The prompt is missing, or part of it is not UTF-8 text.
    """
    context = "" if question.context is None else _read_file(question.context)
    if question.prompt == "-":
        return _Material(_read_stdin(sys.stdin), context)
    given = check_utf8(question.prompt or "", "The prompt")
    piped = "" if sys.stdin is None or is_terminal(sys.stdin) else _read_stdin(sys.stdin)
    if not piped.strip():
        if question.prompt is None:
            raise ConfigurationError("There is no prompt.", hint='Write it after ask, as in: bing-llm ask "Hello"')
        return _Material(given, context)
    whole = f"{piped.strip()}\n\n{given}" if given.strip() else piped
    if len(whole) <= limit or not given.strip():
        return _Material(whole, context)
    return _Material(given, f"{context}\n\n{piped}" if context else piped)


def _read_stdin(stdin: TextIO | None) -> str:
    if stdin is None:
        raise ConfigurationError("The prompt '-' reads stdin, which is closed.", hint="Pipe a text in.")
    try:
        if not is_terminal(stdin) and not _is_ready(stdin):
            print_to_stderr("bing-llm: reading stdin, which is not a terminal. Without it: </dev/null")
        return _decode(stdin.buffer.read(MOST_BYTES + 1), "stdin")
    except OSError as exc:
        raise ConfigurationError(f"stdin cannot be read: {exc.strerror or exc}.", hint="Pipe a text in.") from exc


def _is_ready(stdin: TextIO) -> bool:
    """Whether something comes, or the end, within a few seconds; True where that cannot be seen."""
    try:
        return os.name == "nt" or bool(select.select([stdin.fileno()], [], [], _PATIENCE_S)[0])
    except (io.UnsupportedOperation, ValueError):  # it is not a file of the system, or its number is too large
        return True


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _decode(file.read(MOST_BYTES + 1), repr(str(path)))
    except OSError as exc:
        msg = f"The context file {str(path)!r} cannot be read: {exc.strerror or exc}."
        raise ConfigurationError(msg, hint="Pass the path of a UTF-8 text file.") from exc


def _decode(content: bytes, name: str) -> str:
    if len(content) > MOST_BYTES:
        raise ConfigurationError(f"{name} holds over {MOST_BYTES:,} bytes.", hint="No service takes so much.")
    try:
        return content.decode("utf-8-sig")  # Windows programs begin UTF-8 with a byte order mark
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"What {name} holds is not UTF-8 text ({exc.reason}).", hint="Convert it.") from exc
