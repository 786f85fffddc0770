"""Exit codes, and errors as one line on stderr."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import IntEnum

from bing_llm._safe_text import one_line
from bing_llm.cli.options import SERVICE_OPTIONS, in_option_words
from bing_llm.cli.streams import discard_stdout, print_to_stderr
from bing_llm.errors import BingError, ConfigurationError
from bing_llm.services import NOT_CONFIGURED

_OPTIONS = [option.name for option in SERVICE_OPTIONS]


class ExitCode(IntEnum):
    """The exit codes of the command; the docstring of `bing_llm.cli` says when each is used."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


def exit_code_of(command: Callable[[], ExitCode], *, options: Collection[str] = _OPTIONS) -> ExitCode:
    """Run a command. Its exit code, or that of the error that it raises, which is printed.

    Args:
        command: What the command does.
        options: Its options, by the names of their parameters.
    """
    try:
        return command()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except ConfigurationError as exc:
        print_error(exc, options=options)
        return ExitCode.USAGE
    except BingError as exc:
        print_error(exc, options=options)
        return ExitCode.FAILED
    except BrokenPipeError:
        discard_stdout()
        return ExitCode.OK
    except OSError as exc:  # of stdout: errors of files and networks are BingErrors by now
        discard_stdout()
        print_error(f"The output cannot be written: {exc.strerror or exc}.")
        return ExitCode.FAILED


def print_error(error: BingError | str, *, options: Collection[str] = _OPTIONS) -> None:
    """Print an error of the library with its hint, or a sentence, as one line on stderr.

    That no service is chosen is the one error of several lines: they say what to do.

    Args:
        error: An error, which is put into the words of the command line, or a sentence, which is printed as it is.
        options: The options of the command, by the names of their parameters.
    """
    if isinstance(error, str):
        print_to_stderr(f"bing-llm: {one_line(error)}")
        return
    text = in_option_words(str(error) or type(error).__name__, options)
    if error.message == NOT_CONFIGURED:
        print_to_stderr(text)
    else:
        print_to_stderr(f"bing-llm: {one_line(text)}")
