"""Terminals, encodings, stderr and the log."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from bing_llm.cli.streams import (
    check_utf8,
    is_terminal,
    log_to_stderr,
    new_console,
    print_traceback,
    set_stream_errors,
)
from bing_llm.errors import ConfigurationError


def test_a_closed_stream_is_not_a_terminal() -> None:
    """Python has None for a standard stream that is closed."""
    assert not is_terminal(None)
    assert not is_terminal(io.StringIO())


def test_the_console_takes_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """What looks like rich's markup or an emoji's name is text."""
    new_console().print("[bold]x[/bold] :smile:")
    assert capsys.readouterr().out == "[bold]x[/bold] :smile:\n"


def test_text_that_cannot_be_sent_is_refused() -> None:
    """Bytes that are no UTF-8 come from the command line as surrogates, which no request can hold."""
    assert check_utf8("é 🌊", "The prompt") == "é 🌊"
    with pytest.raises(ConfigurationError, match="The prompt is not UTF-8"):
        check_utf8("\udcff", "The prompt")


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


def test_an_encoding_that_lacks_a_character_is_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stdout that knows few characters gets the others as escapes; bytes of stdin that are not text are kept."""
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, encoding="cp1252")
    stdin = io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stdin", stdin)
    set_stream_errors()
    assert stdin.readline() == "\udcff\n"
    stdout.write("é 🌊")
    stdout.flush()
    assert raw.getvalue() == b"\xe9 \\U0001f30a"


def test_a_traceback_has_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of another library may have a service's words, and the terminal would act on them."""
    error = LookupError("a\x1b[2J\u202eb")
    error.__cause__ = ValueError("c\x9b")
    print_traceback(type(error), error, None)
    shown = capsys.readouterr().err
    assert "LookupError: a\\u001b[2J\\u202eb\n" in shown
    assert "ValueError: c\\u009b\n" in shown
