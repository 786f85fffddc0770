"""The servers of the benchmarks over sockets, each in a process of its own.

`python -m benchmarks.servers NAME NUMBER` prints its URL, answers every request with so many one-word deltas, and ends
when its standard input does. Each delta is sent alone and as soon as the last one is on its way; `paced` waits 50 ms
before each. Of `faulty`, the number is the seed of its faults; of `delayed`, the milliseconds before its one word.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
from aiohttp import WSMsgType, web

from benchmarks.faulty import faulty
from benchmarks.memory import words
from benchmarks.relay import relayed
from bing_llm.backends.chathub import frames
from bing_llm.backends.chathub.codec import SEPARATOR, encode
from bing_llm.emulator import Emulator, Question, Scripted
from bing_llm.emulator.chathub.writer import AnswerWriter
from bing_llm.events import Quota, TextDelta

__all__ = ["SERVERS", "served"]

_CHAT = 4  # the type of the frame that asks

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
    async with _running(app) as url:
        yield f"{url}/v1"


@asynccontextmanager
async def _running(app: web.Application) -> AsyncGenerator[str, None]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _line(choice: dict[str, object]) -> bytes:
    chunk = {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "benchmark",
        "choices": [choice],
    }
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


@asynccontextmanager
async def _frames(deltas: int) -> AsyncGenerator[str, None]:
    """A ChatHub whose frames are written beforehand: it sends as fast as its client reads."""
    messages = _messages(deltas)

    async def create(_request: web.Request) -> web.Response:
        conversation = {"conversationId": "benchmark", "clientId": "benchmark", "result": {"value": "Success"}}
        signatures = {"X-Sydney-ConversationSignature": "none", "X-Sydney-EncryptedConversationSignature": "none"}
        return web.json_response(conversation, headers=signatures)

    async def chat(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            for record in filter(None, message.data.split(SEPARATOR.decode())):
                frame = msgspec.json.decode(record)
                answer = messages if frame.get("type") == _CHAT else [b"{}" + SEPARATOR] if "protocol" in frame else []
                for data in answer:
                    await socket.send_frame(data, WSMsgType.TEXT)
        return socket

    app = web.Application()
    app.router.add_get("/turing/conversation/create", create)
    app.router.add_get("/sydney/ChatHub", chat)
    async with _running(app) as url:
        yield url


def _messages(deltas: int) -> list[bytes]:
    """All that a ChatHub sends of an answer with so many deltas, after its handshake."""
    arguments = frames.ChatArguments(conversation_id="benchmark", message=frames.UserMessage(text="Go on."))
    writer = AnswerWriter(frames.Chat([arguments], "0"), lifetime=3600.0, clock=time.time)
    writer.quota = Quota(1, 30)
    written = [writer.opening(), *(writer.write(TextDelta(text)) for text in words(deltas)), writer.closing()]
    return [encode(*message) for message in written]


SERVERS = {
    "delayed": _delayed,
    "distant": _distant,
    "emulator": _emulator,
    "faulty": faulty,
    "frames": _frames,
    "paced": _paced,
    "openai": _openai,
}


async def _serve(name: str, number: int) -> None:
    async with SERVERS[name](number) as url:
        print(url, flush=True)  # noqa: T201 - `served` reads it
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])), debug=False)
