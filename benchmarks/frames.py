"""What a long answer costs its reader: a loop that parses nothing, bing_llm, and clients that others made.

Each reads the same frames from a server in another process, which sends them as fast as they are read. Each frame
repeats the whole answer, as text and in a card, as the service writes it: so 2,000 frames have 21 MB. What is measured
is the CPU time of the process that reads. The floor is a loop over an aiohttp WebSocket.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import aiohttp

from benchmarks.frame_peers import PEERS, taking
from benchmarks.measuring import Sample, Take, by_turns, median, quotient, report, sample
from benchmarks.memory import words
from benchmarks.servers import served
from bing_llm import BingClient

__all__ = ["ASK", "FLOOR", "STREAM", "main"]

FLOOR, STREAM, ASK = "aiohttp, nothing parsed", "bing_llm, each event", "bing_llm, ask"

_BESIDE_THE_UPDATES = 3  # messages: the answer to the handshake, the quota, and the end
_ASKED = '{"protocol":"json","version":1}\x1e{"type":4,"arguments":[],"invocationId":"0","target":"chat"}\x1e'


async def _read(url: str, frames: int) -> int:
    """Read all messages of an answer, and look at none."""
    count = 0
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/sydney/ChatHub") as socket:
        await socket.send_str(_ASKED)
        async for _ in socket:
            count += 1
            if count == frames + _BESIDE_THE_UPDATES:
                break
    return count


async def _stream(client: BingClient, text: str) -> int:
    """Take each event of an answer."""
    count = 0
    async with client.stream("Go on.") as turn:
        async for _ in turn:
            count += 1
        _check((await turn.reply()).text, text)
    return count


async def _ask(client: BingClient, text: str) -> int:
    """Wait for the whole answer."""
    _check((await client.ask("Go on.")).text, text)
    return 1


def _check(given: str, text: str) -> None:
    if given != text:
        raise AssertionError


async def _measured(*, frames: int, rounds: int, peers: Sequence[str]) -> dict[str, list[Sample]]:
    text = "".join(words(frames))
    with served("frames", frames) as url, ExitStack() as others:
        async with BingClient(endpoint=url) as client:
            works = {FLOOR: partial(_read, url, frames), STREAM: partial(_stream, client, text)}
            works[ASK] = partial(_ask, client, text)
            takes: dict[str, Take] = {name: partial(sample, work, frames) for name, work in works.items()}
            for name in peers:
                takes[name] = others.enter_context(taking(name, url, frames=frames, characters=len(text)))
            return await by_turns(takes, rounds=rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report. There is no bound: each frame is decoded whole."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frames", description=__doc__)
    parser.add_argument("--frames", type=int, default=2000, help="updates of each answer, one word more in each")
    parser.add_argument("--rounds", type=int, default=21, help="samples of each client")
    parser.add_argument("--peers", action="store_true", help="also sydney-py and g4f, which it installs for itself")
    chosen = parser.parse_args(arguments)
    peers = tuple(PEERS) if chosen.peers else ()
    measured = asyncio.run(_measured(frames=chosen.frames, rounds=chosen.rounds, peers=peers), debug=False)
    times = {name: quotient(samples, measured[FLOOR]) for name, samples in measured.items()}
    rows = [
        (name, f"{one.cpu_us:.1f}", f"{times[name]:.2f}", f"{one.wall_us:.1f}", f"{one.chunks:.0f}")
        for name, one in ((name, median(samples)) for name, samples in measured.items())
    ]
    return report(("client", "CPU us/frame", "of the floor", "wall us/frame", "chunks"), rows, [])


if __name__ == "__main__":
    sys.exit(main())
