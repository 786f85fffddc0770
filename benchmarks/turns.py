"""What one short turn costs beside its frames: in a new conversation, in a warm one, and as the first of a process.

The server is in another process, and its answer has two words. What is measured is CPU time of the process that asks:

- cold: a whole turn in a new conversation. The floor creates the conversation, opens the socket and reads the same
  messages with aiohttp, and parses none.
- warm: from the question to the first text, where a conversation is ready, and another one is made after it. The floor
  sends the same request over a socket whose handshake is done, and reads on to the first text.
- first: from the start of an interpreter to its first text, imports included. The floor is a script of aiohttp.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import aiohttp

from benchmarks.bare import bare_session
from benchmarks.measuring import Bound, report
from benchmarks.servers import served
from bing_llm import BingClient
from bing_llm.backends.chathub.options import resolve
from bing_llm.services import ChatHub

__all__ = ["COLD", "FIRST", "WARM", "main"]

COLD, WARM, FIRST = "cold", "warm", "first"
# 1.4 is the aim of a cold turn in instructions, of which cachegrind counts 1.40 times the floor's. This is CPU time: on
# a busy machine it was 1.46 to 1.49 times.
MOST_TIMES = {COLD: 1.5, WARM: 8.0}
MOST_MS = 42.0

_WORDS = 2
_HANDSHAKE = '{"protocol":"json","version":1}\x1e'
_ASKED = '{"type":4,"arguments":[],"invocationId":"0","target":"chat"}\x1e'
_TEXT = '"text":"'
_END = '"type":3'
_POLL_S = 0.001
_DRIVERS = Path(__file__).parent / "drivers"


async def _bare_cold(session: aiohttp.ClientSession, url: str) -> float:
    endpoints = resolve(url, allow_insecure=False)
    began = time.process_time()
    async with session.get(endpoints.create) as response:
        await response.read()
    async with session.ws_connect(endpoints.socket) as socket:
        await socket.send_str(_HANDSHAKE + _ASKED)
        while _END not in (await socket.receive()).data:
            pass
    return time.process_time() - began


async def _cold(client: BingClient) -> float:
    began = time.process_time()
    async with client.stream("Go on.") as turn:
        async for _ in turn:
            pass
    return time.process_time() - began


async def _bare_warm(session: aiohttp.ClientSession, url: str, client: BingClient) -> float:
    await _ready(client)
    address = resolve(url, allow_insecure=False).socket
    async with session.ws_connect(address) as socket:
        await socket.send_str(_HANDSHAKE)
        await socket.receive()
        began = time.process_time()
        await socket.send_str(_ASKED)
        while _TEXT not in (await socket.receive()).data:
            pass
        return time.process_time() - began


async def _ready(client: BingClient) -> None:
    """Wait until nothing is made any more."""
    while not client.pool.ready:  # noqa: ASYNC110 - it tells nobody when the next one is ready
        await asyncio.sleep(_POLL_S)


async def _warm(client: BingClient) -> float:
    await _ready(client)
    began = time.process_time()
    async with client.stream("Go on.") as turn:
        await anext(turn.text)
        return time.process_time() - began


async def _by_turns(ours: Callable[[], Awaitable[float]], bare: Callable[[], Awaitable[float]], rounds: int) -> _Pairs:
    """The seconds of both: one a round, after a tenth of the rounds that does not count."""
    taken = [(await ours(), await bare()) for _ in range(rounds + max(1, rounds // 10))]
    return taken[-rounds:]


_Pairs = list[tuple[float, float]]


async def _measured(url: str, rounds: int) -> dict[str, _Pairs]:
    async with (
        bare_session() as session,
        BingClient(ChatHub(endpoint=url)) as cold,
        BingClient(ChatHub(endpoint=url), warm=1) as warm,
    ):
        return {
            COLD: await _by_turns(partial(_cold, cold), partial(_bare_cold, session, url), rounds),
            WARM: await _by_turns(partial(_warm, warm), partial(_bare_warm, session, url, warm), rounds),
        }


def _first(url: str, driver: str) -> float:
    """The CPU seconds of an interpreter up to its first text."""
    # Without it Python would compile the sources anew each time, which no installed package suffers.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, str(_DRIVERS / driver), url]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def _firsts(url: str, rounds: int) -> _Pairs:
    pairs = [(_first(url, "first_turn.py"), _first(url, "first_turn_bare.py")) for _ in range(rounds + 1)]
    return pairs[1:]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="turns of each kind")
    parser.add_argument("--processes", type=int, default=15, help="interpreters of each kind")
    chosen = parser.parse_args(arguments)
    with served("written", _WORDS) as url:
        measured = asyncio.run(_measured(url, chosen.rounds), debug=False)
        measured[FIRST] = _firsts(url, chosen.processes)
    bare = {name: statistics.median(floor for _, floor in pairs) * 1e3 for name, pairs in measured.items()}
    ours = {name: statistics.median(one for one, _ in pairs) * 1e3 for name, pairs in measured.items()}
    times = {name: statistics.median(one / floor for one, floor in pairs) for name, pairs in measured.items()}
    added = statistics.median(one - floor for one, floor in measured[FIRST]) * 1e3
    rows = [(name, f"{bare[name]:.2f}", f"{ours[name]:.2f}", f"{times[name]:.2f}") for name in measured]
    bounds = [
        Bound(f"CPU of a turn, {name}", times[name], most, "times the floor") for name, most in MOST_TIMES.items()
    ]
    bounds.append(Bound("CPU of the first turn of a process, above the floor", added, MOST_MS, "ms"))
    return report(("turn", "floor, CPU ms", "bing_llm", "times"), rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
