"""Services that see when a client leaves them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

from bing_llm import events as ev
from bing_llm.emulator import Emulator, Question
from bing_llm.emulator.brains.base import Output
from bing_llm.sync import run

GRACE_S = 5.0
"""How long a cancelled call may take to end, in seconds; only a leak waits that long."""


class Waiting:
    """A brain that says one thing and then waits for ever."""

    def __init__(self, said: str = "One ") -> None:
        self._said = said
        self._left = threading.Semaphore(0)
        self.turns = 0

    async def answer(self, question: Question) -> AsyncIterator[Output]:
        """What it says."""
        del question
        self.turns += 1
        try:
            yield ev.TextDelta(self._said)
            await asyncio.Event().wait()
        finally:
            self._left.release()

    def was_left(self, times: int = 1) -> bool:
        """Whether so many turns were left; waits for it."""
        return all(self._left.acquire(timeout=GRACE_S) for _ in range(times))


def becomes_idle(emulator: Emulator) -> bool:
    """Whether all connections to it are closed; waits for it. Not on the loop of a connection."""
    return run(_becomes_idle(emulator))


async def _becomes_idle(emulator: Emulator) -> bool:
    async def idle() -> None:
        while _connections(emulator):  # noqa: ASYNC110 - aiohttp has no event for that
            await asyncio.sleep(0)

    try:
        await asyncio.wait_for(idle(), GRACE_S)
    except TimeoutError:
        return False
    return True


def _connections(emulator: Emulator) -> int:
    assert emulator._runner is not None
    server = emulator._runner.server
    assert server is not None
    return len(server.connections)
