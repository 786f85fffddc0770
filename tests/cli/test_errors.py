"""Exit codes, and what goes to stderr."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable

import pytest

import bing_llm.cli
from bing_llm import errors
from bing_llm.cli.app import app
from bing_llm.cli.errors import ExitCode, exit_code_of, print_error
from bing_llm.services import NOT_CONFIGURED


def failing(error: BaseException) -> Callable[[], ExitCode]:
    """A command that raises."""

    def work() -> ExitCode:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.Throttled("Too many.", hint="Wait."), 1, "bing-llm: Too many. Wait.\n"),
        (errors.Throttled(hint=""), 1, "bing-llm: Throttled\n"),
        (errors.ServiceError("a\nb\x1b[2J", hint=""), 1, "bing-llm: a b\\u001b[2J\n"),
        (errors.ConfigurationError("No.", hint="Yes."), 2, "bing-llm: No. Yes.\n"),
        (errors.ConfigurationError(NOT_CONFIGURED), 2, NOT_CONFIGURED + "\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, ""),
        (OSError(errno.ENOSPC, "No space left"), 1, "bing-llm: The output cannot be written: No space left.\n"),
    ],
)
def test_each_failure_has_its_code_and_its_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went wrong is one line on stderr (five where nothing is configured) and an exit code."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # a real one would be led to nowhere
    assert exit_code_of(failing(error)) == code
    assert capsys.readouterr().err == line


def test_a_command_that_works_has_its_own_code() -> None:
    """A command's own exit code is kept."""
    assert exit_code_of(lambda: ExitCode.FAILED) is ExitCode.FAILED


def test_a_mistake_of_ours_is_not_hidden() -> None:
    """Anything else is a bug and shows its traceback."""
    with pytest.raises(LookupError):
        exit_code_of(failing(LookupError()))


def test_the_codes_are_documented() -> None:
    """The table in the docstring and the end of --help name each code."""
    table = [line.split()[0] for line in (bing_llm.cli.__doc__ or "").splitlines() if line[:1].isdigit()]
    epilog = str(app.info.epilog)
    assert table == [str(int(code)) for code in ExitCode]
    assert all(f" {int(code)} " in epilog for code in ExitCode)


def test_nobody_needs_to_read_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is closed or broken an error goes nowhere: not to stdout, and without an error."""

    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    for stderr in (None, Broken()):
        monkeypatch.setattr(sys, "stderr", stderr)
        print_error("Nobody reads this.")
        print_error(errors.Throttled("Nor this."))
    assert capsys.readouterr().out == ""
