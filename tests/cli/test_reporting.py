"""Exit codes, and what goes to stderr."""

from __future__ import annotations

import errno
import io
import logging
import sys
from collections.abc import Callable

import pytest

import bing_llm.cli
from bing_llm import errors
from bing_llm.cli.app import app
from bing_llm.cli.reporting import ExitCode, complain, guarded, log_to_stderr, report, tolerate_any_character
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
    assert guarded(failing(error)) == code
    assert capsys.readouterr().err == line


def test_a_command_that_works_has_its_own_code() -> None:
    """A command's own exit code is kept."""
    assert guarded(lambda: ExitCode.FAILED) is ExitCode.FAILED


def test_a_mistake_of_ours_is_not_hidden() -> None:
    """Anything else is a bug and shows its traceback."""
    with pytest.raises(LookupError):
        guarded(failing(LookupError()))


def test_the_codes_are_documented() -> None:
    """The table in the docstring and the end of --help name each code."""
    table = [line.split()[0] for line in (bing_llm.cli.__doc__ or "").splitlines() if line[:1].isdigit()]
    epilog = str(app.info.epilog)
    assert table == [str(int(code)) for code in ExitCode]
    assert all(f" {int(code)} " in epilog for code in ExitCode)


def test_nobody_needs_to_read_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is closed or broken a complaint goes nowhere: not to stdout, and without an error."""

    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    for stderr in (None, Broken()):
        monkeypatch.setattr(sys, "stderr", stderr)
        complain("Nobody reads this.")
        report(errors.Throttled("Nor this."))
    assert capsys.readouterr().out == ""


def test_warnings_are_shown_and_details_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    """The package's log goes to stderr, from warnings on or whole, escaped, and once however often it is set up."""
    log = logging.getLogger("bing_llm.backends.some")
    log_to_stderr(verbose=False)
    log.debug("not shown")
    log.warning("careful\x1b")
    log_to_stderr(verbose=True)
    log.debug("frame %s", "x\x1e")
    assert capsys.readouterr().err == (
        "WARNING bing_llm.backends.some: careful\\u001b\nDEBUG bing_llm.backends.some: frame x\\u001e\n"
    )


def test_an_encoding_that_lacks_a_character_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stdout that knows few characters gets the others as escapes; bytes of stdin that are no text can be told."""
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding="cp1252")
    stdin = io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stdin", stdin)
    tolerate_any_character()
    assert stdin.readline() == "\udcff\n"
    stdout.write("é 🌊")
    stdout.flush()
    assert raw.getvalue() == b"\xe9 \\U0001f30a"
