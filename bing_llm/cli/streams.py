"""The standard streams of the command: terminals, encodings, stderr and the log."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import suppress
from traceback import format_exception
from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console

from bing_llm._safe_text import escape
from bing_llm.errors import ConfigurationError


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at it; None is a stream that was closed before the command started."""
    return stream is not None and stream.isatty()


def is_dumb() -> bool:
    """Whether terminals cannot move the cursor here."""
    return os.environ.get("TERM", "").lower() in {"dumb", "unknown"}


def new_console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is: no markup, no emoji names, no highlighting.

    Args:
        stderr: Whether it writes to stderr; False writes to stdout.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def set_stream_errors() -> None:
    """Let no encoding fail.

    What stdout cannot encode is written as an escape, as stderr does anyway: a pipe on Windows may know 256 characters.
    Bytes of stdin that are not UTF-8 become surrogates, which `check_utf8` refuses before they would be sent.
    """
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def check_utf8(text: str, what: str) -> str:
    """Return the text if it can be sent.

    Args:
        text: What the user wrote.
        what: How an error names it.

    Raises:
        ConfigurationError: It came as bytes that are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what} is not UTF-8 text.", hint="Convert it to UTF-8.") from None
    return text


class StatusOnTerminal(Protocol):
    """A line that is drawn again and again on the terminal of stderr."""

    def erase(self) -> None:
        """Make room for another line."""


_status_line: StatusOnTerminal | None = None


def set_status_line(line: StatusOnTerminal | None) -> None:
    """Say which line makes room for what goes to stderr; None for none."""
    global _status_line  # noqa: PLW0603 - there is one stderr, and the log writes to it from everywhere
    _status_line = line


def print_to_stderr(text: str) -> None:
    """Print lines to stderr as they are, unless nobody reads it."""
    if sys.stderr is None:  # closed; print would turn to stdout
        return
    if _status_line is not None:
        _status_line.erase()
    with suppress(OSError):  # nobody reads it
        print(text, file=sys.stderr, flush=True)


def discard_stdout() -> None:
    """Send what is still buffered nowhere, or Python would complain about it when it exits."""
    with open(os.devnull, "wb") as nowhere, suppress(OSError):  # noqa: PTH123 - a device, not a path; stdout may not be a file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def log_to_stderr(*, verbose: bool) -> None:
    """Show the package's warnings, or all that it logs, on stderr without control characters."""
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("bing_llm")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


def print_traceback(kind: type[BaseException], exc: BaseException, traceback: TracebackType | None) -> None:
    """Print a traceback without control characters; for `sys.excepthook`: its texts may be a service's."""
    print_to_stderr(escape("".join(format_exception(kind, exc, traceback))).rstrip())


class _StderrHandler(logging.Handler):
    """Writes to the current stderr: a live display replaces it while it draws."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        print_to_stderr(escape(self.format(record)))
