"""What the OpenAI-compatible front costs for each streamed chunk, and 200 streams at once.

The front answers from memory, each delta a chunk of its own, and a bare aiohttp handler writes the same `data:` lines.
Both run in this process, whose CPU time is measured; a process of its own reads. What the front adds is what it costs
above the completion, which every caller of a model pays, read alone. For the streams at once, a ChatHub in another
process sends each a word every 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp import web

from benchmarks.measuring import Bound, Sample, Work, interleaved, median, quotient, reading, report
from benchmarks.memory import client_from_memory, words
from benchmarks.servers import served
from benchmarks.written import running
from bing_llm.client import BingClient
from bing_llm.completion.request import Request
from bing_llm.completion.stream import Completion
from bing_llm.messages import Message
from bing_llm.serve import Server

__all__ = ["main", "run"]

MOST_ADDED = 2.0
"""CPU time that the front adds to a chunk, in that of a handler that does nothing but write it."""
MOST = 3.0
"""All CPU time of a chunk, that of the turn and of the completion too, in the same."""

PATHS = {"chat completions": "/chat/completions", "responses": "/responses"}
HEADER = ("server", "CPU us/chunk", "bare handler", "completion", "added", "of the bare one's", "chunks")
_FLOOR, _ALONE = ", floor", "completion"


class Crowd(NamedTuple):
    """What became of many streams.

    Attributes:
        complete: How many came to their end.
        most: How many were in the midst of their answers at once.
        chunks: The chunks of all.
    """

    complete: int
    most: int
    chunks: int


# --- the reader, in a process of its own ------------------------------------------------------------------------------


async def _read(url: str, streams: int) -> Crowd:
    """Open so many streams at once, and read them to their end."""
    open_ = most = complete = chunks = 0

    async def read_one(http: aiohttp.ClientSession) -> None:
        nonlocal open_, most, complete, chunks
        body = {"messages": [{"role": "user", "content": "Go on."}], "input": "Go on.", "stream": True}
        async with http.post(url, json=body) as response:
            open_ += 1
            most = max(most, open_)
            last = b""
            async for data in response.content.iter_any():
                chunks += data.count(b"data: ")
                last = (last + data)[-4096:]
        open_ -= 1
        complete += b"data: [DONE]" in last or b"response.completed" in last

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**20) as http:
        await asyncio.gather(*(read_one(http) for _ in range(streams)))
    return Crowd(complete, most, chunks)


async def _crowd(url: str, streams: int) -> Crowd:
    """What a fresh process tells that reads so many."""
    command = (sys.executable, "-m", "benchmarks.serve", "--read", url, "--streams", str(streams))
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    return Crowd(*json.loads(output))


# --- the servers ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _floor(lines: Sequence[bytes]) -> AsyncIterator[str]:
    """A handler that does nothing but write these."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        await response.write_eof()
        return response

    app = web.Application()
    app.router.add_post("/{tail:.*}", answer)
    async with running(app) as url:
        yield url


async def _lines(url: str) -> list[bytes]:
    """The events of one answer, each as it is written."""
    body = {"messages": [{"role": "user", "content": "Go on."}], "input": "Go on.", "stream": True}
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        events = (await response.read()).split(b"\n\n")
    return [event + b"\n\n" for event in events if event]


class Measured(NamedTuple):
    """The samples of one API.

    Attributes:
        front: Those of the front.
        floor: Those of a handler that only writes.
        alone: Those of the completion alone.
    """

    front: list[Sample]
    floor: list[Sample]
    alone: list[Sample]

    @property
    def added(self) -> float:
        """What the front adds, in its floor's."""
        return statistics.median(
            (front.cpu_us - alone.cpu_us) / floor.cpu_us for front, floor, alone in zip(*self, strict=True)
        )


async def run(*, deltas: int, rounds: int) -> dict[str, Measured]:
    """The samples of each API, of its floor, and of the completion alone."""
    works: dict[str, Work] = {}
    async with client_from_memory(words(deltas), stretch=1) as client, Server(client, port=0) as server:
        floors = [_floor(await _lines(server.url + path)) for path in PATHS.values()]
        async with floors[0] as chat, floors[1] as responses:
            asked = Request(messages=(Message("user", "Go on."),))
            works[_ALONE] = reading(lambda: Completion(client, asked))
            for (name, path), floor in zip(PATHS.items(), (chat, responses), strict=True):
                works[name] = _reading(server.url + path)
                works[name + _FLOOR] = _reading(floor + path)
            samples = await interleaved(works, deltas=deltas, rounds=rounds)
    return {name: Measured(samples[name], samples[name + _FLOOR], samples[_ALONE]) for name in PATHS}


def _reading(url: str) -> Work:
    async def read() -> int:
        return (await _crowd(url, 1)).chunks

    return read


async def at_once(*, streams: int, deltas: int) -> Crowd:
    """So many streams of chat completions at once, over a service that takes its time."""
    with served("paced", deltas) as endpoint:
        async with BingClient(endpoint=endpoint) as client, Server(client, port=0) as server:
            return await _crowd(server.url + PATHS["chat completions"], streams)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("--deltas", type=int, default=5000, help="one-word deltas of each answer")
    parser.add_argument("--rounds", type=int, default=9, help="samples of each server")
    parser.add_argument("--streams", type=int, default=200, help="streams at once")
    parser.add_argument("--read", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.read:
        print(json.dumps(asyncio.run(_read(given.read, given.streams), debug=False)))  # noqa: T201 - for `_crowd`
        return 0
    measured = asyncio.run(run(deltas=given.deltas, rounds=given.rounds), debug=False)
    crowd = asyncio.run(at_once(streams=given.streams, deltas=min(given.deltas, 40)), debug=False)
    rows = []
    for name, each in measured.items():
        cpu = [f"{median(samples).cpu_us:.1f}" for samples in each]
        chunks = f"{median(each.front).chunks:.0f}"
        rows.append((name, *cpu, f"{each.added:.2f}", f"{quotient(each.front, each.floor):.2f}", chunks))
    bounds = []
    for name, each in measured.items():
        bounds += [
            Bound(f"CPU that the front adds to a chunk of {name}, in its floor's", each.added, MOST_ADDED, "times"),
            Bound(f"all CPU of a chunk of {name}, in its floor's", quotient(each.front, each.floor), MOST, "times"),
        ]
    bounds += [
        Bound("streams that did not complete", given.streams - crowd.complete, 0, f"of {given.streams}"),
        Bound("streams that were not open at once", given.streams - crowd.most, 0, f"of {given.streams}"),
    ]
    return report(HEADER, rows, bounds)


if __name__ == "__main__":
    sys.exit(main())
