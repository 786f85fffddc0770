"""How many round trips the first text of a turn takes, with `BingClient(warm=1)` and without.

The emulator, in a process of its own, is reached through a relay that delays each direction. A round trip is
measured through the same relay in the same rounds: one small call over an open connection. What the server does itself
counts as well.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

import aiohttp

from benchmarks.measuring import Bound, report
from benchmarks.peers import G4F, SYDNEY_PY, driven
from benchmarks.servers import served
from bing_llm.client import BingClient

ROUND_TRIP, WARM, COLD = "a round trip", "warm", "cold"
MOST = {WARM: 1.2, COLD: 3.3}
"""Round trips that the first text may take."""

PEERS = {SYDNEY_PY: "first_text_sydney_py.py", G4F: "first_text_g4f.py"}

_POLL_S = 0.01


async def _call(http: aiohttp.ClientSession, url: str) -> None:
    async with http.get(url) as response:
        await response.read()


async def _first_text(client: BingClient) -> None:
    async with client.stream("Hello") as turn:
        await anext(turn.text)


async def measure(url: str, *, rounds: int) -> dict[str, list[float]]:
    """Seconds to each first text: one a round, after a round that does not count."""
    async with AsyncExitStack() as open_ones:
        http = await open_ones.enter_async_context(aiohttp.ClientSession())
        warm = await open_ones.enter_async_context(BingClient(backend="chathub", endpoint=url, warm=1))
        cold = await open_ones.enter_async_context(BingClient(backend="chathub", endpoint=url))
        works: Mapping[str, Callable[[], Awaitable[None]]] = {
            ROUND_TRIP: lambda: _call(http, url),
            WARM: lambda: _first_text(warm),
            COLD: lambda: _first_text(cold),
        }
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds + 1):
            for name, work in works.items():
                while not warm.pool.ready:  # noqa: ASYNC110 - it tells nobody when the next one is ready
                    await asyncio.sleep(_POLL_S)
                began = time.perf_counter()
                await work()
                seconds[name].append(time.perf_counter() - began)
    return {name: taken[1:] for name, taken in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="samples of each")
    parser.add_argument("--peers", action="store_true", help="measure other clients too, which are downloaded for it")
    chosen = parser.parse_args(arguments)
    with served("distant", number=3) as url:
        measured = asyncio.run(measure(url, rounds=chosen.rounds), debug=False)
        for peer, driver in PEERS.items() if chosen.peers else ():
            measured[peer] = driven(peer, driver, url, str(chosen.rounds))
    medians = {name: statistics.median(taken) for name, taken in measured.items()}
    trips = {name: seconds / medians[ROUND_TRIP] for name, seconds in medians.items()}
    rows = [(name, f"{seconds * 1e3:.1f}", f"{trips[name]:.2f}") for name, seconds in medians.items()]
    bounds = [Bound(f"first text, {name}", trips[name], most, "round trips") for name, most in MOST.items()]
    return report(("first text", "ms", "round trips"), rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
