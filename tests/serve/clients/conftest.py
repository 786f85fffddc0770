"""A front over the emulator, for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bing_llm.emulator import Emulator
from tests.serve.clients.running import client_of, running

KEY = "a-key-of-the-front"


@pytest.fixture
def base_url(bing_emulator: Emulator) -> Iterator[str]:
    """Where the front is, whose key is `KEY`."""
    with running(client_of(bing_emulator), key=KEY) as url:
        yield url
