"""A front over the emulator, on the background loop: for clients of any kind, in any thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bing_llm.client import BingClient
from bing_llm.emulator import Emulator
from bing_llm.limits import Retries
from bing_llm.serve import Server
from bing_llm.sync import run

ATTEMPTS = 3
"""Of each turn: the budget of the client, which no caller may multiply."""


def client_of(emulator: Emulator, service: str = "chathub") -> BingClient:
    """A client of the emulator, which waits for nothing between its attempts."""
    retries = Retries(attempts=ATTEMPTS, first_wait=0)
    if service == "chathub":
        return BingClient(endpoint=emulator.url, retries=retries)
    return BingClient(
        backend="workiq",
        endpoint=emulator.workiq_url,
        token=emulator.token,
        time_zone="Europe/Zurich",
        retries=retries,
    )


@contextmanager
def running(client: BingClient, **settings: Any) -> Iterator[str]:
    """The base URL of a front over this client; both are closed at the end."""
    server = Server(client, port=0, **settings)
    run(server.start())
    try:
        yield server.url
    finally:
        run(server.aclose())
        run(client.aclose())
