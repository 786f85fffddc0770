"""The emulator of the matrix, on a loop of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from bing_llm.emulator import Emulator, Scripted
from tests.faults.table import PIECES


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One that always says the same, in a thread of its own: so all other tasks and sockets are the client's."""
    running = Emulator(Scripted(lambda _: PIECES), ping_interval=0.05)
    loop = asyncio.new_event_loop()
    loop.set_debug(False)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(running.start(), loop).result()
    yield running
    asyncio.run_coroutine_threadsafe(running.aclose(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def dead_url() -> Iterator[str]:
    """An address at which nobody listens: the port is taken, so that nobody else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
