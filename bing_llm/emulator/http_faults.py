"""How a fault hits an HTTP call: a creation, the upgrade to a WebSocket, or a turn of Work IQ before it begins."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from aiohttp import web

from bing_llm.emulator.faults import HttpAnswer, Late, Silence, Split, WireFault
from bing_llm.emulator.state import State
from bing_llm.emulator.wire import Delivery

LOOK_S = 0.05  # between two looks whether the client is still there: aiohttp does not tell a handler that waits


async def play(
    fault: WireFault, state: State, request: web.Request, answer: Callable[[], web.Response]
) -> web.StreamResponse:
    """Answer with the fault.

    Args:
        fault: One that may hit an HTTP call.
        state: The emulator's.
        request: What is answered.
        answer: Makes the usual answer.
    """
    match fault:
        case HttpAnswer():
            return _answer(fault)
        case Split():
            return await _send_in_pieces(fault, state, request, answer())
        case Silence():
            await wait(state, request)
        case Late(seconds=seconds):
            await wait(state, request, seconds)
            return answer()
        case _:  # a Cut: nothing else fits there
            break_off(request)
    return web.Response()  # nobody gets it


def break_off(request: web.Request) -> None:
    """Break the connection now."""
    if request.transport is not None:
        request.transport.abort()


def _answer(fault: HttpAnswer) -> web.Response:
    headers = {}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if 300 <= fault.status < 400:  # noqa: PLR2004 - HTTP's own range
        headers["Location"] = "/elsewhere"
    return web.Response(status=fault.status, text=fault.body, content_type="text/html", headers=headers)


async def _send_in_pieces(fault: Split, state: State, request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = answer.body
    delivery: Delivery[bytes] = Delivery()
    delivery.change(fault)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    for piece in delivery.pieces(body if isinstance(body, bytes) else b""):
        await response.write(piece)
        await wait(state, request, delivery.pause)
    await response.write_eof()
    return response


async def wait(state: State, request: web.Request, seconds: float = math.inf) -> None:
    """Wait for so many seconds, or until the client or the emulator closes the connection."""
    transport = request.transport
    if transport is None:
        return
    now = asyncio.get_running_loop().time
    end = now() + seconds
    state.held.add(transport)
    try:
        while not transport.is_closing() and now() < end:  # noqa: ASYNC110 - nothing sets an event when it closes
            await asyncio.sleep(min(seconds, LOOK_S))
    finally:
        state.held.discard(transport)
