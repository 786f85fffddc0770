"""The servers of the benchmarks over sockets, each in a process of its own.

`python -m benchmarks.servers NAME NUMBER` prints its URL, answers every request with so many one-word deltas, and ends
when its standard input does. Each delta is sent alone and as soon as the last one is on its way; `paced` waits 50 ms
before each. Of `faulty` and `hostile`, the number is the seed of what they do; of `delayed`, the milliseconds before
its one word.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
from aiohttp import web

from benchmarks.faulty import faulty
from benchmarks.hostile import hostile
from benchmarks.memory import words
from benchmarks.relay import relayed
from benchmarks.written import running, written
from bing_llm.emulator import Emulator, Question, Scripted
from bing_llm.events import TextDelta

__all__ = ["SERVERS", "served"]

PACE_S = 0.05
"""What `paced` waits before each delta, in seconds."""

_ROUND_TRIP_S = 0.05  # as from one continent to another


@contextmanager
def served(name: str, number: int) -> Iterator[str]:
    """The URL of one of `SERVERS`, which runs inside the block."""
    command = [sys.executable, "-m", "benchmarks.servers", name, str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        url = process.stdout.readline().strip() if process.stdout else ""
        try:
            yield url
        finally:
            if process.stdin:
                process.stdin.close()


@asynccontextmanager
async def _emulator(deltas: int) -> AsyncGenerator[str, None]:
    """A ChatHub."""
    texts = words(deltas)
    async with Emulator(Scripted(lambda _question: texts)) as emulator:
        yield emulator.url


class _Paced:
    """Says a word, waits, and says the next one."""

    def __init__(self, texts: list[str]) -> None:
        self._deltas = [TextDelta(text) for text in texts]

    async def answer(self, question: Question) -> AsyncIterator[TextDelta]:
        del question
        for delta in self._deltas:
            await asyncio.sleep(PACE_S)
            yield delta


@asynccontextmanager
async def _paced(deltas: int) -> AsyncGenerator[str, None]:
    """A ChatHub whose answers take as long as real ones."""
    async with Emulator(_Paced(words(deltas))) as emulator:
        yield emulator.url


class _Delayed:
    """Waits, and says one word."""

    def __init__(self, milliseconds: int) -> None:
        self._seconds = milliseconds / 1e3

    async def answer(self, question: Question) -> AsyncIterator[TextDelta]:
        del question
        await asyncio.sleep(self._seconds)
        yield TextDelta("Hello.")


@asynccontextmanager
async def _delayed(milliseconds: int) -> AsyncGenerator[str, None]:
    """A ChatHub all of whose answers take the same time."""
    async with Emulator(_Delayed(milliseconds)) as emulator:
        yield emulator.url


@asynccontextmanager
async def _distant(deltas: int) -> AsyncGenerator[str, None]:
    """A ChatHub that is far away."""
    async with _emulator(deltas) as url, relayed(url, round_trip=_ROUND_TRIP_S) as distant:
        yield distant


@asynccontextmanager
async def _openai(deltas: int) -> AsyncGenerator[str, None]:
    """OpenAI's chat completions: server-sent events."""
    deltas_sent = [{"role": "assistant", "content": ""}, *({"content": word} for word in words(deltas))]
    lines = [_line({"index": 0, "delta": delta, "finish_reason": None}) for delta in deltas_sent]
    lines += [_line({"index": 0, "delta": {}, "finish_reason": "stop"}), b"data: [DONE]\n\n"]

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with running(app) as url:
        yield f"{url}/v1"


def _line(choice: dict[str, object]) -> bytes:
    chunk = {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "benchmark",
        "choices": [choice],
    }
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


SERVERS = {
    "delayed": _delayed,
    "distant": _distant,
    "emulator": _emulator,
    "faulty": faulty,
    "hostile": hostile,
    "paced": _paced,
    "openai": _openai,
    "written": written,
}


async def _serve(name: str, number: int) -> None:
    async with SERVERS[name](number) as url:
        print(url, flush=True)  # noqa: T201 - `served` reads it
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])), debug=False)
