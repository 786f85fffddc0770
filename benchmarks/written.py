"""A server of answers that are written beforehand: it sends as fast as its client reads, or two milliseconds apart.

Below its URL, each form of `benchmarks.forms` is a service of its own, by the path that `path_of` names. The ChatHub of
the recorded form is also at its root.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import WSMsgType, web

from benchmarks.forms import CHATHUB, RECORDED, WORKIQ, answer_of
from bing_llm.backends.chathub.codec import SEPARATOR

__all__ = ["PACE_S", "path_of", "running", "written"]

PACE_S = 0.002
"""What lies between two frames of a paced answer, in seconds."""

_CHAT = 4  # the type of the frame that asks


def path_of(form: str, *, paced: bool = False) -> str:
    """Where a form is, below the URL of the server."""
    return f"/{'paced-' if paced else ''}{form.lower().replace(',', '').replace(' ', '-')}"


@asynccontextmanager
async def written(deltas: int) -> AsyncGenerator[str, None]:
    """The URL of a server whose answers have so many deltas."""
    app = web.Application()
    _add_chathub(app, "", _answer(RECORDED, deltas), paced=False)
    for form, paced in itertools.product(CHATHUB, (False, True)):
        _add_chathub(app, path_of(form, paced=paced), _answer(form, deltas), paced=paced)
    for paced in (False, True):
        _add_workiq(app, path_of(WORKIQ, paced=paced), _answer(WORKIQ, deltas), paced=paced)
    async with running(app) as url:
        yield url


@asynccontextmanager
async def running(app: web.Application) -> AsyncGenerator[str, None]:
    """The URL of an application that runs inside the block."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _answer(form: str, deltas: int) -> Callable[[], list[bytes]]:
    """Writes the answer when it is first asked for, and forgets the one before: each takes tens of megabytes."""
    return functools.partial(_written, form, deltas)


@functools.lru_cache(maxsize=1)
def _written(form: str, deltas: int) -> list[bytes]:
    return answer_of(form, deltas)


async def _send(messages: list[bytes], send: Callable[[bytes], Awaitable[None]], *, paced: bool) -> None:
    for message in messages:
        await send(message)
        if paced:
            await asyncio.sleep(PACE_S)


def _add_chathub(app: web.Application, path: str, answer: Callable[[], list[bytes]], *, paced: bool) -> None:
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
                if frame.get("type") == _CHAT:
                    await _send(answer(), lambda data: socket.send_frame(data, WSMsgType.TEXT), paced=paced)
                elif "protocol" in frame:
                    await socket.send_frame(b"{}" + SEPARATOR, WSMsgType.TEXT)
        return socket

    app.router.add_get(f"{path}/turing/conversation/create", create)
    app.router.add_get(f"{path}/sydney/ChatHub", chat)


def _add_workiq(app: web.Application, path: str, answer: Callable[[], list[bytes]], *, paced: bool) -> None:
    async def create(_request: web.Request) -> web.Response:
        return web.json_response({"id": "benchmark"}, status=201)

    async def chat(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await _send(answer(), response.write, paced=paced)
        return response

    app.router.add_post(f"{path}/conversations", create)
    app.router.add_post(f"{path}/conversations/{{id}}/chatOverStream", chat)
