"""What `ask` and `chat` are told about the service, and the client and the console that follow from it."""

from __future__ import annotations

import sys
from typing import TextIO

import msgspec
from rich.console import Console

from bing_llm.client import BingClient
from bing_llm.errors import ConfigurationError

__all__ = ["UPSTREAM_KEY", "Settings", "is_terminal", "new_console", "sendable"]

UPSTREAM_KEY = "BING_LLM_UPSTREAM_KEY"
"""The environment variable with the key of `bing-llm emulator --upstream`: an option would show it to others."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options that both commands have; None takes what `BingClient` takes."""

    backend: str | None = None
    model: str | None = None
    search: bool = True
    endpoint: str | None = None
    time_zone: str | None = None

    def client(self) -> BingClient:
        """A client of that service. Secrets come from the environment: a list of processes shows what options hold.

        Raises:
            ConfigurationError: A value is not allowed, or no backend is chosen.
        """
        return BingClient(
            backend=self.backend,
            model=self.model,
            search=self.search,
            endpoint=self.endpoint,
            time_zone=self.time_zone,
        )


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at it; None is a stream that was closed before we began."""
    return stream is not None and stream.isatty()


def new_console() -> Console:
    """A console on stdout that takes text as it is: no markup, no emoji names, no guesses at what to highlight."""
    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False)


def sendable(text: str, what: str) -> str:
    """The text, if it can be sent.

    Raises:
        ConfigurationError: It came as bytes that are no UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what} is not UTF-8 text.", hint="Convert it to UTF-8.") from None
    return text
