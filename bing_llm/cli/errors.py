"""Exit codes, and errors as one line on stderr."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from bing_llm._escaping import one_line
from bing_llm.cli.streams import discard_stdout, print_to_stderr
from bing_llm.errors import BingError, ConfigurationError
from bing_llm.services import NOT_CONFIGURED


class ExitCode(IntEnum):
    """As the table in the docstring of `bing_llm.cli` says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


def exit_code_of(command: Callable[[], ExitCode]) -> ExitCode:
    """Run a command. Its exit code, or that of the error that it raises, which is printed."""
    try:
        return command()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except ConfigurationError as exc:
        print_error(exc)
        return ExitCode.USAGE
    except BingError as exc:
        print_error(exc)
        return ExitCode.FAILED
    except BrokenPipeError:
        discard_stdout()
        return ExitCode.OK
    except OSError as exc:  # of stdout: errors of files and networks are BingErrors by now
        discard_stdout()
        print_error(f"The output cannot be written: {exc.strerror or exc}.")
        return ExitCode.FAILED


def print_error(error: BingError | str) -> None:
    """Print an error and its hint, or a sentence, as one line on stderr.

    That no service is configured is the one error of several lines: they say what to do.
    """
    if isinstance(error, BingError) and error.message == NOT_CONFIGURED:
        print_to_stderr(NOT_CONFIGURED)
    else:
        print_to_stderr(f"bing-llm: {one_line(str(error) or type(error).__name__)}")
