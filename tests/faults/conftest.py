"""The emulator of the matrix, on a loop of its own, and the count of how its cases ended."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from bing_llm.emulator import Emulator, Scripted
from tests.faults.table import PIECES

_TALLY: pytest.StashKey[Counter[str]] = pytest.StashKey()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Counter[str]:
    """How many cases ended in which way."""
    return pytestconfig.stash.setdefault(_TALLY, Counter())


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell how many cases of the matrix ran, and how they ended."""
    tally = config.stash.get(_TALLY, Counter())
    if tally:
        terminalreporter.section(f"faults: {tally.total()} cases")
        for ending, count in tally.most_common():
            terminalreporter.line(f"{count:5} {ending}")
