"""Exit codes, and errors as one line on stderr."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum

from bing_llm._escaping import escape, one_line
from bing_llm.errors import BingError, ConfigurationError
from bing_llm.services import NOT_CONFIGURED

__all__ = [
    "ExitCode",
    "complain",
    "give_up_stdout",
    "guarded",
    "log_to_stderr",
    "report",
    "to_stderr",
    "tolerate_any_character",
]


class ExitCode(IntEnum):
    """As the table in the docstring of `bing_llm.cli` says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


def complain(text: str) -> None:
    """One line on stderr."""
    to_stderr(f"bing-llm: {one_line(text)}")


def report(error: BingError) -> None:
    """The error and its hint in one line; that nothing is configured in the five lines that say what to do."""
    if error.message == NOT_CONFIGURED:
        to_stderr(NOT_CONFIGURED)
    else:
        complain(str(error) or type(error).__name__)


def to_stderr(text: str) -> None:
    """Some lines on stderr, as they are, if anybody reads them."""
    if sys.stderr is None:  # closed; print would turn to stdout
        return
    with suppress(OSError):  # nobody reads it
        print(text, file=sys.stderr, flush=True)


def guarded(work: Callable[[], ExitCode]) -> ExitCode:
    """The exit code of a command: its own, or that of what it raises, which is reported."""
    try:
        return work()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except ConfigurationError as exc:
        report(exc)
        return ExitCode.USAGE
    except BingError as exc:
        report(exc)
        return ExitCode.FAILED
    except BrokenPipeError:
        give_up_stdout()
        return ExitCode.OK
    except OSError as exc:  # of stdout: errors of files and networks are BingErrors by now
        give_up_stdout()
        complain(f"The output cannot be written: {exc.strerror or exc}.")
        return ExitCode.FAILED


def give_up_stdout() -> None:
    """Send what is still buffered nowhere, or Python would complain about it when it exits."""
    with open(os.devnull, "wb") as nowhere, suppress(OSError):  # noqa: PTH123 - a device, not a path; stdout may be no file
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def tolerate_any_character() -> None:
    """Let no encoding fail.

    What stdout cannot encode is written as an escape, as stderr does anyway: a pipe on Windows may know 256 characters.
    Bytes of stdin that are no text become surrogates, which are refused where they would be sent.
    """
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def log_to_stderr(*, verbose: bool) -> None:
    """Show the package's warnings on stderr, or all that it logs, without control characters."""
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("bing_llm")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


class _StderrHandler(logging.Handler):
    """Writes to the stderr of the moment: a live display stands in for it while it draws."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        to_stderr(escape(self.format(record)))
