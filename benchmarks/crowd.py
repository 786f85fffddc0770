"""Many turns at once in a process of its own: what they take of its memory and its CPU time.

`python -m benchmarks.crowd NAME URL TURNS` opens so many turns at once at a ChatHub, of one client or of one bare
session, reads them to their end, and prints a `Crowd` as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

from benchmarks.bare import bare_session, bare_turn
from benchmarks.resident import kib_at_most
from bing_llm.client import BingClient

__all__ = ["BARE", "OURS", "Crowd", "crowd"]

BARE, OURS = "bare aiohttp", "BingClient"

_Turn: TypeAlias = Callable[[], AsyncIterator[object]]


class Crowd(NamedTuple):
    """What became of the turns.

    Attributes:
        complete: How many came to their end.
        most: How many were in the midst of their answers at once.
        kib: By how much the peak of the process's memory has grown, in KiB a turn.
        cpu_ms: CPU time, in milliseconds a turn.
        wall_s: Seconds from the first request to the last end.
    """

    complete: int
    most: int
    kib: float
    cpu_ms: float
    wall_s: float


def crowd(name: str, url: str, turns: int) -> Crowd:
    """What a fresh process tells."""
    command = [sys.executable, "-m", "benchmarks.crowd", name, url, str(turns)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own
    return Crowd(**json.loads(done.stdout))


@asynccontextmanager
async def _bare(url: str) -> AsyncGenerator[_Turn, None]:
    async with bare_session() as session:
        yield lambda: bare_turn(session, url)


@asynccontextmanager
async def _ours(url: str) -> AsyncGenerator[_Turn, None]:
    async with BingClient(endpoint=url) as client:
        yield lambda: client.stream("Go on.")


_OPENED = {BARE: _bare, OURS: _ours}


class _Reader:
    """Reads turns, and counts those that have begun and not ended."""

    def __init__(self) -> None:
        self.open = self.most = 0

    async def read(self, turn: AsyncIterator[object]) -> None:
        await anext(turn)
        self.open += 1
        self.most = max(self.most, self.open)
        async for _ in turn:
            pass
        self.open -= 1


async def _run(name: str, url: str, turns: int) -> Crowd:
    reader = _Reader()
    async with _OPENED[name](url) as turn:
        await reader.read(turn())  # brings all imports, and what is kept between turns
        gc.collect()
        memory, wall, cpu = kib_at_most(), time.perf_counter(), time.process_time()
        ends = await asyncio.gather(*(reader.read(turn()) for _ in range(turns)), return_exceptions=True)
        cpu, wall, memory = time.process_time() - cpu, time.perf_counter() - wall, kib_at_most() - memory
    failures = [end for end in ends if isinstance(end, BaseException)]
    for failure in failures[:1]:
        print(f"{len(failures)} failed, the first with {failure!r}", file=sys.stderr)  # noqa: T201 - for who looks into it
    return Crowd(turns - len(failures), reader.most, memory / turns, cpu / turns * 1e3, wall)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(sys.argv[1], sys.argv[2], int(sys.argv[3])), debug=False)._asdict()))  # noqa: T201
