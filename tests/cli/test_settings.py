"""The options that commands share."""

from __future__ import annotations

import io

import pytest

from bing_llm.cli.settings import Settings, is_terminal, new_console, sendable
from bing_llm.errors import ConfigurationError


def test_settings_make_a_client() -> None:
    """Backend, model and search go to the client."""
    client = Settings(backend="emulator", model="bing-precise", search=False).client()
    assert (client.backend_name, client.model, getattr(client.service, "search")) == ("emulator", "bing-precise", False)


def test_a_closed_stream_is_no_terminal() -> None:
    """Python has None for a standard stream that is closed."""
    assert not is_terminal(None)
    assert not is_terminal(io.StringIO())


def test_the_console_takes_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """What looks like rich's markup or an emoji's name is text."""
    new_console().print("[bold]x[/bold] :smile:")
    assert capsys.readouterr().out == "[bold]x[/bold] :smile:\n"


def test_text_that_cannot_be_sent_is_refused() -> None:
    """Bytes that are no UTF-8 come from the command line as surrogates, which no request can hold."""
    assert sendable("é 🌊", "The prompt") == "é 🌊"
    with pytest.raises(ConfigurationError, match="The prompt is not UTF-8"):
        sendable("\udcff", "The prompt")
