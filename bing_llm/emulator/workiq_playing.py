"""How a turn of Work IQ goes out over HTTP: whole, or as server-sent events, or not to its end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeAlias

from aiohttp import web

from bing_llm import errors
from bing_llm.emulator import workiq_faults as faults
from bing_llm.emulator.faults import Breakage
from bing_llm.emulator.workiq_answering import Outgoing
from bing_llm.emulator.workiq_events import EventWriter

__all__ = ["Play", "Refuse", "RunningTurn", "answer_in_events", "answer_whole"]

Refuse: TypeAlias = Callable[[errors.BingError], web.Response]
"""Makes the answer that reports an error which has a status."""

Play: TypeAlias = Callable[
    [web.Request, AsyncGenerator[Outgoing, None], Refuse], Coroutine[Any, Any, web.StreamResponse]
]
"""One of the two ways to answer."""

_LOOK_S = 0.05  # between two looks whether the client is still there: aiohttp does not tell a handler that waits


class RunningTurn:
    """A turn that runs: its answer is a task, which ends when the client goes away.

    Args:
        request: What is answered.
        answer: Sends the answer.
    """

    def __init__(self, request: web.Request, answer: Coroutine[Any, Any, web.StreamResponse]) -> None:
        self._request = request
        self._answering = asyncio.create_task(answer)

    async def run(self) -> web.StreamResponse:
        """Wait for the answer, as long as the client does."""
        try:
            while not self._answering.done() and not self._is_left:
                await asyncio.wait({self._answering}, timeout=_LOOK_S)
        finally:
            await self._end()
        if self._answering.cancelled() or isinstance(self._answering.exception(), ConnectionError):
            return web.Response()  # nobody gets it
        return self._answering.result()

    def abort(self) -> None:
        """Break the connection now."""
        _break(self._request)
        self._answering.cancel()

    async def end_if_left(self) -> None:
        """End the turn if its client is gone, even if nobody has looked yet: that client may ask again at once."""
        if self._is_left:
            await self._end()

    @property
    def _is_left(self) -> bool:
        return self._request.transport is None or self._request.transport.is_closing()

    async def _end(self) -> None:
        self._answering.cancel()
        await asyncio.wait({self._answering})


async def answer_whole(
    request: web.Request, answer: AsyncGenerator[Outgoing, None], refuse: Refuse
) -> web.StreamResponse:
    """Send the last snapshot alone."""
    shown = b""
    async with aclosing(answer):
        async for outgoing in answer:
            if isinstance(outgoing, bytes):
                shown = outgoing
            elif faults.is_refusal(outgoing):
                return refuse(outgoing)
            else:
                shown = await _break_off(outgoing, request) or shown
    return faults.json_response(shown)


async def answer_in_events(
    request: web.Request, answer: AsyncGenerator[Outgoing, None], refuse: Refuse
) -> web.StreamResponse:
    """Send each snapshot as an event. Status and headers go out with the first: an error before it has its own."""
    response: web.StreamResponse | None = None
    events = EventWriter()
    async with aclosing(answer):
        async for outgoing in answer:
            if isinstance(outgoing, bytes):
                data = outgoing
            elif not faults.is_refusal(outgoing):
                data = await _break_off(outgoing, request)
            elif response is None:
                return refuse(outgoing)
            else:
                data = faults.error_event(outgoing)
            response = response or await _open_stream(request)
            if data:
                await response.write(events.event(data))
    response = response or await _open_stream(request)
    await response.write_eof()
    return response


async def _break_off(error: errors.BingError, request: web.Request) -> bytes:
    """Play an error that has no status; what is still to be sent, b"" for nothing."""
    match faults.breakage_of(error):
        case Breakage.GARBAGE:
            return faults.TORN
        case Breakage.ABORT:
            _break(request)
        case Breakage.SILENCE:
            await asyncio.Event().wait()
        case _:  # the answer ends here, as if it were complete
            pass
    return b""


async def _open_stream(request: web.Request) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    response = web.StreamResponse(headers={**headers, "request-id": str(uuid.uuid4())})
    await response.prepare(request)
    return response


def _break(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
